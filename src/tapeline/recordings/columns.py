"""Which column of a table is which: as the user says, otherwise guessed from names and the first rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pyarrow as pa

from tapeline.errors import UnreadableFile, UsageError
from tapeline.recordings.instants import UNITS, TimeRule, unit_of
from tapeline.recordings.values import integers, is_text, reals, sides, words
from tapeline.types import Bool, Int

KNOWN: Mapping[str, tuple[str, ...]] = {
    "price": ("price", "p", "px", "rate", "tradeprice", "lastprice"),
    "qty": ("qty", "quantity", "size", "amount", "sz", "q", "volume", "vol", "shares", "lastqty", "tradesize"),
    "ts": (
        *("tsevent", "transactiontime", "transacttime", "tradetime", "exchts", "exchtime", "exchangetime"),
        *("exchangetimestamp", "siptimestamp", "eventtime", "timestamp", "time", "ts", "datetime", "dt", "date", "t"),
        *("opentime", "begin"),
    ),
    "ts_init": (
        *("tsinit", "timestampofreceive", "receivetime", "receivedtime", "recvtime", "receivedat", "recvts"),
        *("localtimestamp", "localtime", "localts", "receivets"),
    ),
    "id": ("tradeid", "id", "tid", "aggtradeid", "aggid", "a"),
    "side": ("side", "takerside", "aggressor", "aggressorside", "tradeside", "direction"),
    "maker": ("isbuyermaker", "buyermaker", "isbuyermarketmaker", "buyerismaker", "m"),
    "count": ("count", "tradecount", "numtrades"),
    "symbol": ("symbol", "instrument", "ticker", "sym", "pair", "productid", "market"),
    "venue": ("venue", "exchange"),
    "market": ("markettype", "marketscope"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "vol", "v"),
    "quote_volume": ("quotevolume", "quoteassetvolume", "turnover"),
    "trades": ("trades", "count", "numberoftrades", "numtrades"),
    "buy_volume": ("buyvolume", "takerbuyvolume", "takerbuybaseassetvolume", "takerbuybasevolume"),
}
"""Our names, and the names by which columns are known (lower case, letters and digits only), the surest first."""

_CANDLE = ("open", "high", "low", "close", "volume")
_CANDLE_ONLY = (*_CANDLE, "quote_volume", "trades", "buy_volume")
_TRADE_ONLY = ("price", "qty", "ts_init", "id", "side", "maker", "count")
_TIMES = ("ts", "ts_init")
_BOOK = {
    "isask",
    "isbid",
    "firstupdateid",
    "finalupdateid",
    "updateid",
    "bidprice",
    "askprice",
    "bids",
    "asks",
    "bid",
    "ask",
}
_UNIT_SUFFIX = re.compile(r"(?<=[a-z])(?:ms|us|ns|utc)$")


@dataclass(slots=True)
class Map:
    """Which column is which: ``at`` our name -> column, ``rules`` how times are told, ``notes`` what was guessed."""

    at: dict[str, str] = field(default_factory=dict)
    rules: dict[str, TimeRule] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    timeframe: str = ""

    @property
    def candles(self) -> bool:
        """Say whether the table holds candles."""
        return "open" in self.at


def map_columns(where: str, sample: Mapping[str, pa.Array], given: Mapping[str, str]) -> Map:
    """Find the columns in a sample of the first rows.

    Raises:
        UsageError: a column or a name given by the user does not exist.
        UnreadableFile: a needed column cannot be found.
    """
    book = sorted(name for name in sample if _plain(name) in _BOOK)
    if book and "price" not in given:
        step = "if it holds trades, map them: --columns price=...,qty=...,ts=..."
        raise UnreadableFile(where, "looks like an order book", expected="trades", was=", ".join(book), next_step=step)
    found = Map()
    units = _take_given(found, sample, given)
    _guess(found, sample)
    needed = [*_CANDLE, "ts"] if found.candles else ["price", "qty", "ts"]
    missing = [name for name in needed if name not in found.at]
    if missing:
        step = f"map it: --columns {missing[0]}=<its column>"
        raise UnreadableFile(
            where, f"has no column for {missing[0]}", expected="a known name", was=", ".join(sample), next_step=step
        )
    if not len(sample[found.at["ts"]]):
        raise UnreadableFile(where, "holds no row", expected="rows after its header", was="none")
    for name in needed:
        if name != "ts":
            _check_numbers(where, name, found.at[name], sample[found.at[name]])
    for name in _TIMES:
        if name in found.at:
            found.rules[name], text = _time_rule(where, found.at[name], sample[found.at[name]], units.get(name))
            found.notes[name] = f"column {found.at[name]} ({text})"
    _drop_useless(found, sample)
    return found


def _check_numbers(where: str, name: str, at: str, column: pa.Array) -> None:
    """Refuse a column without a single number in the first rows: no row would be kept."""
    if len(column) and not reals(column)[1].any():
        step = f"map another: --columns {name}=<its column>"
        raise UnreadableFile(where, f"column {at} holds no number", expected=name, was=words(column)[0], next_step=step)


def _take_given(found: Map, sample: Mapping[str, pa.Array], given: Mapping[str, str]) -> dict[str, str]:
    units = {}
    for name, value in given.items():
        column, unit = value, ""
        if name in _TIMES and value not in sample:
            column, _, unit = value.rpartition(":") if ":" in value else (value, "", "")
        if name == "timeframe":
            found.timeframe = value
        elif name not in KNOWN:
            raise UsageError("--columns", "unknown name", expected=f"one of {', '.join(KNOWN)}, timeframe", was=name)
        elif column not in sample:
            raise UsageError("--columns", f"no column for {name}", expected=f"one of {', '.join(sample)}", was=column)
        elif unit and unit not in {*UNITS, "iso"}:
            raise UsageError("--columns", f"unknown unit of {name}", expected="s, ms, us, ns or iso", was=unit)
        else:
            found.at[name], found.notes[name] = column, f"column {column} (as given)"
            units[name] = unit
    return units


def _guess(found: Map, sample: Mapping[str, pa.Array]) -> None:
    free = _free(found, sample)
    candles = all(name in found.at or any(word in free for word in KNOWN[name]) for name in _CANDLE)
    left_out = _TRADE_ONLY if candles and "price" not in found.at else _CANDLE_ONLY
    for name, spellings in KNOWN.items():
        if name in found.at or name in left_out or (name in {"side", "maker"} and {"side", "maker"} & found.at.keys()):
            continue
        word = next((word for word in spellings if word in free), None)
        if word is None and name in _TIMES:
            word = _time_column(found, free, sample, received=name == "ts_init")
        if word is not None:
            found.at[name] = free.pop(word)
            found.notes[name] = f"column {found.at[name]}"


def _free(found: Map, sample: Mapping[str, pa.Array]) -> dict[str, str]:
    """Return the columns that are left, by their plain names; of t and T, as Binance has them, t is the id."""
    taken = set(found.at.values())
    order = sorted(sample, key=lambda column: column != column.lower())
    free: dict[str, str] = {}
    for column in order:
        if column not in taken:
            free.setdefault(_plain(column), column)
    if {"t", "T"} <= sample.keys() - taken:
        free["tradeid"], free["t"] = "t", "T"
    return free


def parse_columns(text: str) -> dict[str, str]:
    """Read a map as the command line gives it.

    Raises:
        UsageError: it is no list of ``name=column``.

    >>> parse_columns("price=p,ts=time:ms")
    {'price': 'p', 'ts': 'time:ms'}
    """
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(name and mark and column for name, mark, column in pairs) or len({pair[0] for pair in pairs}) < len(
        pairs
    ):
        rule = "each name once, such as price=p,qty=size,ts=time:ms,id=tid,side=s"
        raise UsageError("--columns", "cannot be read", expected=rule, was=text)
    return {name.strip(): column.strip() for name, _, column in pairs}


def _plain(column: str) -> str:
    name = re.sub(r"[^a-z0-9]", "", column.lower())
    return _UNIT_SUFFIX.sub("", name) or name


def _time_column(found: Map, free: Mapping[str, str], sample: Mapping[str, pa.Array], *, received: bool) -> str | None:
    """Return a column whose name says receipt (or, for the event time, a second-choice name)."""
    if received:
        sure = [word for word in free if "receiv" in word or "recv" in word or word.startswith("local")]
        beside = [word for word in free if word == "ts" and _plain(found.at.get("ts", "")).startswith("exch")]
        return next(iter(sure + beside), None)
    return next(
        (word for word in free if word.endswith("time") or pa.types.is_timestamp(sample[free[word]].type)), None
    )


def _time_rule(where: str, name: str, column: pa.Array, given: str | None) -> tuple[TimeRule, str]:
    """Return how a column of times is read, and that in words."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        zone = "UTC" if getattr(column.type, "tz", None) else "without zone, read as UTC"
        return TimeRule(), f"timestamps, {zone}"
    if given == "iso":
        return TimeRule(), "ISO 8601"
    values, ok = reals(column)
    units = [unit_of(float(value)) for value in values[ok & np.isfinite(values)].tolist()]
    known = [unit for unit in units if unit]
    if given and known and given not in known:
        raise UsageError(
            "--columns", f"wrong unit of {name}", expected=known[0], was=given, next_step=f"say :{known[0]}"
        )
    if given:
        return TimeRule((given,)), f"epoch {given}, as given"
    if known:
        unit = max(UNITS, key=known.count)
        return TimeRule((unit,)), f"epoch {unit}, by its magnitude"
    if not is_text(column) or len(units) == len(column):
        rule = "times since 2009 in s, ms, us or ns, or ISO 8601"
        was = ", ".join(str(value) for value in values[:3])
        raise UnreadableFile(
            where, f"column {name} holds no time", expected=rule, was=was, next_step="map another: --columns ts=..."
        )
    texts = [str(value) for value in words(column) if value]
    zoned = any(re.search(r"([Zz]|[+-]\d\d:?\d\d)$", text) for text in texts)
    return TimeRule(), "ISO 8601" if zoned else "ISO 8601 without zone, read as UTC"


def _drop_useless(found: Map, sample: Mapping[str, pa.Array]) -> None:
    """Leave out guessed columns whose first rows are not what their name says."""
    tests: dict[str, Callable[[pa.Array], tuple[Int, Bool]]] = {
        "id": integers,
        "side": partial(sides, maker=False),
        "maker": partial(sides, maker=True),
        "count": integers,
    }
    for name, test in tests.items():
        if name in found.at and "as given" not in found.notes[name] and not test(sample[found.at[name]])[1].any():
            found.notes[name] = f"column {found.at.pop(name)} is not used: its first rows are no {name}"


def could_be_table(names: Sequence[str]) -> bool:
    """Say whether a header names a price, or the prices of a candle, and a time."""
    words = {_plain(name) for name in names}

    def has(*keys: str) -> bool:
        return all(words & set(KNOWN[key]) for key in keys)

    timed = has("ts") or any(word.endswith("time") for word in words)
    return timed and (has("price", "qty") or has(*_CANDLE))
