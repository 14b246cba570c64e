from __future__ import annotations

from pathlib import Path

from tapeline.stores.base import Store
from tapeline.stores.memory import MemoryStore
from tapeline.testing.stores import StoreSuite


class TestMemoryStore(StoreSuite):
    lasting = False
    examples = 5

    @staticmethod
    def open(folder: Path) -> Store:
        return MemoryStore()
