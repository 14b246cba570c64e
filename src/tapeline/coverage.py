"""What a database holds: each instrument's trades and imported candles, their span of time, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import pyarrow as pa

from tapeline.clock import format_time
from tapeline.stores.base import Store
from tapeline.tape import instruments
from tapeline.types import GapStatus


class SqlStore(Store, Protocol):
    """A store that answers SQL."""

    def sql(self, text: str, *, limit: int | None = None) -> pa.Table:
        """Answer one reading SQL statement with at most ``limit`` rows."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What is stored of an instrument.

    Attributes:
        holds: ``trades``, or the timeframe of candles that others made, such as ``candles 1m``.
        rows: how many.
        first: time of the first (a candle's open_time), ns UTC; None without rows.
        last: time of the last (a candle's close_time), ns UTC.
        ids: what the trade ids count: ``trade``, ``aggregate`` or ``row``; empty for candles.
        open_gaps: how many gaps there are; None where ids are not contiguous and cannot tell.
        missing: how many ids are missing in them.
        completeness: ``proven by ids``, ``gaps``, or ``unproven``.
    """

    instrument: str
    holds: str
    rows: int
    first: int | None
    last: int | None
    ids: str = ""
    open_gaps: int | None = None
    missing: int | None = None
    completeness: str = "unproven"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values with times in RFC 3339."""
        plain = asdict(self)
        return plain | {name: None if plain[name] is None else format_time(plain[name]) for name in ("first", "last")}


_TRADES = "SELECT instrument, count(*) AS n, min(ts_event_ns) AS a, max(ts_event_ns) AS b FROM trades GROUP BY ALL"
_CANDLES = (
    "SELECT instrument, timeframe, count(*) AS n, min(open_time_ns) AS a, max(close_time_ns) AS b "
    "FROM candles WHERE source = 'imported' GROUP BY ALL ORDER BY instrument, min(close_time_ns - open_time_ns)"
)
_TIMES = "SELECT trade_id, ts_event_ns AS at FROM trades WHERE instrument = '{instrument}' AND trade_id IN ({ids})"


def coverage(store: SqlStore) -> list[Coverage]:
    """Return what a store holds, by instrument."""
    spans = {row["instrument"]: row for row in store.sql(_TRADES).to_pylist()}
    gaps = open_gaps(store)
    found = []
    for tape in instruments(store):
        span = spans.get(tape.instrument, {"n": 0, "a": None, "b": None})
        missing = [gap["missing"] for gap in gaps if gap["instrument"] == tape.instrument]
        count = len(missing) if tape.contiguous else None
        proof = "unproven" if count is None else "gaps" if count else "proven by ids"
        total = None if count is None else sum(missing)
        entry = (span["n"], span["a"], span["b"], tape.id_kind, count, total, proof)
        found.append(Coverage(tape.instrument, "trades", *entry))
    found += [
        Coverage(row["instrument"], f"candles {row['timeframe']}", row["n"], row["a"], row["b"])
        for row in store.sql(_CANDLES).to_pylist()
    ]
    return sorted(found, key=lambda entry: entry.instrument)


def times_beside(store: SqlStore, gaps: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int], int]:
    """Return the ts_event (ns UTC) of the stored trades just before and after gaps, by (instrument, trade_id)."""
    beside: dict[str, set[int]] = {}
    for gap in gaps:
        beside.setdefault(gap["instrument"], set()).update((gap["first_missing"] - 1, gap["last_missing"] + 1))
    found: dict[tuple[str, int], int] = {}
    for name, ids in beside.items():
        listed = ", ".join(map(str, sorted(ids)))
        table = store.sql(_TIMES.format(instrument=name.replace("'", "''"), ids=listed))
        found |= {(name, row["trade_id"]): row["at"] for row in table.to_pylist()}
    return found


def open_gaps(store: Store, instrument: str | None = None) -> list[dict[str, Any]]:
    """Return the gaps that are not healed: instrument, first and last missing id, how many, status."""
    return [
        row | {"missing": row["last_missing"] - row["first_missing"] + 1}
        for row in store.read("gaps", instrument=instrument).to_pylist()
        if row["status"] != GapStatus.HEALED
    ]
