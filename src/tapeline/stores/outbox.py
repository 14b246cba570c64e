"""The outbox: rows of one transaction, collected and written with one statement a kind.

A statement costs about as much as a thousand rows, so a commit that touches many instruments writes them together.
"""

from __future__ import annotations

import pyarrow as pa

from tapeline.stores.base import Store


class Outbox:
    """Collect rows to append; nothing of them is stored, or seen by a reader, before `flush`.

    >>> from tapeline.stores.memory import MemoryStore
    >>> store = MemoryStore(); outbox = Outbox(store)
    >>> gap = {"instrument": ["A-B.SIM"], "first_missing": [3], "last_missing": [4], "status": ["open"]}
    >>> outbox.add("gaps", pa.table(gap)); outbox.flush(); len(store.read("gaps"))
    1
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, list[pa.Table]] = {}

    def add(self, kind: str, rows: pa.Table) -> None:
        """Add rows of a kind, behind those added before."""
        if len(rows):
            self._waiting.setdefault(kind, []).append(rows)

    def flush(self) -> None:
        """Append what was collected, inside the caller's transaction."""
        waiting, self._waiting = self._waiting, {}
        for kind, tables in waiting.items():
            self._store.append(kind, pa.concat_tables(tables).combine_chunks() if len(tables) > 1 else tables[0])

    def clear(self) -> None:
        """Forget what was collected: its transaction failed."""
        self._waiting.clear()
