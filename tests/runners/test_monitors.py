from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from tests.learned import MODEL, NAME, SETTINGS, TRAINED, candles, store_with_champion

from tapeline.clock import HOUR, MINUTE, ManualClock
from tapeline.errors import StoreUnavailable
from tapeline.hub import Hub
from tapeline.registry import Entry, Registry
from tapeline.runners.learner import Learner, Task
from tapeline.runners.monitors import Monitors, drift_status
from tapeline.stores.base import Store
from tapeline.stores.memory import MemoryStore

Result = TypeVar("Result")


class Stage:
    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.hub, self.clock = Hub(), ManualClock(5)
        self.told: list[str] = []
        self.wanted: list[tuple[str, str]] = []
        self.problem: StoreUnavailable | None = None
        self.monitors = Monitors(
            SETTINGS,
            self.reader,
            self.hub,
            clock=self.clock,
            wanted=lambda entry, why: self.wanted.append((entry.name, why)),
            tell=lambda event, **what: self.told.append(": ".join([event, *what.values()])),
        )

    @contextmanager
    def reader(self) -> Iterator[Store]:
        if self.problem is not None:
            raise self.problem
        yield self.store

    async def change(self, function: Callable[[Store], Result]) -> Result:
        return function(self.store)


async def test_quiet_rows_leave_a_process_healthy() -> None:
    stage = Stage(store_with_champion())
    await stage.monitors.measure()
    found = stage.hub.monitored
    assert found is not None
    assert (found.at, found.reasons, stage.told, stage.wanted) == (5, [], [], [])
    status = drift_status(found)
    assert status == {"features": len(found.drift[0].drifts), "drifted": 0}


async def test_drift_is_told_once_and_asks_for_training_every_time() -> None:
    newer = candles()[TRAINED:]
    newer["high"] *= 1.05
    stage = Stage(store_with_champion(newer))
    await stage.monitors.measure()
    await stage.monitors.measure()
    assert len(stage.told) == 1
    assert stage.told[0].startswith(f"monitor: {MODEL}: range")
    assert "has drifted since training (PSI" in stage.told[0]
    assert [name for name, _ in stage.wanted] == [MODEL, MODEL]
    status = drift_status(stage.hub.monitored)
    assert status is not None
    assert status["drifted"] >= 1


async def test_a_database_that_cannot_be_read_is_told_and_what_was_found_stays() -> None:
    stage = Stage(store_with_champion())
    await stage.monitors.measure()
    before, stage.problem = stage.hub.monitored, StoreUnavailable("store", "is busy")
    for _ in range(3):
        await stage.monitors.measure()
    assert stage.told == ["not monitored: store: is busy"]
    assert stage.hub.monitored is before
    stage.problem = None
    for _ in range(2):
        await stage.monitors.measure()
    assert stage.told[1:] == ["monitored again"]
    assert stage.hub.monitored is not before


def entry(store: MemoryStore) -> Entry:
    return Registry(store).entries()[0]


@pytest.mark.parametrize("hours", [1, 3])
async def test_training_is_asked_for_once_in_a_cooldown(monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    stage = Stage(store_with_champion())
    champion = entry(stage.store)
    stage.clock.advance(champion.created_at)
    settings = SETTINGS.model_copy(update={"retrain_cooldown": f"{hours}h"})
    learner = Learner(settings, stage.reader, stage, clock=stage.clock)
    task = Task(NAME, "1m", 5 * MINUTE)
    learner._tasks = (task,)
    asked: list[Any] = []
    monkeypatch.setattr(learner._wanted, "put_nowait", asked.append)

    learner.want(champion, "drift")  # it was trained a moment ago
    stage.clock.advance(hours * HOUR - 1)
    learner.want(champion, "drift")
    stage.clock.advance(1)
    for _ in range(3):
        learner.want(champion, "drift")
    stage.clock.advance(hours * HOUR)
    learner.want(champion, "a worse error")

    assert asked == [(task, "drift"), (task, "a worse error")]


async def test_a_champion_nobody_asked_for_is_left_alone() -> None:
    stage = Stage(store_with_champion())
    learner = Learner(SETTINGS, stage.reader, stage, clock=ManualClock(1 << 62))
    learner._tasks = (Task("ETH-USD.SIM", "1m", 5 * MINUTE),)
    learner.want(entry(stage.store), "drift")
    assert learner._wanted.empty()
