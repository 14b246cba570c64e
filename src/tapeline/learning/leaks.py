"""The leak detector: does anything a model sees at ``as_of`` depend on what came later?

Run before a model is accepted. A leak by design shows when the future is cut off or changed; a leak in the procedure
shows when outcomes are shuffled and an edge is found nevertheless.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tapeline.clock import format_time
from tapeline.errors import BrokenInvariant, NotEnoughData
from tapeline.types import Float, Records

Build = Callable[[Records], Float]
"""Candles (n records of `CANDLE`) to the values a model sees (n x k)."""

_PRICES = ("open", "high", "low", "close", "vwap")
_AMOUNTS = ("volume", "quote_volume", "buy_volume", "realized_vol")


@dataclass(frozen=True, slots=True)
class Leak:
    """A column whose value at ``as_of`` changed when only what came later was changed."""

    kind: str
    column: str
    as_of: int
    value: float
    other: float

    def __str__(self) -> str:
        changed = f"{self.value!r} with the future, {self.other!r} with {self.kind}"
        return f"leak: column {self.column} at {format_time(self.as_of)} knows what comes later ({changed})"


def check_leaks(build: Build, candles: Records, columns: Sequence[str], *, seed: int = 0, cuts: int = 5) -> list[Leak]:
    """Build the values with the future cut off, and with another future; name each column that notices, once per way.

    Args:
        build: candles to values.
        candles: n records of `CANDLE` in order of time, n >= 2.
        columns: names of the k values.
        seed: of the instants and of the other futures.
        cuts: how many instants to try, spread over the candles.

    Returns:
        The leaks: empty where every row before a cut is the same to the bit, whatever follows.

    Raises:
        NotEnoughData: there are fewer than 2 candles.
        BrokenInvariant: ``build`` does not give one row per candle.
    """
    if len(candles) < 2:
        raise NotEnoughData("leak check", "has too few candles", expected="at least 2", was=len(candles))
    whole = _built(build, candles, columns)
    found: dict[tuple[str, str], Leak] = {}
    for cut, other in _futures(candles, seed, cuts):
        kind = "a truncated future" if len(other) == cut else "a perturbed future"
        for leak in _differences(kind, candles, columns, whole[:cut], _built(build, other, columns)[:cut]):
            found.setdefault((leak.kind, leak.column), leak)
    return list(found.values())


def _futures(candles: Records, seed: int, cuts: int) -> Iterator[tuple[int, Records]]:
    """Yield per cut the candles without, and with other, rows from it on."""
    generator = np.random.default_rng(seed)
    n = len(candles)
    edges = np.linspace(1, n, cuts + 1)
    for low, high in pairwise(edges):
        cut = min(n - 1, max(1, int(generator.uniform(low, high))))
        yield cut, candles[:cut].copy()
        other = candles.copy()
        moves = np.exp(np.cumsum(generator.normal(0.001, 0.02, n - cut)))
        for name in _PRICES:
            other[name][cut:] *= moves
        for name in _AMOUNTS:
            other[name][cut:] *= generator.uniform(0.5, 3.0, n - cut)
        other["trades"][cut:] += generator.integers(1, 50, n - cut)
        yield cut, other


def _built(build: Build, candles: Records, columns: Sequence[str]) -> Float:
    values = build(candles)
    if values.shape != (len(candles), len(columns)):
        rule = f"{len(candles)} x {len(columns)} values"
        raise BrokenInvariant("leak check", "the values do not fit the candles", expected=rule, was=values.shape)
    return values


def _differences(kind: str, candles: Records, columns: Sequence[str], value: Float, other: Float) -> Iterator[Leak]:
    differs = ~((value == other) | (np.isnan(value) & np.isnan(other)))
    for column in np.flatnonzero(differs.any(axis=0)).tolist():
        row = int(np.flatnonzero(differs[:, column])[-1])
        at = int(candles["close_time"][row])
        yield Leak(kind, columns[column], at, float(value[row, column]), float(other[row, column]))


def shuffled(labels: Float, seed: int) -> Float:
    """Return the outcomes in random order: nothing is left to find in them."""
    return np.random.default_rng(seed).permutation(labels)
