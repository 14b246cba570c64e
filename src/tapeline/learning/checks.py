"""Checks of the data before anything is learnt from it: what fails stops the training by name.

The rules for single candles are a Pandera schema over Arrow; those for the whole are counted here. Rows that cannot be
used are left out and counted elsewhere (`tapeline.learning.dataset`); these checks are about data that should not be
trusted at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tapeline.clock import format_duration, format_time
from tapeline.errors import InputError
from tapeline.types import Float, Records, Timeframe

_PRICES = ("open", "high", "low", "close")
_AMOUNTS = ("volume", "quote_volume", "buy_volume")
_BINS = 20
_BARS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Limits:
    """What is still trusted.

    Attributes:
        missing: the largest share of candles that may be missing between the first and the last.
        incomplete: the largest share of candles that may be incomplete.
        repeated: how many candles in a row with trades may be the same in price and volume: more is a feed that froze.
        max_age: how old the newest candle may be, ns; None for any age, as one may learn from the past.
    """

    missing: float = 0.5
    incomplete: float = 0.5
    repeated: int = 30
    max_age: int | None = None


@dataclass(frozen=True, slots=True)
class DataCheck:
    """One check: its name, whether it holds, what was found, and what would hold."""

    name: str
    passed: bool
    found: str
    rule: str


def check_candles(
    candles: Records, timeframe: str, *, limits: Limits | None = None, now: int | None = None
) -> list[DataCheck]:
    """Check candles before they are learnt from.

    Args:
        candles: n records of `CANDLE`.
        timeframe: of their grid.
        limits: what is still trusted.
        now: the present, ns UTC, for the check of age; without it that is not checked.

    Returns:
        Every check, whether it holds or not.
    """
    asked = limits or Limits()
    found = [*_schema_checks(candles), *_time_checks(candles, Timeframe.parse(timeframe).step, asked)]
    found.append(_frozen(candles, asked.repeated))
    if asked.max_age is not None and now is not None and len(candles):
        age = now - int(candles["close_time"].max())
        told = f"the newest candle closed at {format_time(int(candles['close_time'].max()))}"
        found.append(
            DataCheck("staleness", age <= asked.max_age, told, f"{format_duration(asked.max_age)} ago at most")
        )
    return found


def refuse_bad_data(where: str, checks: Sequence[DataCheck]) -> None:
    """Stop where a check does not hold.

    Raises:
        InputError: naming the first one, and how many others.
    """
    failed = [check for check in checks if not check.passed]
    if failed:
        others = f", and {', '.join(check.name for check in failed[1:])}" if failed[1:] else ""
        problem = f"data check {failed[0].name}{others} failed"
        step = "mend the data, or import it anew"
        raise InputError(where, problem, expected=failed[0].rule, was=failed[0].found, next_step=step)


def _schema_checks(candles: Records) -> Iterator[DataCheck]:
    """Yield the checks of single candles: types, ranges, repeated times."""
    import pandera.pyarrow as pandera
    import pyarrow as pa

    names = ("close_time", *_PRICES, *_AMOUNTS, "trades")
    table = pa.table({name: pa.array(np.ascontiguousarray(candles[name]), from_pandas=True) for name in names})
    price = pa.table({"inside": _inside(candles)})
    columns: dict[str, Any] = {name: pandera.Column(pa.float64(), pandera.Check.gt(0)) for name in _PRICES}
    columns |= {name: pandera.Column(pa.float64(), pandera.Check.ge(0), nullable=True) for name in _AMOUNTS}
    columns["trades"] = pandera.Column(pa.int64(), pandera.Check.ge(-1))
    schema = pandera.DataFrameSchema(columns)
    ranges = pandera.DataFrameSchema({"inside": pandera.Column(pa.bool_(), pandera.Check.eq(True))})
    keys = pandera.DataFrameSchema({"close_time": pandera.Column(pa.int64(), unique=True)})
    yield _validated("schema", schema, table, "prices above 0, amounts and trades not below 0 (trades -1: unknown)")
    yield _validated("ranges", ranges, price, "low <= open, close <= high, all finite")
    yield _validated("duplicates", keys, table.select(["close_time"]), "one candle per close_time")


def _inside(candles: Records) -> Any:
    low, high = candles["low"], candles["high"]
    finite = np.all([np.isfinite(candles[name]) for name in _PRICES], axis=0)
    return finite & np.all([(low <= candles[name]) & (candles[name] <= high) for name in _PRICES], axis=0)


def _validated(name: str, schema: Any, table: Any, rule: str) -> DataCheck:
    from pandera.errors import SchemaErrors

    try:
        schema.validate(table, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
        columns = ", ".join(sorted({str(value) for value in cases.column("column").to_pylist()}))
        return DataCheck(name, False, f"{cases.num_rows} cases in {columns}", rule)
    return DataCheck(name, True, "holds", rule)


def _time_checks(candles: Records, step: int, limits: Limits) -> Iterator[DataCheck]:
    times = candles["close_time"]
    falls = int((np.diff(times) < 0).sum())
    yield DataCheck("monotonic time", not falls, f"{falls} steps back", "close_time rising")
    off = int(((times - times[:1]) % step != 0).sum())
    yield DataCheck("grid", not off, f"{off} candles beside it", f"close_time on the grid of {format_duration(step)}")
    span = (int(times.max()) - int(times.min())) // step + 1 if len(times) else 0
    missing = 1 - len(np.unique(times)) / span if span else 1.0
    yield DataCheck(
        "gaps", missing <= limits.missing, f"{missing:.1%} missing", f"at most {limits.missing:.0%} missing"
    )
    share = float(1 - candles["complete"].mean()) if len(candles) else 1.0
    rule = f"at most {limits.incomplete:.0%} incomplete"
    yield DataCheck("incomplete rows", share <= limits.incomplete, f"{share:.1%} incomplete", rule)


def _frozen(candles: Records, most: int) -> DataCheck:
    same = candles["trades"][1:] > 0
    for name in (*_PRICES, "volume"):
        same = same & (candles[name][1:] == candles[name][:-1])
    ends = np.flatnonzero(np.concatenate(([True], ~same, [True])))
    longest = int(np.diff(ends).max()) if len(ends) > 1 else 0
    return DataCheck("frozen feed", longest <= most, f"{longest} equal candles in a row", f"at most {most}")


def profile(columns: Sequence[str], inputs: Float) -> list[dict[str, float | str | None]]:
    """Return what each column holds: the share that is unknown, shape, mean, deviation, quantiles, distinct values.

    The shape is a histogram of what lies between the 1 % and the 99 % quantile, one character a bin.

    Args:
        columns: k names.
        inputs: n x k, NaN is unknown.
    """
    return [_described(name, column) for name, column in zip(columns, inputs.T, strict=True)]


def _described(name: str, column: Float) -> dict[str, float | str | None]:
    known = column[np.isfinite(column)]
    row: dict[str, float | str | None] = {"column": name, "unknown": 1 - len(known) / max(1, len(column))}
    names = ("mean", "deviation", "least", "q05", "median", "q95", "most", "distinct")
    if not len(known):
        return row | dict.fromkeys(("shape", *names))
    row["shape"] = _shape(known)
    quantiles = np.quantile(known, (0, 0.05, 0.5, 0.95, 1)).tolist()
    numbers = (float(known.mean()), float(known.std()), *quantiles, float(len(np.unique(known))))
    return row | dict(zip(names, numbers, strict=True))


def _shape(known: Float) -> str:
    low, high = np.quantile(known, (0.01, 0.99)).tolist()
    inside = known[(low <= known) & (known <= high)]
    counts = np.sqrt(np.histogram(inside, _BINS, (low, high if high > low else low + 1))[0])
    levels = np.ceil(counts / counts.max() * (len(_BARS) - 1)).astype(np.int64)
    return "".join(_BARS[level] for level in levels.tolist())
