"""What the routes under /v1 read: from a reader of the database to documents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from tapeline import query, wire
from tapeline.api.params import Place, Span
from tapeline.clock import format_time, parse_time
from tapeline.config import Settings
from tapeline.coverage import coverage
from tapeline.documents import Day, DeadLetter, Instrument, LateTrade, Page, Quality
from tapeline.stores import rows
from tapeline.stores._duckdb_reader import Reader
from tapeline.types import Side, Timeframe, venue_of

SIMULATED = "SIM"


def instruments(reader: Reader, settings: Settings) -> Page[Instrument]:
    """Return what is stored, by instrument."""
    made = []
    for entry in coverage(reader):
        plain = entry.to_json()
        own = entry.holds == "trades"
        timeframes = list(settings.timeframes) if own else [entry.holds.removeprefix("candles ")]
        venue = venue_of(entry.instrument)
        sets = list(settings.feature_sets)
        made.append(
            Instrument(venue=venue, simulated=venue == SIMULATED, timeframes=timeframes, feature_sets=sets, **plain)
        )
    return Page(made)


def candles(
    reader: Reader,
    settings: Settings,
    instrument: str,
    timeframe: str,
    span: Span,
    running: list[wire.Candle],
) -> Page[wire.Candle]:
    """Return candles; ``running`` ones are added where the newest are asked for."""
    most = span.limit + 1
    found = query.candles(reader, settings, instrument, timeframe, span.start, span.end_before(), most)
    kept = found.records[-span.limit :]
    more = len(found.records) > span.limit
    items = wire.candles(instrument, found.timeframe, kept, source=found.source)
    if not span.place.before:
        newest = int(kept["close_time"][-1]) if len(kept) else 0
        items += [one for one in running if parse_time(one.close_time) > newest]
    return Page(items, Place((int(kept["open_time"][0]),) if more else ()).text(), found.note)


def features(
    reader: Reader, settings: Settings, instrument: str, timeframe: str, feature_set: str, span: Span
) -> Page[wire.Features]:
    """Return feature rows."""
    end = span.end_before()
    found = query.features(reader, settings, instrument, timeframe, feature_set, span.start, end, span.limit + 1)
    more = len(found.rows) > span.limit
    items = wire.features(instrument, found.timeframe, found.features, found.rows)[-span.limit :]
    at = int(found.rows.as_of[-span.limit]) if more else 0
    return Page(items, Place((at,) if more else ()).text(), found.note)


def trades(reader: Reader, instrument: str, span: Span) -> Page[wire.Trade]:
    """Return trades in order of time."""
    table, next_place = page_of(reader, "trades", instrument, span)
    return Page(wire.trades(rows.to_frame(instrument, table)), next_place)


def late(reader: Reader, instrument: str | None, span: Span) -> Page[LateTrade]:
    """Return trades that came after their candle had closed."""
    table, next_place = page_of(reader, "late_trades", instrument, span)
    made = [
        LateTrade(
            row["instrument"],
            row["trade_id"],
            format_time(row["ts_event"]),
            format_time(row["ts_init"]),
            row["price"],
            row["qty"],
            Side(row["side"]).name,
            row["reason"],
        )
        for row in table.to_pylist()
    ]
    return Page(made, next_place)


def dead_letters(reader: Reader, instrument: str | None, span: Span) -> Page[DeadLetter]:
    """Return bad input with its reason."""
    table, next_place = page_of(reader, "dead_letters", instrument, span)
    made = [
        DeadLetter(
            row["source"],
            row["instrument"],
            row["kind"],
            row["reason"],
            row["raw"].decode("utf-8", "backslashreplace"),
            format_time(row["ts_init"]),
        )
        for row in table.to_pylist()
    ]
    return Page(made, next_place)


def page_of(reader: Reader, kind: str, instrument: str | None, span: Span, **equal: str) -> tuple[pa.Table, str | None]:
    """Return the rows of a kind that are asked for, and the cursor of those before."""
    if instrument is not None:
        query.known(reader, instrument)
    table, place = reader.page(
        kind, span.limit, instrument=instrument, start=span.start, end=span.end, before=span.place.before, **equal
    )
    return table, Place(place).text()


_DAYS = """
SELECT instrument, source, (open_time_ns // 86400000000000) AS day, count(*) AS candles,
    count(*) FILTER (complete) AS complete, count(*) FILTER (trades = 0) AS quiet,
    CASE WHEN min(trades) < 0 THEN NULL ELSE sum(trades)::BIGINT END AS trades
FROM candles WHERE timeframe = '{timeframe}' GROUP BY ALL ORDER BY ALL
"""
_COUNTS = """
SELECT instrument, sum(late)::BIGINT AS late, sum(dead)::BIGINT AS dead FROM (
    SELECT instrument, count(*) AS late, 0 AS dead FROM late_trades GROUP BY ALL
    UNION ALL SELECT instrument, 0, count(*) FROM dead_letters GROUP BY ALL
) GROUP BY ALL
"""


def quality(reader: Reader, instrument: str | None, timeframe: str, dropped: dict[str, int]) -> Page[Quality]:
    """Return how whole each instrument is, day by day; ``dropped`` are repeats by instrument in this process."""
    grid = str(Timeframe.parse(timeframe))
    if instrument is not None:
        query.known(reader, instrument)
    days: dict[tuple[str, str], list[Day]] = {}
    for row in reader.sql(_DAYS.format(timeframe=grid)).to_pylist():
        day = str(np.datetime64(row["day"], "D"))
        counts = (row["candles"], row["complete"], row["quiet"], row["trades"])
        days.setdefault((row["instrument"], row["source"]), []).append(Day(day, *counts))
    lost = {row["instrument"]: row for row in reader.sql(_COUNTS).to_pylist()}
    repeats = _imported_repeats(reader)
    made = []
    for entry in coverage(reader):
        if instrument not in (None, entry.instrument):
            continue
        source = "trades" if entry.holds == "trades" else "imported"
        counted: dict[str, Any] = lost.get(entry.instrument, {})
        known = [held[entry.instrument] for held in (repeats, dropped) if entry.instrument in held]
        made.append(
            Quality(
                entry.instrument,
                grid,
                source,
                entry.completeness,
                entry.open_gaps,
                entry.missing,
                counted.get("late", 0),
                counted.get("dead", 0),
                sum(known) if known else None,
                days.get((entry.instrument, source), []),
            )
        )
    return Page(made)


def _imported_repeats(reader: Reader) -> dict[str, int]:
    """Return the repeats that imports dropped, by instrument; a file of several instruments tells none."""
    found: dict[str, int] = {}
    for row in reader.read("imports").to_pylist():
        if row["instrument"] and "," not in row["instrument"]:
            found[row["instrument"]] = found.get(row["instrument"], 0) + row["duplicates"]
    return found
