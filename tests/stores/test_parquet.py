from __future__ import annotations

from pathlib import Path

from tapeline.stores.base import Store
from tapeline.stores.parquet import ParquetStore
from tapeline.testing.stores import StoreSuite


class TestParquetStore(StoreSuite):
    @staticmethod
    def open(folder: Path) -> Store:
        return ParquetStore(folder)
