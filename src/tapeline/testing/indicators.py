"""The conformance suite of indicators: what every indicator must keep, whatever it computes.

It finds the shipped indicators and those of others (entry points, ``TAPELINE_INDICATORS``) by itself::

    TAPELINE_INDICATORS=my_indicator.py pytest --pyargs tapeline.testing.indicators

It does not know what an indicator should be worth: golden values from outside do that.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeline import indicators
from tapeline.features import FeatureFold, FeatureSet
from tapeline.indicators.base import Indicator, Parameter, Unit, find, module_of, names
from tapeline.types import CANDLE, Bool, Float, Records

__all__ = ["CHECKS", "TestIndicators", "candles", "feature_set", "groups", "parameter_choices"]

Make = Callable[[], FeatureFold]
"""Makes a fold that has seen nothing."""

_PRICES = ("open", "high", "low", "close", "vwap", "quote_volume")
_FIELDS = tuple(name for name in (CANDLE.names or ()) if CANDLE[name].kind in "fi" and not name.endswith("_time"))


def parameter_choices(indicator: Indicator) -> list[tuple[float, ...]]:
    """Return a few small parameters within the ranges: the least, ascending and descending ones."""
    steps = [[0] * 4, [3, 7, 4, 2], [6, 2, 5, 1]]
    choices = {
        tuple(
            _within(parameter, parameter.minimum + step)
            for parameter, step in zip(indicator.parameters, row, strict=False)
        )
        for row in steps
    }
    return sorted(choices)


def _within(parameter: Parameter, value: float) -> float:
    wanted = min(max(value, parameter.minimum), parameter.maximum)
    return int(wanted) if parameter.integer else wanted


def feature_set(keys: Iterable[str]) -> FeatureSet:
    """Return one set with every choice of parameters of the named indicators."""
    texts = [f"{key}({', '.join(map(str, choice))})" for key in keys for choice in parameter_choices(find(key))]
    return FeatureSet.of(texts, name="conformance")


def owners(features: FeatureSet) -> list[Indicator]:
    """Return the indicator behind each column."""
    return [find(text.partition("(")[0]) for text in features.features for _ in find(text.partition("(")[0]).outputs]


def candles(n: int, *, seed: int = 11, quiet: bool = False) -> Records:
    """Return a random walk of n candles; with ``quiet``, some without trades, and some with a side unknown."""
    random = np.random.default_rng(seed)
    made = np.zeros(n, CANDLE)
    empty = random.random(n) < (0.3 if quiet else 0.0)
    empty[:1] = False
    made["open_time"] = np.arange(n) * 60_000_000_000
    made["close_time"] = made["open_time"] + 60_000_000_000
    made["close"] = 100.0 * np.exp(np.cumsum(np.where(empty, 0.0, random.normal(0.0, 0.01, n))))
    made["open"] = np.where(empty, made["close"], made["close"] * (1.0 + random.normal(0.0, 0.01, n)))
    for name, body, sign in (("high", np.maximum, 1.0), ("low", np.minimum, -1.0)):
        reach = np.where(empty, 0.0, random.uniform(0.001, 0.01, n))
        made[name] = body(made["open"], made["close"]) * (1.0 + sign * reach)
    made["volume"] = np.where(empty, 0.0, random.lognormal(1.0, 1.0, n))
    made["trades"] = np.where(empty, 0, random.integers(2, 50, n))
    made["buy_volume"] = made["volume"] * random.uniform(0.0, 1.0, n)
    if quiet:
        made["buy_volume"][random.random(n) < 0.2] = np.nan
    made["vwap"] = np.where(empty, np.nan, (made["high"] + made["low"]) / 2.0)
    made["quote_volume"] = np.where(empty, 0.0, made["volume"] * made["vwap"])
    made["realized_vol"] = np.where(empty, np.nan, random.uniform(0.001, 0.01, n))
    made["complete"] = True
    return made


def _run(make: Make, rows: Records) -> Float:
    return make().feed(rows).values


def differ(left: Float, right: Float) -> Bool:
    """Return per column whether any bit differs; NaN equals NaN."""
    unequal = (left.view(np.int64) != right.view(np.int64)) & ~(np.isnan(left) & np.isnan(right))
    return np.asarray(unequal.any(axis=0), np.bool_)


def _columns(features: FeatureSet, wrong: Iterable[Any], text: str) -> list[str]:
    return [f"{name}: {text}" for name, bad in zip(features.names, wrong, strict=True) if bad]


def check_warmup(features: FeatureSet, make: Make) -> list[str]:
    """Each column is NaN for exactly its warm-up, on a market with trades in every candle."""
    values = _run(make, candles(features.window + 40))
    first = [int(np.argmax(np.isfinite(column))) if np.isfinite(column).any() else len(column) for column in values.T]
    wrong = [
        f"{c.name}: warm after {f} candles, declared {c.warmup}"
        for c, f in zip(features.columns, first, strict=True)
        if f != c.warmup
    ]
    holes = [not np.isfinite(column[f:]).all() for column, f in zip(values.T, first, strict=True)]
    return wrong + _columns(features, holes, "not a number after it was warm")


def check_finite(features: FeatureSet, make: Make) -> list[str]:
    """No value is infinite, whether candles hold trades or none."""
    values = _run(make, candles(150, quiet=True))
    return _columns(features, np.asarray(np.isinf(values).any(axis=0)), "infinite")


def check_prefix(features: FeatureSet, make: Make) -> list[str]:
    """A prefix of the candles gives a prefix of the rows."""
    rows = candles(90, quiet=True)
    whole = _run(make, rows)
    wrong = [differ(_run(make, rows[:cut]), whole[:cut]) for cut in (1, 2, 13, 40, 77)]
    return _columns(features, np.any(wrong, axis=0), "changes when later candles come: it peeks")


def check_future(features: FeatureSet, make: Make) -> list[str]:
    """Other candles later on change nothing before."""
    rows, cut = candles(90, quiet=True), 60
    other = rows.copy()
    other[cut:] = candles(30, seed=12)
    return _columns(
        features, differ(_run(make, rows)[:cut], _run(make, other)[:cut]), "depends on later candles: it peeks"
    )


def check_restart(features: FeatureSet, make: Make) -> list[str]:
    """A candle marked ``restart`` begins from nothing."""
    rows, cut = candles(120, quiet=True), 50
    rows["restart"][cut] = True
    return _columns(
        features, differ(_run(make, rows)[cut:], _run(make, rows[cut:])), "remembers candles from before a restart"
    )


def check_one_row(features: FeatureSet, make: Make) -> list[str]:
    """Candles fed one at a time give the bits of the batch."""
    rows = candles(90, quiet=True)
    fold = make()
    live = np.vstack([fold.feed(rows[at : at + 1]).values for at in range(len(rows))])
    return _columns(features, differ(live, _run(make, rows)), "live and batch differ")


def check_splits(features: FeatureSet, make: Make) -> list[str]:
    """Any cuts, with a snapshot restored into a new fold at each, give the bits of one piece."""
    rows = candles(60, quiet=True)
    whole = _run(make, rows)
    wrong = np.zeros(whole.shape[1], np.bool_)

    @settings(max_examples=40, deadline=None, derandomize=True, database=None)
    @given(st.lists(st.integers(0, len(rows)), max_size=6).map(sorted))
    def cut_at(cuts: list[int]) -> None:
        wrong[:] |= differ(_in_pieces(make, rows, cuts), whole)

    cut_at()
    return _columns(features, wrong, "depends on where the candles are cut: a part of its state is in no snapshot")


def _in_pieces(make: Make, rows: Records, cuts: Sequence[int]) -> Float:
    fold, values = make(), []
    for begin, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        values.append(fold.feed(rows[begin:end]).values)
        kept = fold.snapshot()
        fold = make()
        fold.restore(kept)
    return np.vstack(values)


def check_unit(features: FeatureSet, make: Make) -> list[str]:
    """Prices in another currency scale prices and price changes, and nothing else."""
    rows = candles(90)
    dearer = rows.copy()
    for name in _PRICES:
        dearer[name] *= 4.0
    before, after = _run(make, rows), _run(make, dearer)
    complaints = []
    for index, column in enumerate(features.columns):
        factor = 4.0 if column.unit in (Unit.PRICE, Unit.PRICE_CHANGE) else 1.0
        if not np.allclose(before[:, index] * factor, after[:, index], rtol=1e-9, atol=1e-9, equal_nan=True):
            complaints.append(
                f"{column.name}: its unit is not {column.unit}: with all prices x 4 it does not change x {factor:g}"
            )
    return complaints


def check_inputs(features: FeatureSet, make: Make) -> list[str]:
    """A column depends on every field its indicator declares, and on no other."""
    rows, behind = candles(90), owners(features)
    before = _run(make, rows)
    read: dict[int, set[str]] = {}
    for field in _FIELDS:
        other = rows.copy()
        other[field] = other[field] * np.random.default_rng(5).integers(2, 5, len(rows))
        for indicator, moved in zip(behind, differ(before, _run(make, other)), strict=True):
            read.setdefault(id(indicator), set()).update([field] if moved else [])
    return [
        f"{name}: reads {sorted(read[id(indicator)])}, declared {sorted(indicator.inputs)}"
        for name, indicator in zip(features.names, behind, strict=True)
        if read[id(indicator)] != set(indicator.inputs)
    ]


def check_state(features: FeatureSet, make: Make) -> list[str]:
    """A state is plain numbers, its snapshot bytes of one length."""
    behind = {text.partition("(")[0] for text in features.features}
    objects = [f"{key}: its state holds objects" for key in sorted(behind) if _dtype(find(key)).hasobject]
    fold = make()
    before = len(fold.snapshot())
    fold.feed(candles(50))
    return objects + ([] if len(fold.snapshot()) == before else ["a snapshot grows with what was seen"])


def _dtype(indicator: Indicator) -> Any:
    return indicator.dtype(*parameter_choices(indicator)[-1])


def check_documented(features: FeatureSet, make: Make) -> list[str]:
    """A module says what its indicator is, what it gives, when it is NaN, and where it is from."""
    del make
    complaints = []
    for key in sorted({text.partition("(")[0] for text in features.features}):
        indicator, text = find(key), inspect.getdoc(module_of(key)) or ""
        wanted = {"a docstring": text, "a Source:": "Source:" in text, "an Output:": "Output:" in text}
        wanted |= {"when it is NaN": "NaN" in text, "a source": indicator.source.strip(), "inputs": indicator.inputs}
        complaints += [f"{key}: does not state {what}" for what, there in wanted.items() if not there]
    return complaints


CHECKS = (
    check_warmup,
    check_finite,
    check_prefix,
    check_future,
    check_restart,
    check_one_row,
    check_splits,
    check_unit,
    check_inputs,
    check_state,
    check_documented,
)


def groups() -> dict[str, list[str]]:
    """Return the indicators that are compiled together: all shipped ones, and each other one by itself."""
    home = Path(str(indicators.__file__)).parent
    shipped = [key for key in names() if Path(str(module_of(key).__file__)).parent == home]
    others = {key: [key] for key in names() if key not in shipped}
    return ({"shipped": shipped} if shipped else {}) | others


@cache
def _group(keys: tuple[str, ...]) -> FeatureSet:
    return feature_set(keys)


def _cases() -> Iterator[Any]:
    for group, keys in groups().items():
        for check in CHECKS:
            yield pytest.param(check, keys, id=f"{group}-{check.__name__.removeprefix('check_')}")


class TestIndicators:
    """Every indicator that can be found keeps the contract."""

    @pytest.mark.parametrize(("check", "keys"), list(_cases()))
    def test_keeps_the_contract(self, check: Callable[[FeatureSet, Make], list[str]], keys: list[str]) -> None:
        """No check complains."""
        features = _group(tuple(keys))
        assert check(features, lambda: FeatureFold(features)) == []
