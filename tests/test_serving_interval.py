"""The interval of a champion follows what came, and stands where it stands whoever served the rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from itertools import pairwise

import numpy as np
import pytest
from tests.learned import HORIZON, MODEL, NAME, TRAINED, artifact, candles, store_with_champion

from tapeline.answering import Answering
from tapeline.answering import Predictor as Answers
from tapeline.clock import MINUTE
from tapeline.errors import SnapshotMismatch
from tapeline.features import FeatureFold
from tapeline.learning.artifact import Artifact
from tapeline.learning.conformal import rate_of
from tapeline.models import base
from tapeline.predict import Predictor
from tapeline.registry import Registry
from tapeline.serving import Champion, ServedFold
from tapeline.stores.memory import MemoryStore
from tapeline.types import Prediction, Records

LIVE, SOME = 6000, 360
CUT = TRAINED + SOME // 2
END = 2.87e-3
"""A return over five rows of training stays within this in four cases of five."""


def louder() -> Records:
    """Return the candles of the training, then twice as loud ones."""
    made = candles(TRAINED + LIVE)
    steps = 2e-3 * np.random.default_rng(5).standard_normal(LIVE)
    made["close"][TRAINED:] = made["close"][TRAINED - 1] * np.exp(steps.cumsum())
    return made


LOUDER = louder()


@pytest.fixture(scope="module", params=["ridge", "windowed"])
def learnt(request: pytest.FixtureRequest) -> Iterator[tuple[MemoryStore, Artifact]]:
    """Keep a model whose ends follow: one that sees the row alone, or one that looks back over seven."""
    store = store_with_champion()
    trained_to = int(LOUDER["close_time"][TRAINED - 1])
    with pytest.MonkeyPatch.context() as patch:
        entry = EntryPoint("theirs", "tests.windowed", "tapeline.models")
        patch.setattr(base, "entry_points", lambda group: [entry])
        made = replace(
            artifact(store, request.param), trained_to=trained_to, low=-END, high=END, interval_rate=rate_of(5)
        )
        Registry(store).register(made, now=1)
        Registry(store).promote(made.name, made.version, now=1)
        yield store, made


def served(learnt: tuple[MemoryStore, Artifact]) -> tuple[Champion, ServedFold]:
    store, made = learnt
    champion = Champion.of(store, MODEL, made.version)
    return champion, ServedFold(champion)


def predict(champion: Champion, fold: FeatureFold, part: Records) -> list[Prediction]:
    """Return what is said of candles; a probability that nobody gave is 0, so that equal ones are equal."""
    said = champion.predict(NAME, fold.feed(part), part["close"])
    return [replace(one, p_up=0.0) for one in said if isinstance(one, Prediction)]


@pytest.fixture(scope="module")
def whole(learnt: tuple[MemoryStore, Artifact]) -> list[Prediction]:
    champion, fold = served(learnt)
    return [one for one in predict(champion, fold, LOUDER) if one.as_of > LOUDER["close_time"][TRAINED - 1]]


def test_one_by_one_with_a_restart_at_every_row_is_the_same_as_together(
    learnt: tuple[MemoryStore, Artifact], whole: list[Prediction]
) -> None:
    champion, fold = served(learnt)
    champion.warm(fold.feed(LOUDER[:TRAINED]), LOUDER["close"][:TRAINED])
    made = []
    for row in range(TRAINED, TRAINED + SOME):
        again, fold_again = served(learnt)
        fold_again.restore(fold.snapshot())
        champion, fold = again, fold_again
        made += predict(champion, fold, LOUDER[row : row + 1])
    assert made == whole[:SOME]
    assert len(made) == SOME


@pytest.mark.parametrize("loaded", [TRAINED - 100, TRAINED, TRAINED + 1, TRAINED + 7, CUT])
def test_a_model_loaded_later_stands_where_one_stands_that_was_never_away(
    learnt: tuple[MemoryStore, Artifact], whole: list[Prediction], loaded: int
) -> None:
    champion, fold = served(learnt)
    champion.warm(fold.feed(LOUDER[:loaded]), LOUDER["close"][:loaded])
    made = predict(champion, fold, LOUDER[loaded:])
    assert [one for one in made if one.as_of >= whole[0].as_of] == whole[max(0, loaded - TRAINED) :]


def test_warmed_in_two_parts_is_warmed(learnt: tuple[MemoryStore, Artifact]) -> None:
    states = []
    for edges in ([0, CUT], [0, 50, TRAINED + 3, CUT]):
        champion, fold = served(learnt)
        for a, b in pairwise(edges):
            champion.warm(fold.feed(LOUDER[a:b]), LOUDER["close"][a:b])
        states.append(fold.snapshot())
    assert states[0] == states[1]


def test_intervals_keep_what_they_promise_where_the_artefacts_own_do_not(
    learnt: tuple[MemoryStore, Artifact], whole: list[Prediction]
) -> None:
    came = {int(row["close_time"]): float(row["close"]) for row in LOUDER}
    known = [one for one in whole if one.target_time in came]
    returns = np.array([np.log(came[one.target_time] / one.close) for one in known])
    low, high, said = np.array([(one.low, one.high, one.value) for one in known]).T
    inside = ((returns >= low) & (returns <= high)).mean()
    fixed = ((returns >= said - END) & (returns <= said + END)).mean()
    print(f"covered {inside:.3f}, with ends that stay {fixed:.3f}")
    assert fixed < 0.55
    assert abs(inside - 0.8) < 0.02


def test_without_a_state_the_ends_are_the_artefacts_own(learnt: tuple[MemoryStore, Artifact]) -> None:
    predictor = Predictor([learnt[1]])
    rows, as_of = np.zeros((7, len(predictor.columns))), MINUTE * np.arange(7)
    made = predictor.predict_rows(rows, as_of=as_of, close=np.ones(7), made_at=0)[-1]
    assert made is not None
    assert (made.low, made.high) == (made.value - END, made.value + END)


def test_a_state_of_before_is_refused_and_the_model_warmed_anew(
    learnt: tuple[MemoryStore, Artifact], whole: list[Prediction]
) -> None:
    champion, fold = served(learnt)
    champion.warm(fold.feed(LOUDER[:CUT]), LOUDER["close"][:CUT])
    assert champion.interval is not None
    of_before = fold.snapshot()[: -champion.interval.size]
    with pytest.raises(SnapshotMismatch):
        served(learnt)[1].restore(of_before)

    def load(key: str, until: int) -> tuple[Answers, FeatureFold]:
        again, fold_again = served(learnt)
        closed = LOUDER[LOUDER["close_time"] <= until]
        again.warm(fold_again.feed(closed), closed["close"])
        return again, fold_again

    answering = Answering(NAME, load)
    answering.restore([champion.key], [of_before], int(LOUDER["close_time"][CUT - 1]))
    assert answering.snapshot() == [fold.snapshot()]
    made = answering.predict("1m", LOUDER[CUT:])
    assert [replace(one, p_up=0.0) for one in made if isinstance(one, Prediction)] == whole[CUT - TRAINED :]


def test_an_artefact_whose_ends_stay_serves_as_before(learnt: tuple[MemoryStore, Artifact]) -> None:
    store, made = learnt
    stays = replace(made, interval_rate=0.0)
    Registry(store).register(stays, now=2)
    champion = Champion.of(store, MODEL, stays.version)
    fold = ServedFold(champion)
    assert champion.interval is None
    assert len(fold.snapshot()) == len(FeatureFold(champion.features).snapshot()) + champion.recent.size
    said = predict(champion, fold, LOUDER)
    assert {(one.low, one.high) for one in said} == {(one.value - END, one.value + END) for one in said}
    assert said[0].target_time == said[0].as_of + HORIZON
