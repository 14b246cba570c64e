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
from tapeline.learning.artifact import Artifact
from tapeline.registry import Registry
from tapeline.runners.shadow import Shadow
from tapeline.runs import challenge
from tapeline.serving import Champion
from tapeline.simulator.market import JANUARY_2024
from tapeline.stores import rows
from tapeline.stores.base import Store

Result = TypeVar("Result")
BEGUN = JANUARY_2024 + TRAINED * MINUTE


class Stage:
    """A store that grows by candles, its champion, a challenger, and the clock."""

    def __init__(self) -> None:
        self.store = store_with_champion(candles()[TRAINED : TRAINED + 1])
        self.clock = ManualClock(BEGUN)
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.shadow = Shadow(
            SETTINGS, self.reader, self, clock=self.clock, tell=lambda event, **what: self.told.append((event, what))
        )

    @contextmanager
    def reader(self) -> Iterator[Store]:
        yield self.store

    async def change(self, function: Callable[[Store], Result]) -> Result:
        return function(self.store)

    def challenge(self, made: Artifact) -> str:
        registry = Registry(self.store)
        version = registry.register(made, now=BEGUN)
        challenge(registry, made, now=BEGUN, why="edge found")
        return version

    async def live(self, minutes: int) -> None:
        """Let candles close, two at a time, and challengers look at them."""
        newer = candles()[TRAINED + 1 : TRAINED + 1 + minutes]
        for part in np.array_split(newer, minutes // 2):
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

    def status(self, version: str) -> str:
        return next(entry.status for entry in Registry(self.store).entries() if entry.version == version)

    def history(self, version: str) -> list[dict[str, Any]]:
        entry = next(entry for entry in Registry(self.store).entries() if entry.version == version)
        found: list[dict[str, Any]] = entry.record["history"]
        return found


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
    await stage.live(50)
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
