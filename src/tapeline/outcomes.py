"""Outcomes: stored predictions joined with the candles that tell what came, and how well a model did live.

Nothing here is stored: an outcome is a pure join of two kinds, so it is joined once by construction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from tapeline.clock import DAY, format_time
from tapeline.errors import UsageError
from tapeline.learning.resample import BlockBootstrap, Interval, block_length
from tapeline.monitor.change import ChangeDetector
from tapeline.registry import Registry
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.types import Bool, Float, Int, Prediction, Records, Timeframe

LEVEL = 0.95
PARTS = ("version", "day", "hour", "age")
"""By what live error can be told apart: only the version, also the day, the hour (UTC), or days since training."""
Part = Callable[[Prediction], str]
_RESAMPLES = 1000
_SEED = 7
UNKNOWN = Interval(np.nan, np.nan, np.nan)
_HALF_LIFE = 60


@dataclass(frozen=True, slots=True)
class Came:
    """The candle that closed at the target of a prediction: when, at what price, and whether it is complete."""

    known_at: int
    close: float
    complete: bool


@dataclass(frozen=True, slots=True)
class LiveError:
    """How one model version did; errors are absolute errors of the log return, the baseline says 0.

    ``excluded`` predictions were late (``late`` of them), or ended in a candle that is not complete. ``hit_rate`` is
    None where no direction could be judged. ``brier`` is the mean squared error of the probability of going up, None
    where none was given; ``calibration`` how far, on average over ten bins, that probability was from the share that
    went up. ``part`` tells which predictions of the version these are. ``squared`` is the gain in squared error, by
    which models are chosen, and here judged: where most returns are 0, nothing beats "the price stays" in absolute
    error. ``worsened`` is when its error was last noticed to have risen beside the baseline's (ns UTC), None where it
    never did, or fell since.
    """

    instrument: str
    timeframe: str
    horizon: int
    model: str
    model_version: str
    predictions: int
    excluded: int
    first: int
    last: int
    error: Interval
    baseline: Interval
    gain: Interval
    hit_rate: Interval | None
    inside: float
    late: int = 0
    brier: Interval | None = None
    calibration: float = np.nan
    part: str = ""
    worsened: int | None = None
    squared: Interval = UNKNOWN

    @property
    def edge(self) -> bool:
        """Return whether it beats the baseline with its whole interval."""
        return self.gain.low > 0

    @property
    def worse(self) -> bool:
        """Return whether it loses to the baseline in squared error with its whole interval."""
        return self.squared.high < 0


def joined(store: Store, predictions: Sequence[Prediction]) -> list[Came | None]:
    """Return for each prediction what came, None while that is not known."""
    found: list[Came | None] = [None] * len(predictions)
    order = sorted(range(len(predictions)), key=lambda at: _series(predictions[at]))
    for (instrument, timeframe), group in groupby(order, key=lambda at: _series(predictions[at])):
        places = list(group)
        for at, came in zip(
            places, _came(store, instrument, timeframe, [predictions[at] for at in places]), strict=True
        ):
            found[at] = came
    return found


def _series(prediction: Prediction) -> tuple[str, str]:
    return prediction.instrument, prediction.timeframe


def _came(store: Store, instrument: str, timeframe: str, made: Sequence[Prediction]) -> list[Came | None]:
    targets = np.array([one.target_time for one in made])
    size = Timeframe.parse(timeframe).size
    candles = closed(store, instrument, timeframe, int(targets.min()) - size, int(targets.max()) - size + 1)
    if not len(candles):
        return [None] * len(made)
    at = np.minimum(np.searchsorted(candles["close_time"], targets), len(candles) - 1)
    known = candles["close_time"][at] == targets
    return [
        Came(int(row["close_time"]), float(row["close"]), bool(row["complete"])) if there else None
        for row, there in zip(candles[at], known.tolist(), strict=True)
    ]


def closed(store: Store, instrument: str, timeframe: str, start: int, end: int) -> Records:
    """Return the stored candles that opened in [start, end): ours, and where there are none those made by others."""
    stored = store.read("candles", instrument=instrument, start=start, end=end, timeframe=timeframe)
    ours = stored.filter(np.array([source == "trades" for source in stored["source"].to_pylist()], np.bool_))
    return rows.to_candles(ours if ours.num_rows else stored)


def parted(store: Store, by: str) -> Part:
    """Return what tells the predictions of one version apart, by one of `PARTS`.

    Raises:
        UsageError: it is none of them.
    """
    if by not in PARTS:
        raise UsageError("live error", "cannot be parted", expected=f"by one of {', '.join(PARTS)}", was=by)
    if by != "age":
        cut = {"version": slice(0), "day": slice(10), "hour": slice(11, 13)}[by]
        return lambda one: format_time(one.as_of)[cut]
    trained: dict[tuple[str, str], int] = {}
    for entry in Registry(store).entries():
        trained[entry.instrument, entry.version] = entry.created_at

    def age(one: Prediction) -> str:
        since = trained.get((one.instrument, one.model_version.partition("+")[0]))
        return "" if since is None else f"{max(0, one.as_of - since) // DAY} d"

    return age


def live_errors(store: Store, predictions: Sequence[Prediction], part: Part = lambda one: "") -> list[LiveError]:
    """Return how each part of each model version did on the predictions whose outcome is known."""
    pairs = [(one, came) for one, came in zip(predictions, joined(store, predictions), strict=True) if came is not None]

    def version(pair: tuple[Prediction, Came]) -> tuple[str, str, int, str, str, str]:
        one = pair[0]
        return one.instrument, one.timeframe, one.horizon, one.model, one.model_version, part(one)

    made = []
    for key, group in groupby(sorted(pairs, key=version), version):
        together = list(group)
        late = sum(one.made_at >= one.target_time for one, _ in together)
        fair = [(one, came) for one, came in together if came.complete and one.made_at < one.target_time]
        if fair:
            made.append(replace(_judged(fair, len(together) - len(fair)), late=late, part=key[-1]))
    return made


def _judged(pairs: Sequence[tuple[Prediction, Came]], excluded: int) -> LiveError:
    ordered = sorted(pairs, key=lambda pair: pair[0].as_of)
    first = ordered[0][0]
    said, low, high, p_up, close = np.array([(p.value, p.low, p.high, p.p_up, p.close) for p, _ in ordered]).T
    came = np.log(np.array([found.close for _, found in ordered]) / close)
    overlap = max(1, first.horizon // Timeframe.parse(first.timeframe).step)
    errors, baseline = np.abs(said - came), np.abs(came)
    judged = ~np.isnan(p_up) & (came != 0)
    probable, rose = p_up[judged], (came > 0)[judged].astype(np.float64)
    return LiveError(
        first.instrument,
        first.timeframe,
        first.horizon,
        first.model,
        first.model_version,
        len(ordered),
        excluded,
        first.as_of,
        ordered[-1][0].as_of,
        mean_of(errors, overlap),
        mean_of(baseline, overlap),
        mean_of(baseline - errors, overlap),
        _hits(np.where(np.isnan(p_up), said, p_up - 0.5), came, overlap),
        float(((low <= came) & (came <= high)).mean()),
        brier=mean_of((probable - rose) ** 2, overlap) if len(rose) else None,
        calibration=_calibration(probable, rose),
        worsened=_worsened(np.array([one.as_of for one, _ in ordered]), errors - baseline, baseline, overlap),
        squared=mean_of(baseline**2 - errors**2, overlap),
    )


def _worsened(as_of: Int, losses: Float, baseline: Float, overlap: int) -> int | None:
    """Return when a loss beside the baseline's was noticed to have risen, unless it fell since (rows in order of time).

    Of outcomes that overlap the mean is one number; each is measured by the baseline's error of late, for a market that
    gets loud makes no model worse.
    """
    count = len(losses) // overlap
    beside, size = (rows[: count * overlap].reshape(count, overlap).mean(axis=1) for rows in (losses, baseline))
    keep, usual = 0.5 ** (1 / _HALF_LIFE), 0.0
    scaled = np.full(count, np.nan)
    for at in range(count):
        if usual > 0:
            scaled[at] = beside[at] / usual
        usual = size[at] if usual == 0 else keep * usual + (1 - keep) * size[at]
    known = np.flatnonzero(np.isfinite(scaled))
    changes = ChangeDetector().update_all(scaled[known])
    if not changes or not changes[-1].rose:
        return None
    return int(as_of[known[changes[-1].at] * overlap + overlap - 1])


def _hits(said: Float, came: Float, overlap: int) -> Interval | None:
    judged: Bool = (said != 0) & (came != 0)
    if not judged.any():
        return None
    return mean_of((np.sign(said) == np.sign(came))[judged].astype(np.float64), overlap)


def _calibration(probable: Float, rose: Float) -> float:
    """Return the expected calibration error over ten bins of equal width, NaN without any probability."""
    if not len(rose):
        return np.nan
    bins = np.minimum((probable * 10).astype(np.int64), 9)
    apart = np.bincount(bins, probable - rose, 10)
    return float(np.abs(apart).sum() / len(rose))


def mean_of(values: Float, overlap: int) -> Interval:
    """Return the mean of values in order of time, ``overlap`` of which share an outcome, with its interval."""
    block = block_length(len(values), overlap)
    if len(values) <= block:
        return Interval(float(values.mean()), np.nan, np.nan)
    return BlockBootstrap(len(values), block=block, resamples=_RESAMPLES, seed=_SEED, overlap=overlap).interval(
        values, LEVEL
    )
