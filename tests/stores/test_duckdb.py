from __future__ import annotations

from pathlib import Path

from tapeline.stores.base import Store
from tapeline.stores.duckdb import DuckDBStore
from tapeline.testing.stores import StoreSuite


class TestDuckDBStore(StoreSuite):
    @staticmethod
    def open(folder: Path) -> Store:
        return DuckDBStore(folder / "tape.duckdb", threads=1)
