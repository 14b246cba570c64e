"""Whether descriptions are what their names say, on held-out rows: the gate's checks of them.

Classes must last (the likeliest class of a row is that of the row before more often than by chance) and rise: what
follows a higher regime is more volatile, what follows a trend goes further than a walk of the same steps. Flags must be
up as often as was asked for where nothing was planted. By what they are compared with the best baseline is in
`tapeline.learning.reading`.
"""

from __future__ import annotations

import math

import numpy as np

from tapeline.evaluate import Evaluation
from tapeline.learning.gate import Check
from tapeline.learning.measures import FLAGGED, ratio
from tapeline.learning.reading import READINGS
from tapeline.learning.resample import Interval
from tapeline.models.targets import TARGETS
from tapeline.types import Float

RATE_BOUND = 2.0
"""The flagged share is called the one asked for where its interval reaches within this factor of it."""


def described(found: Evaluation, name: str, *, level: float, rate: float) -> tuple[Check, ...]:
    """Return whether a model's description is what it claims to be; nothing of targets that have outcomes."""
    if found.target == "anomaly":
        return (_flagged(found, name, level, rate),)
    if TARGETS[found.target].read_as:
        likeliest = found.answers[name].argmax(axis=1)
        return _lasting(found, name, likeliest, level), _rising(found, name, likeliest, level)
    return ()


def _flagged(found: Evaluation, name: str, level: float, rate: float) -> Check:
    columns = FLAGGED.columns(found.labels, found.said[name])
    value = float(FLAGGED.value(columns.mean(axis=0)[None])[0])
    share = found.bootstrap.around(value, FLAGGED.value(found.bootstrap.means(columns)), level)
    low, high = (share.value, share.value) if math.isnan(share.low) else (share.low, share.high)
    good = low <= RATE_BOUND * rate and high >= rate / RATE_BOUND
    told = f"{name} flagged {share.value:.2%} of quiet held-out rows [{low:.2%}, {high:.2%}], asked for {rate:.2%}"
    return Check("rate", good, f"{told}, bound a factor of {RATE_BOUND:g}")


def _lasting(found: Evaluation, name: str, likeliest: Float, level: float) -> Check:
    same = np.concatenate(([0.0], likeliest[1:] == likeliest[:-1]))
    shares = np.bincount(likeliest) / len(likeliest)
    more = found.bootstrap.interval(same - float(shares @ shares), level)
    told = f"{name} stays in its {found.target} in {same.mean():.1%} of steps, by chance in {shares @ shares:.1%}"
    return Check("persistent", more.low > 0, told)


def _rising(found: Evaluation, name: str, likeliest: Float, level: float) -> Check:
    """Compare the level of what followed each class with that of the next lower one."""
    asked = TARGETS[found.target]
    reading, names = READINGS[asked.read_as], asked.classes
    seen = [place for place in range(len(names)) if (likeliest == place).any()]
    if len(seen) < 2:
        return Check("ordered", False, f"{name} says {names[seen[0]]} of every held-out row: it tells nothing apart")
    inside = np.column_stack([likeliest == place for place in seen]).astype(np.float64)
    columns = np.hstack((inside * reading.taken(found.labels)[:, None], inside))

    def steps(means: Float) -> Float:
        return np.diff(reading.log(ratio(*np.split(means, 2, axis=1))), axis=1)

    values, draws = steps(columns.mean(axis=0)[None])[0], steps(found.bootstrap.means(columns))
    rises = [_around(found, value, draw, level) for value, draw in zip(values.tolist(), draws.T, strict=True)]
    told = ", ".join(
        f"{names[high]} is {math.exp(rise.value):.2f} times {names[low]} [{math.exp(rise.low):.2f}, "
        f"{math.exp(rise.high):.2f}]"
        for low, high, rise in zip(seen, seen[1:], rises, strict=False)
    )
    return Check("ordered", all(rise.low > 0 for rise in rises), f"{reading.what} that followed {name}: {told}")


def _around(found: Evaluation, value: float, draws: Float, level: float) -> Interval:
    """Return the interval of a rise; resamples in which a class does not come say nothing of it."""
    return found.bootstrap.around(value, draws[~np.isnan(draws)], level)
