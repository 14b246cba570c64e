"""What is trained beside the live process, and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from tests.learned import NAME, SETTINGS, candles

from tapeline.clock import MINUTE, ManualClock
from tapeline.errors import StoreUnavailable
from tapeline.registry import Registry
from tapeline.runners import learner
from tapeline.runners.learner import Learner, Task, runs_of
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.stores.memory import MemoryStore
from tapeline.train import TrainSettings
from tapeline.types import Records

Result = TypeVar("Result")
TASK = Task(NAME, "1m", 5 * MINUTE, "bars")


class Process:
    """A live process with a store, of which a learner is part."""

    def __init__(self, count: int, folder: Any) -> None:
        self.store = MemoryStore()
        self.add(candles(1500)[:count])
        self.waiting: dict[str, str] = {}
        self.told: list[tuple[str, str]] = []
        settings = SETTINGS.model_copy(update={"runs": folder})
        self.learner = Learner(settings, self.reader, self, clock=ManualClock(1 << 62), waiting=self.waiting)

    def add(self, more: Records) -> None:
        """Import candles, of which nobody knows the number of trades."""
        self.store.append("candles", rows.from_candles(NAME, "1m", more, source="imported"))

    @contextmanager
    def reader(self) -> Iterator[Store]:
        yield self.store

    async def change(self, function: Callable[[Store], Result]) -> Result:
        return function(self.store)

    def tell(self, event: str, **what: Any) -> None:
        self.told.append((event, what.get("target", "")))

    async def learn_until(self, last: tuple[str, str]) -> None:
        """Run until something was told."""
        running = asyncio.create_task(self.learner.keep_learning([TASK], tell=self.tell))
        try:
            while last not in self.told and not running.done():
                await asyncio.sleep(0.01)
            if running.done():
                running.result()
        finally:
            running.cancel()
            await asyncio.wait([running])
            self.learner.close()

    def champions(self) -> dict[str, str]:
        entries = Registry(self.store).entries()
        return {entry.target: entry.model for entry in entries if entry.status == "champion"}


async def here(where: str, function: Callable[..., Any], *asked: Any) -> Any:
    """Train in this process: what is tested is what is asked for."""
    return function(*asked)


async def test_baselines_of_all_targets_are_trained_first(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process(1500, tmp_path)
    monkeypatch.setattr(process.learner._worker, "run", here)
    await process.learn_until(("trained", "anomaly"))
    assert process.told == [("trained", target) for target in ("return", "direction", "regime", "anomaly")]
    assert process.champions().keys() == {"return", "direction", "anomaly", "regime"}
    assert (process.champions()["anomaly"], process.champions()["regime"]) == ("robust_zscore", "mixture")
    assert process.waiting == {}


async def test_too_few_rows_are_told_once_kept_and_tried_again(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner, "_AGAIN", 0.0)
    process = Process(120, tmp_path)
    monkeypatch.setattr(process.learner._worker, "run", here)
    tries: list[None] = []
    begin = process.learner._begin

    async def begun(*asked: Any) -> Any:
        tries.append(None)
        if len(tries) == 3:
            process.add(candles(1500)[120:])
        return await begin(*asked)

    monkeypatch.setattr(process.learner, "_begin", begun)
    task = asyncio.create_task(process.learn_until(("trained", "anomaly")))
    while len(tries) < 2:
        await asyncio.sleep(0.01)
    assert process.waiting.keys() == {f"{NAME}_1m_5m{end}" for end in ("", "_direction", "_anomaly", "_regime")}
    assert all("too few" in why for why in process.waiting.values())
    await task
    assert process.told.count(("not trained", "regime")) == 1
    assert process.waiting == {}
    assert process.champions().keys() == {"return", "direction", "anomaly", "regime"}


async def test_a_full_disk_is_waited_out(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be full when a training looks for what answers, and when it stores what it has learnt."""
    monkeypatch.setattr(learner, "_AGAIN", 0.0)
    monkeypatch.setattr(learner, "_PAUSE", 0.0)
    process = Process(1500, tmp_path)
    reader, full = process.reader, {"looking": 3, "storing": 3}

    def refused(what: str) -> None:
        full[what] -= 1
        if full[what] >= 0:
            raise StoreUnavailable("database", "the disk is full")

    @contextmanager
    def looking() -> Iterator[Store]:
        refused("looking")
        with reader() as store:
            yield store

    async def learn(task: Task, asked: TrainSettings) -> Any:
        refused("storing")
        outcome = SimpleNamespace(decision=SimpleNamespace(reason="learnt"))
        report = {"not_evaluated": dict[str, str]()}
        return SimpleNamespace(
            training=SimpleNamespace(outcomes=dict.fromkeys(asked.targets, outcome), run="", report=report)
        )

    monkeypatch.setattr(process.learner, "_reader", looking)
    monkeypatch.setattr(process.learner, "learn", learn)
    await process.learn_until(("trained", "anomaly"))

    assert max(full.values()) < 0
    targets = {"return", "direction", "regime", "anomaly"}
    assert {target for event, target in process.told if event == "trained"} == targets
    refusals = [target for event, target in process.told if event == "not trained"]
    assert (len(refusals), {*refusals}) == (4, targets), "each reason is told once"
    assert process.waiting == {}


def test_returns_are_judged_as_if_nothing_else_had_been_tried() -> None:
    (_, returns), (_, descriptions) = runs_of(SETTINGS)
    assert returns.targets == ("return", "direction")
    assert descriptions.targets == ("regime", "anomaly")
