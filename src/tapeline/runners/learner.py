"""Learning while live: rows are read here, models are trained in another process, and the writer registers them.

Trades keep coming in at their speed meanwhile, and a training that crashes takes nothing with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

from tapeline.clock import SECOND, Clock, format_duration, parse_duration
from tapeline.config import Settings
from tapeline.errors import BrokenInvariant, InputError, MissingDependency, NotEnoughData, StoreError, UsageError
from tapeline.learning.artifact import model_name
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
_AGAIN = 120.0
"""Seconds after which what had too few rows, or was not stored, is tried again."""
_PAUSE = 5.0
"""Seconds between two looks into a database that cannot be read."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a model is to foretell: the return of an instrument over ``horizon`` (ns), from candles of a timeframe."""

    instrument: str
    timeframe: str
    horizon: int
    feature_set: str = "market"


def tasks_of(settings: Settings, instruments: Sequence[str] | None = None) -> list[Task]:
    """Return what the settings ask to foretell of some instruments; without any, of each that is followed."""
    pairs = [text.split("/") for text in settings.predict]
    names = settings.instruments if instruments is None else instruments
    return [Task(name, timeframe, parse_duration(horizon)) for name in names for timeframe, horizon in pairs]


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


def runs_of(settings: Settings) -> list[tuple[str, TrainSettings]]:
    """Return the runs of a task, each with the target that is the last to have rows enough.

    Anomalies and regimes are learnt apart, so that returns are judged as if nothing else had been tried.
    """
    describing = TrainSettings(main_target="anomaly", beside=("regime",), anomaly_rate=settings.anomaly_rate)
    return [("return", TrainSettings()), ("regime", describing)]


def _name(task: Task, target: str) -> str:
    return model_name(task.instrument, task.timeframe, task.horizon, target)


def _about(task: Task) -> dict[str, str]:
    return {"instrument": task.instrument, "timeframe": task.timeframe, "horizon": format_duration(task.horizon)}


class Learner:
    """Train models beside the live process.

    Args:
        settings: limits of the folds, and the folder of runs.
        reader: opens a store for reading in the calling thread.
        owner: writes what was learnt.
        clock: tells when models were registered.
        waiting: is given, by the name of a model, why it was not trained.
    """

    def __init__(
        self,
        settings: Settings,
        reader: Callable[[], AbstractContextManager[Store]],
        owner: Owner,
        *,
        clock: Clock,
        waiting: dict[str, str] | None = None,
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._owner = owner
        self._clock = clock
        self._waiting = {} if waiting is None else waiting
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
        await asyncio.to_thread(find_models)  # what comes back from the other process names a user's own classes
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
        """Train what nothing answers, baselines first, then what only a baseline does; all of it from time to time.

        What had too few rows, or could not be stored, is tried again after two minutes, and so on.
        """
        every = parse_duration(self._settings.retrain) / SECOND
        self._tasks = tuple(tasks)
        wanting = await self._begin(tasks, tell)
        for target, asked in runs_of(self._settings):
            for task in await self._unbeaten(tasks, target):
                await self._try(task, asked, tell)
        loop = asyncio.get_running_loop()
        due = loop.time() + every
        while True:
            try:
                wait = min(_AGAIN, due - loop.time()) if wanting else due - loop.time()
                task, why = await asyncio.wait_for(self._wanted.get(), max(0.0, wait))
            except TimeoutError:
                if loop.time() < due:
                    wanting = await self._begin(wanting, tell)
                    continue
                due = loop.time() + every
                for task in tasks:
                    for _, asked in runs_of(self._settings):
                        await self._try(task, asked, tell)
            else:
                tell("training anew", **_about(task), reason=why)
                await self._try(task, TrainSettings(), tell)

    async def _begin(self, tasks: Sequence[Task], tell: Callable[..., None]) -> list[Task]:
        """Train the baselines of what nothing answers; return the tasks of which some are to be tried again."""
        wanting = []
        for target, asked in runs_of(self._settings):
            for task in tasks:
                champion = await self._champion(task, target)
                if champion is None and not await self._try(task, replace(asked, models=()), tell):
                    wanting.append(task)
        return list(dict.fromkeys(wanting))

    async def _unbeaten(self, tasks: Sequence[Task], target: str) -> list[Task]:
        """Return the tasks for which only a baseline answers."""
        baselines = {kind.name for kind in find_models().values() if kind.baseline}
        champions = [await self._champion(task, target) for task in tasks]
        return [task for task, champion in zip(tasks, champions, strict=True) if champion in baselines]

    async def _try(self, task: Task, asked: TrainSettings, tell: Callable[..., None]) -> bool:
        """Train, and tell what came of it; return whether there were rows enough, and it could be stored."""
        about = _about(task)
        self._last[task] = self._clock.now()
        try:
            run = await self.learn(task, asked)
        except (UsageError, InputError, StoreError, BrokenInvariant) as error:
            self._refused(task, dict.fromkeys(asked.targets, str(error)), tell)
            return not isinstance(error, NotEnoughData | StoreError)
        for target, outcome in run.training.outcomes.items():
            self._waiting.pop(_name(task, target), None)
            tell("trained", **about, target=target, run=run.training.run, decision=outcome.decision.reason)
        too_few = run.training.report["not_evaluated"]
        self._refused(task, too_few, tell)
        await self._mirror(tell)
        return not too_few

    def _refused(self, task: Task, why: Mapping[str, str], tell: Callable[..., None]) -> None:
        """Keep and tell why targets were not trained; what was told before is not told again."""
        for target, reason in why.items():
            if self._waiting.get(_name(task, target)) != reason:
                tell("not trained", **_about(task), target=target, reason=reason)
            self._waiting[_name(task, target)] = reason

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
        except (StoreError, InputError, MissingDependency) as error:
            tell("not sent to MLflow", reason=str(error))
        else:
            tell("sent to MLflow", models=sent.models, aliases=sent.aliases)

    async def _champion(self, task: Task, target: str) -> str | None:
        """Return the name of the model that answers, None where none does; wait while that cannot be read."""

        def look() -> str | None:
            with self._reader() as store:
                entry = Registry(store).champion(task.instrument, task.timeframe, task.horizon, target)
            return None if entry is None else entry.model

        while True:
            with suppress(StoreError):
                return await asyncio.to_thread(look)
            await asyncio.sleep(_PAUSE)

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
