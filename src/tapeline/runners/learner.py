"""Learning while live: rows are read here, models are trained in another process, and the writer registers them.

Trades keep coming in at their speed meanwhile, and a training that crashes takes nothing with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

from tapeline.clock import SECOND, Clock, format_duration, parse_duration
from tapeline.config import Settings
from tapeline.errors import BrokenInvariant, InputError, MissingDependency, StoreError, UsageError
from tapeline.learning.report import write_run
from tapeline.mlflow_sync import Mlflow, Synced
from tapeline.model_rows import ModelRows, learning_set, model_rows
from tapeline.models.base import find_models
from tapeline.registry import Entry, Registry
from tapeline.runners.worker import Worker
from tapeline.runs import Run, learn, register
from tapeline.stores.base import Store
from tapeline.train import TrainSettings

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Task:
    """What a model is to foretell: the return of an instrument over ``horizon`` (ns), from candles of a timeframe."""

    instrument: str
    timeframe: str
    horizon: int
    feature_set: str = "market"


def tasks_of(settings: Settings) -> list[Task]:
    """Return what the settings ask to foretell of every instrument that is followed."""
    pairs = [text.split("/") for text in settings.predict]
    return [
        Task(name, timeframe, parse_duration(horizon)) for name in settings.instruments for timeframe, horizon in pairs
    ]


class Owner(Protocol):
    """Change the registry, and let the champions that follow from it answer."""

    async def change(self, function: Callable[[Store], Result]) -> Result:
        """Run a function in a transaction, and return what it returns."""


def _run(data: ModelRows, horizon: int, asked: TrainSettings, runs: Path, now: int) -> Run:
    """Train and write the folder of the run, in another process."""
    training = learn(data, horizon, asked, runs=runs, now=now)
    return Run(training, write_run(training, runs))


def _task(entry: Entry) -> tuple[str, str, int]:
    return entry.instrument, entry.timeframe, entry.horizon


def _about(task: Task) -> dict[str, str]:
    return {"instrument": task.instrument, "timeframe": task.timeframe, "horizon": format_duration(task.horizon)}


class Learner:
    """Train models beside the live process.

    Args:
        settings: limits of the folds, and the folder of runs.
        reader: opens a store for reading in the calling thread.
        owner: writes what was learnt.
        clock: tells when models were registered.
    """

    def __init__(
        self, settings: Settings, reader: Callable[[], AbstractContextManager[Store]], owner: Owner, *, clock: Clock
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._owner = owner
        self._clock = clock
        self._worker = Worker()
        self._cooldown = parse_duration(settings.retrain_cooldown)
        self._tasks: tuple[Task, ...] = ()
        self._last: dict[Task, int] = {}
        self._wanted: asyncio.Queue[tuple[Task, str]] = asyncio.Queue()

    async def learn(self, task: Task, asked: TrainSettings) -> Run:
        """Train, let the gate decide, and register who answers from now on.

        Raises:
            UnknownName: the instrument is not known.
            NotEnoughData: its rows are too few.
            BrokenInvariant: the process that trained died, or has a bug.
        """
        data = await asyncio.to_thread(self._rows, task)
        now, where = self._clock.now(), f"training {task.instrument} {task.timeframe}"
        run = await self._worker.run(where, _run, data, task.horizon, asked, self._settings.runs, now)
        now, shadow = self._clock.now(), self._settings.shadow != "0s"
        await self._owner.change(lambda store: register(store, data, run.training, now=now, shadow=shadow))
        return run

    def want(self, entry: Entry, why: str) -> None:
        """Ask to train a champion's task anew, unless it was trained or asked for a short while ago."""
        found = (task for task in self._tasks if (task.instrument, task.timeframe, task.horizon) == _task(entry))
        task, now = next(found, None), self._clock.now()
        if task is None or now - self._last.get(task, entry.created_at) < self._cooldown:
            return
        self._last[task] = now
        self._wanted.put_nowait((task, why))

    async def keep_learning(self, tasks: Sequence[Task], *, tell: Callable[..., None]) -> None:
        """Train what nothing answers, baselines first, then what only a baseline does; all of it from time to time."""
        every = parse_duration(self._settings.retrain) / SECOND
        self._tasks = tuple(tasks)
        champions = {task: await asyncio.to_thread(self._champion, task) for task in tasks}
        baselines = {kind.name for kind in find_models().values() if kind.baseline}
        for task in [task for task, champion in champions.items() if champion is None]:
            await self._try(task, TrainSettings(models=()), tell)
        for task in [task for task, champion in champions.items() if champion is None or champion in baselines]:
            await self._try(task, TrainSettings(), tell)
        loop = asyncio.get_running_loop()
        due = loop.time() + every
        while True:
            try:
                task, why = await asyncio.wait_for(self._wanted.get(), max(0.0, due - loop.time()))
            except TimeoutError:
                due = loop.time() + every
                for task in tasks:
                    await self._try(task, TrainSettings(), tell)
            else:
                tell("training anew", **_about(task), reason=why)
                await self._try(task, TrainSettings(), tell)

    async def _try(self, task: Task, asked: TrainSettings, tell: Callable[..., None]) -> None:
        about = _about(task)
        self._last[task] = self._clock.now()
        try:
            run = await self.learn(task, asked)
        except (UsageError, InputError, StoreError, BrokenInvariant) as error:
            tell("not trained", **about, reason=str(error))
            return
        for target, outcome in run.training.outcomes.items():
            tell("trained", **about, target=target, run=run.training.run, decision=outcome.decision.reason)
        await self._mirror(tell)

    async def _mirror(self, tell: Callable[..., None]) -> None:
        """Tell MLflow, where there is one; where it is away the models wait here for the next time."""
        settings = self._settings
        if not settings.mlflow_uri:
            return

        def sync() -> Synced:
            with self._reader() as store:
                return Mlflow(settings.mlflow_uri, runs=settings.runs).sync(store)

        try:
            sent = await asyncio.to_thread(sync)
        except (StoreError, MissingDependency) as error:
            tell("not sent to MLflow", reason=str(error))
        else:
            tell("sent to MLflow", models=sent.models, aliases=sent.aliases)

    def _champion(self, task: Task) -> str | None:
        """Return the name of the model that answers, None where none does."""
        with self._reader() as store:
            entry = Registry(store).champion(task.instrument, task.timeframe, task.horizon, "return")
        return None if entry is None else entry.model

    def _rows(self, task: Task) -> ModelRows:
        features = learning_set(task.feature_set, task.timeframe, task.horizon)
        with self._reader() as store:
            return model_rows(store, self._settings, task.instrument, task.timeframe, features)

    def close(self) -> None:
        """End the process that trains, whatever it is doing."""
        self._worker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
