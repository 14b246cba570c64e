"""A database that another process owns, read over its API: a store for every command that only reads.

Rows come as Arrow, so that what is read here is what the owner would read. The owner asks for the key that stands in
its note beside the database: who may read that file may read the database.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pyarrow as pa

from tapeline.client import error_of
from tapeline.errors import StoreLocked, StoreUnavailable
from tapeline.stores.base import Size

_SECONDS = 120.0


class RemoteStore:
    """Read a store through the process that owns it.

    Args:
        url: where the owner answers.
        key: what it asks for.
        transport: carries the requests; the network by default.
    """

    def __init__(self, url: str, key: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url
        headers = {"Authorization": f"Bearer {key}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=_SECONDS, trust_env=False, transport=transport)

    def read(
        self,
        kind: str,
        *,
        instrument: str | None = None,
        start: int | None = None,
        end: int | None = None,
        as_of: int | None = None,
        limit: int | None = None,
        **equal: str,
    ) -> pa.Table:
        """Return rows as `Store.read` does."""
        span = {"start": start, "end": end, "as_of": as_of, "limit": limit}
        return self._ask("read", {"kind": kind, "instrument": instrument, **span, "equal": equal})

    def sql(self, text: str, *, limit: int | None = None) -> pa.Table:
        """Answer one reading SQL statement with at most ``limit`` rows."""
        return self._ask("sql", {"text": text, "limit": limit})

    def tape(self, instrument: str, *, after: tuple[int, int] | None = None, rows: int = 1 << 20) -> Iterator[pa.Table]:
        """Yield an instrument's trades in the order of the tape, in tables of at most ``rows`` rows."""
        while True:
            table = self._ask("tape", {"instrument": instrument, "after": after, "rows": rows})
            if not table.num_rows:
                return
            yield table
            after = (table["ts_event"][-1].as_py(), table["trade_id"][-1].as_py())

    def sizes(self) -> Mapping[str, Size]:
        """Return what each kind takes, by name."""
        rows = self._ask("sizes", {}).to_pylist()
        return {row["name"]: Size(row["rows"], row["bytes"]) for row in rows}

    def seen(self, instrument: str, rows: pa.Table) -> pa.Table:
        """Refuse: only writers ask."""
        raise self._refused()

    def transaction(self) -> AbstractContextManager[None]:
        """Refuse: the owner alone writes."""
        raise self._refused()

    def append(self, kind: str, rows: pa.Table) -> int:
        """Refuse: the owner alone writes."""
        raise self._refused()

    def upsert(self, kind: str, rows: pa.Table) -> None:
        """Refuse: the owner alone writes."""
        raise self._refused()

    def delete(
        self, kind: str, instrument: str, *, start: int | None = None, end: int | None = None, **equal: str
    ) -> int:
        """Refuse: the owner alone writes."""
        raise self._refused()

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._http.close()

    def _refused(self) -> StoreLocked:
        step = "ask it there, or stop it first"
        return StoreLocked("database", "is written by its owner alone", expected=self.url, was="here", next_step=step)

    def _ask(self, verb: str, question: dict[str, Any]) -> pa.Table:
        try:
            answer = self._http.post(f"/v1/store/{verb}", json=question)
        except httpx.TransportError as error:
            where, step = f"process {self.url}", "wait until it is up, or stop it"
            raise StoreUnavailable(where, f"does not answer ({type(error).__name__})", next_step=step) from error
        if not answer.is_success:
            raise error_of(answer)
        return pa.ipc.open_stream(answer.content).read_all()
