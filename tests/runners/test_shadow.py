"""Challengers beside the champion: what they say is kept apart, and they are promoted, refused or cut off."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pytest
from tests.learned import MODEL, NAME, SETTINGS, TRAINED, artifact, candles, store_with_champion

from tapeline.clock import HOUR, MINUTE, ManualClock
from tapeline.duel import compared
from tapeline.errors import StoreUnavailable
from tapeline.learning.artifact import Artifact
from tapeline.learning.outcomes import outcomes
from tapeline.models.targets import TARGETS
from tapeline.registry import Registry
from tapeline.runners.shadow import Shadow
from tapeline.runs import challenge
from tapeline.serving import Champion
from tapeline.simulator.market import JANUARY_2024
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.types import Answer, Float, Prediction, Timeframe

Result = TypeVar("Result")
BEGUN = JANUARY_2024 + TRAINED * MINUTE


class Stage:
    """A store that grows by candles, its champion, a challenger, and the clock."""

    def __init__(self) -> None:
        self.store = store_with_champion(candles()[TRAINED : TRAINED + 1])
        self.clock = ManualClock(BEGUN)
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.shadow = Shadow(SETTINGS, self.reader, self, clock=self.clock, tell=self.tell, patience=120.0)

    @contextmanager
    def reader(self) -> Iterator[Store]:
        yield self.store

    def tell(self, event: str, **what: Any) -> None:
        self.told.append((event, what))

    async def change(self, function: Callable[[Store], Result]) -> Result:
        return function(self.store)

    def challenge(self, made: Artifact) -> str:
        registry = Registry(self.store)
        version = registry.register(made, now=BEGUN)
        challenge(registry, made, now=BEGUN, why="edge found")
        return version

    async def live(self, minutes: int, *, at_once: int = 2) -> None:
        """Let candles close, some at once, and challengers look at them."""
        newer = candles()[TRAINED + 1 : TRAINED + 1 + minutes]
        for part in np.array_split(newer, minutes // at_once):
            self.store.append("candles", rows.from_candles(NAME, "1m", part, source="imported"))
            self.clock.advance(len(part) * MINUTE)
            await self.shadow.step()

    def said_by_champion(self, error: float) -> None:
        """Store what the champion is supposed to have said: what came, and an error."""
        made = rows.to_predictions(self.store.read("shadow_predictions"))
        champion = Champion.of(self.store, MODEL)
        version = champion.predictor.version
        closes = {int(row["close_time"]): float(row["close"]) for row in candles()}
        told = [
            replace(
                one,
                id=f"c{one.as_of}",
                made_at=one.as_of,
                model_version=version,
                value=float(np.log(closes[one.target_time] / one.close)) + error,
            )
            for one in made
            if one.target_time in closes
        ]
        self.store.append("predictions", rows.from_predictions(told))

    def other_champion(self, target: str, right: bool) -> tuple[str, Float, Float]:
        """Let a champion of another target than the return have said of each row what came, or the opposite.

        Return its version, with what it said of the rows whose outcome is known, and what came.
        """
        made = artifact(self.store, "constant" if target == "volatility" else "majority", target=target)
        Registry(self.store).register(made, now=BEGUN)
        Registry(self.store).promote(made.name, made.version, now=BEGUN)
        labels, challenged = labels_of(target), rows.to_answers(self.store.read("shadow_answers"))
        known = [one for one in challenged if not np.isnan(labels.get(one.as_of, np.nan))]
        truth = np.array([labels[one.as_of] for one in known])
        said = np.array([opinion(target, came, right) for came in truth])
        told = [
            replace(one, id=f"c{one.as_of}", model_version=made.version, said=tuple(np.atleast_1d(what).tolist()))
            for one, what in zip(known, said, strict=True)
        ]
        if target == "direction":
            self.store.append("predictions", rows.from_predictions(as_prediction(one) for one in told))
        else:
            self.store.append("answers", rows.from_answers(told))
        return made.version, said, truth

    def status(self, version: str) -> str:
        return next(entry.status for entry in Registry(self.store).entries() if entry.version == version)

    def history(self, version: str) -> list[dict[str, Any]]:
        entry = next(entry for entry in Registry(self.store).entries() if entry.version == version)
        found: list[dict[str, Any]] = entry.record["history"]
        return found


def labels_of(target: str) -> dict[int, float]:
    """Return what came after each candle, by its close."""
    whole = candles()
    came = np.full(len(whole), np.nan)
    came[:-5] = np.log(whole["close"][5:] / whole["close"][:-5])
    others = outcomes(whole, Timeframe.parse("1m"), 5 * MINUTE, came)
    values = (came > 0).astype(float) if target == "direction" else others[target].values
    return dict(zip(whole["close_time"][:-5].tolist(), values.tolist(), strict=False))


def opinion(target: str, came: float, right: bool) -> Float:
    """Return an answer that is near to what came, or far from it."""
    if target == "volatility":
        return np.array(came * (1.001 if right else 9.0))
    if target == "direction":
        return np.array(0.9 if (came == 1) == right else 0.1)
    place = int(came) if right else (int(came) + 1) % 3
    return np.array([0.98 if at == place else 0.01 for at in range(3)])


def as_prediction(one: Answer) -> Prediction:
    """Return the prediction in which a champion of the direction says it, beside a return of another model."""
    shared = ("id", "instrument", "timeframe", "made_at", "as_of", "horizon", "feature_set", "feature_version")
    told: dict[str, Any] = {name: getattr(one, name) for name in (*shared, "row_hash")}
    told |= {"model": f"ridge+{one.model}", "model_version": f"other+{one.model_version}"}
    target_time = one.as_of + one.horizon
    return Prediction(**told, target_time=target_time, value=0.0, low=-1.0, high=1.0, close=1.0, p_up=one.said[0])


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    yield made
    made.shadow.close()


async def test_what_a_challenger_says_is_kept_apart_and_each_row_once(stage: Stage) -> None:
    version = stage.challenge(artifact(stage.store, "huber"))
    await stage.live(20)
    made = rows.to_predictions(stage.store.read("shadow_predictions"))
    assert [one.as_of for one in made] == [BEGUN + (at + 1) * MINUTE for at in range(21)]
    assert {one.model_version for one in made} == {version}
    assert stage.store.read("predictions").num_rows == 0
    assert stage.status(version) == "challenger"


@pytest.mark.parametrize(("error", "status"), [(0.01, "champion"), (0.0, "refused")])
async def test_the_same_outcomes_decide_who_answers(stage: Stage, error: float, status: str) -> None:
    before = Registry(stage.store).champion(NAME, "1m", 5 * MINUTE)
    version = stage.challenge(artifact(stage.store, "huber"))
    await stage.live(50, at_once=4)
    stage.said_by_champion(error)
    assert stage.status(version) == "challenger"
    stage.clock.advance(HOUR)
    await stage.shadow.step()
    assert stage.status(version) == status
    last = stage.history(version)[-1]
    assert last["by"] == "shadow"
    assert last["numbers"]["outcomes"] >= 30
    assert (last["numbers"]["gain"] > 0) == (status == "champion")
    assert before is not None
    assert stage.status(before.version) == ("retired" if status == "champion" else "champion")


@pytest.mark.parametrize(
    ("target", "model", "right"),
    [
        ("direction", "logistic", True),
        ("direction", "logistic", False),
        ("direction3", "logistic", False),
        ("barrier", "logistic", False),
        ("volatility", "ridge", True),
    ],
)
async def test_other_targets_are_judged_by_what_came_too(stage: Stage, target: str, model: str, right: bool) -> None:
    challenger = artifact(stage.store, model, target=target)
    version = stage.challenge(challenger)
    await stage.live(50, at_once=4)
    made = rows.to_answers(stage.store.read("shadow_answers"))
    assert [one.as_of for one in made] == [BEGUN + (at + 1) * MINUTE for at in range(51)]
    assert {(one.target, one.model_version, len(one.said)) for one in made} == {
        (target, version, TARGETS[target].width)
    }
    assert stage.store.read("shadow_predictions").num_rows == 0
    champion, _, truth = stage.other_champion(target, right)
    stage.clock.advance(HOUR)
    await stage.shadow.step()
    assert stage.status(version) == ("refused" if right else "champion")
    assert stage.status(champion) == ("champion" if right else "retired")
    numbers = stage.history(version)[-1]["numbers"]
    assert 46 - 5 <= numbers["outcomes"] <= 46 <= len(truth)
    assert numbers["metric"] == ("mae" if target == "volatility" else "log_loss")
    assert numbers["gain_low"] <= numbers["gain"] <= numbers["gain_high"]


async def test_a_direction_is_judged_by_log_loss_and_hits(stage: Stage) -> None:
    challenger = artifact(stage.store, "logistic", target="direction")
    version = stage.challenge(challenger)
    await stage.live(50, at_once=4)
    champion, said, truth = stage.other_champion("direction", right=True)
    stage.store.append("candles", rows.from_candles(NAME, "1m", candles()[TRAINED : TRAINED + 60], source="imported"))
    assert {*said.tolist()} == {0.1, 0.9}
    theirs = {one.as_of: one.said[0] for one in rows.to_answers(stage.store.read("shadow_answers"))}
    p_up = np.array([theirs[one.as_of] for one in rows.to_predictions(stage.store.read("predictions"))])
    loss = -np.log(np.where(truth == 1, p_up, 1 - p_up)).mean()
    hits = ((p_up > 0.5) == truth).mean()
    found = {row["version"]: row for row in compared(stage.store, challenger.name)}
    assert (found[version]["outcomes"], found[version]["metric"], found[version]["unit"]) == (51, "log_loss", "nats")
    assert found[version]["error"] == pytest.approx(loss)
    assert found[version]["gain"] == pytest.approx(-np.log(0.9) - loss)
    assert found[version]["hit_rate"] == pytest.approx(hits)
    assert found[version]["hit_gain"] == pytest.approx(hits - 1)
    assert found[version]["hit_gain_low"] < found[version]["hit_gain"] < found[version]["hit_gain_high"]
    assert (found[champion]["gain"], found[champion]["hit_rate"]) == (0, 1)


@pytest.mark.parametrize("fault", ["wild", "no model", "other inputs"])
async def test_a_challenger_that_fails_is_cut_off_and_the_champion_unharmed(stage: Stage, fault: str) -> None:
    good = artifact(stage.store, "huber")
    bad = {
        "wild": replace(good, content=re.sub(r'"base": [-0-9.e]+', '"base": 1e999', good.content)),
        "no model": replace(good, content="{}"),
        "other inputs": replace(good, columns=("x", *good.columns[1:])),
    }[fault]
    version = stage.challenge(bad)
    await stage.live(4)
    assert stage.status(version) == "cut_off"
    assert stage.told[0][0] == "challenger cut off"
    assert stage.store.read("shadow_predictions").num_rows == 0
    assert Registry(stage.store).champion(NAME, "1m", 5 * MINUTE) is not None


async def test_one_without_outcomes_is_refused_in_the_end(stage: Stage) -> None:
    version = stage.challenge(artifact(stage.store, "huber"))
    await stage.live(4)
    stage.clock.advance(11 * HOUR)
    await stage.shadow.step()
    assert (stage.status(version), stage.history(version)[-1]["event"]) == ("refused", "too few outcomes")


async def test_a_database_that_cannot_be_read_is_told_once_and_its_end_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise StoreUnavailable("database", "the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(stage.shadow, "_reader", full)
        for _ in range(3):
            await stage.shadow.step()
    for _ in range(2):
        await stage.shadow.step()
    assert stage.told == [("no shadow", {"reason": "database: the disk is full"}), ("shadow again", {})]
