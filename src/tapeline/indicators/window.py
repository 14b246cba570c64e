"""Windows of past values, for the state of indicators: a ring that is a plain row of numbers.

A ring of length n and a count of values seen so far hold the last n values. Sums are taken afresh over the ring, not
carried along: they do not drift over months, and an empty window sums to exactly zero.
"""

from __future__ import annotations

import math
from typing import Any

from numba.extending import register_jitable


@register_jitable
def push(ring: Any, seen: int, value: float) -> float:
    """Put the value number ``seen`` (from 0) into the ring, and return the one it replaces.

    >>> ring = [0.0, 0.0]; [push(ring, i, v) for i, v in enumerate([5.0, 6.0, 7.0])]
    [0.0, 0.0, 5.0]
    """
    slot = seen % len(ring)
    replaced: float = ring[slot]
    ring[slot] = value
    return replaced


@register_jitable
def back(ring: Any, seen: int, steps: int) -> float:
    """Return the value ``steps`` before the newest one; ``seen`` counts the newest."""
    value: float = ring[(seen - 1 - steps) % len(ring)]
    return value


@register_jitable
def total(ring: Any) -> float:
    """Return the sum of the ring."""
    s = 0.0
    for value in ring:
        s += value
    return s


@register_jitable
def mean(ring: Any) -> float:
    """Return the mean of the ring."""
    return total(ring) / len(ring)


@register_jitable
def deviation(ring: Any, freedom: int) -> float:
    """Return the standard deviation of the ring, with ``len(ring) - freedom`` in the denominator.

    Distances to the mean are summed, and the mean is taken from the first value on: equal values give exactly 0.

    >>> deviation([1.0, 2.0, 3.0], 1), deviation([0.1, 0.1, 0.1], 1)
    (1.0, 0.0)
    """
    n = len(ring)
    base: float = ring[0]
    s = 0.0
    for value in ring:
        s += value - base
    centre = s / n
    s = 0.0
    for value in ring:
        s += (value - base - centre) * (value - base - centre)
    return math.sqrt(s / (n - freedom))


@register_jitable
def highest(ring: Any) -> float:
    """Return the largest value of the ring."""
    top: float = ring[0]
    for value in ring:
        top = max(top, value)
    return top


@register_jitable
def lowest(ring: Any) -> float:
    """Return the smallest value of the ring."""
    bottom: float = ring[0]
    for value in ring:
        bottom = min(bottom, value)
    return bottom


@register_jitable
def smoothed(average: float, value: float, seen: int, window: int) -> float:
    """Move an exponential average on to its value number ``seen`` (from 1), by 2 / (window + 1) of the distance.

    It begins as the mean of the first ``window`` values; before that it is their running sum.

    >>> smoothed(6.0, 2.0, 2, 2), smoothed(4.0, 1.0, 3, 2)
    (4.0, 2.0)
    """
    if seen < window:
        return average + value
    if seen == window:
        return (average + value) / window
    return average + (value - average) * (2.0 / (window + 1.0))


@register_jitable
def true_range(high: float, low: float, last_close: float) -> float:
    """Return the range of a candle with the previous close in it."""
    return max(high, last_close) - min(low, last_close)
