"""Live errors of answers to other targets than the return, beside what anyone could say who knows what came before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from tapeline.duel import UNITS, Score, came, deciding, has_duels, numbers, scores
from tapeline.learning.metrics import Metric
from tapeline.models.targets import TARGETS
from tapeline.stores.base import Store
from tapeline.types import Answer, Float, Int

_LATELY = 30


@dataclass(frozen=True, slots=True)
class AnswerError:
    """How one version of a model that answers did live, beside what follows from the outcomes known at each row.

    That baseline says the shares of the classes so far (Laplace), of a volatility the median of the last 30. It stands
    as the champion in ``error`` and ``hits``. ``late`` answers, made when the outcome was known, are left out.
    """

    first: Answer
    outcomes: int
    late: int
    error: Score
    hits: Score | None

    @property
    def metric(self) -> Metric:
        """Return what decides, live as by the gate."""
        return deciding(self.first.target)

    @property
    def unit(self) -> tuple[str, float]:
        """Return in what errors are told, and by what they become numbers of that."""
        return UNITS[self.metric.name]

    @property
    def worse(self) -> bool:
        """Return whether it loses to the baseline with its whole interval."""
        return self.error.gain.high < 0


def answer_errors(store: Store, answers: Sequence[Answer]) -> list[AnswerError]:
    """Return how each version did on the answers whose outcome is known; descriptions have none."""
    judged = sorted((one for one in answers if has_duels(one.target)), key=lambda one: (_version(one), one.as_of))
    found = (_answer_error(store, list(group)) for _, group in groupby(judged, _version))
    return [one for one in found if one is not None]


def _version(one: Answer) -> tuple[str, str, int, str, str]:
    return one.instrument, one.timeframe, one.horizon, one.target, one.model_version


def _answer_error(store: Store, made: Sequence[Answer]) -> AnswerError | None:
    first = made[0]
    told = came(store, first, [one.as_of for one in made])
    known = [one for one in made if not np.isnan(told[one.as_of][0])]
    fair = [one for one in known if one.made_at < told[one.as_of][1]]
    if not fair:
        return None
    true, known_at = np.array([told[one.as_of] for one in fair]).reshape(-1, 2).T
    base = _known_before(first.target, np.array([one.as_of for one in fair]), true, known_at.astype(np.int64))
    usable = ~np.isnan(base.reshape(len(fair), -1)).any(axis=1)
    if not usable.any():
        return None
    said = np.array([numbers(one, first.target) for one in fair])
    error, hits = scores(first, true[usable], [base[usable], said[usable]])
    return AnswerError(first, int(usable.sum()), len(known) - len(fair), error, hits)


def _known_before(target: str, as_of: Int, true: Float, known_at: Int) -> Float:
    """Return what follows from the outcomes known at each row, NaN where none is and one is needed."""
    order = np.argsort(known_at, kind="stable")
    count = np.searchsorted(known_at[order], as_of, side="right")
    ended = true[order]
    if target == "volatility":
        lately = [np.median(ended[max(0, many - _LATELY) : many]) if many else np.nan for many in count.tolist()]
        return np.array(lately)
    classes = max(2, len(TARGETS[target].classes))
    seen = np.vstack((np.zeros(classes), np.cumsum(ended[:, None] == np.arange(classes), axis=0)))[count]
    shares: Float = (seen + 1) / (count[:, None] + classes)
    return shares if TARGETS[target].classes else shares[:, 1]
