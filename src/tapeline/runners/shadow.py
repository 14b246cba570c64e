"""Shadow: challengers say what they would say, in another process; what they said is kept apart, and judged.

A challenger that crashes, hangs or gives no number is cut off. One that did better than the champion on the same
outcomes is promoted after its time, any other is refused; all of it stands in the registry. Its features are folded
from stored candles with a warm-up, not from the beginning of the tape: it can differ from what it would say as champion
in the last digits of slow averages. Its interval follows what came since its training, of the last 2,000 rows at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from tapeline import query
from tapeline.clock import Clock, format_duration, parse_duration, parse_time
from tapeline.config import Settings
from tapeline.duel import IN_SHADOW, Duel, duel, numbers, said
from tapeline.errors import InputError, StoreError, UsageError
from tapeline.features import FeatureFold
from tapeline.learning.artifact import Artifact
from tapeline.learning.live_interval import LiveInterval
from tapeline.learning.windows import Stretch
from tapeline.models.targets import TARGETS
from tapeline.predict import Predictor
from tapeline.registry import Entry, Registry
from tapeline.runners.learner import Owner
from tapeline.runners.trouble import Trouble
from tapeline.runners.worker import Worker
from tapeline.serving import features_of, promote
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.types import Answer, Bool, Float, Int, Prediction, Timeframe

EVERY = 5.0
"""Seconds between two looks for closed candles."""
LEAST = 30
"""Outcomes of both that it takes to judge; after ten times its time a challenger is refused without them."""
_PATIENCE = 20.0
_WARMUP = 500
_FOLLOWED = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What a challenger is asked: its rows, of which the first ``skip`` only stand before the others."""

    raw: bytes
    columns: Sequence[str]
    inputs: Float
    as_of: Int
    close: Float
    complete: Bool
    skip: int
    made_at: int


def answer(asked: Asked) -> list[Prediction | Answer]:
    """Let a challenger answer; run in another process.

    Raises:
        InputError: it gives no number where it should.
    """
    predictor = Predictor([Artifact.load(asked.raw)])
    ours = predictor.artifact
    predictor.check(ours.feature_set, ours.feature_version, asked.columns)
    made = _made(predictor, asked)
    step = Timeframe.parse(ours.timeframe).step
    lengths = Stretch(asked.inputs, asked.as_of, asked.complete).run_lengths(step)[asked.skip :]
    silent = sum(one is None for one, length in zip(made, lengths, strict=True) if length >= predictor.window)
    told = [one for one in made if one is not None]
    said = np.array([numbers(one, ours.target) for one in told])
    wild = len(told) and int((~TARGETS[ours.target].usable(said)).sum())
    if silent or wild:
        rule, was = f"the {TARGETS[ours.target].meaning}", f"{silent + wild} rows without"
        raise InputError("challenger", "gives no number", expected=rule, was=was)
    return told


def _made(predictor: Predictor, asked: Asked) -> Sequence[Prediction | Answer | None]:
    seen = Stretch(asked.inputs, asked.as_of, asked.complete)
    interval = LiveInterval.of(predictor.artifact)
    if interval is not None:
        past = slice(asked.skip)
        before = Stretch(asked.inputs[past], asked.as_of[past], asked.complete[past])
        predictor.follow(before, asked.close[past], interval)
    return predictor.said(seen, asked.close, made_at=asked.made_at, skip=asked.skip, interval=interval)


class Shadow:
    """Run the challengers of a store beside its champions.

    Args:
        settings: how long a challenger runs before it is judged.
        reader: opens a store for reading in the calling thread.
        owner: keeps what was said, and changes the registry.
        clock: tells the time.
        tell: is told what became of challengers.
        patience: seconds that a challenger may take.
    """

    def __init__(
        self,
        settings: Settings,
        reader: Callable[[], AbstractContextManager[Store]],
        owner: Owner,
        *,
        clock: Clock,
        tell: Callable[..., None],
        patience: float = _PATIENCE,
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._owner = owner
        self._clock = clock
        self._tell = tell
        self._trouble = Trouble(tell, "no shadow", "shadow again")
        self._patience = patience
        self._worker = Worker()
        self._time = 0 if settings.shadow == "0s" else parse_duration(settings.shadow)

    async def run(self) -> None:
        """Follow challengers for ever."""
        try:
            while True:
                await self.step()
                await asyncio.sleep(EVERY)
        finally:
            self.close()

    async def step(self) -> None:
        """Let each challenger answer what is new, and judge those whose time is over; a busy store is left in peace."""
        try:
            for entry in await asyncio.to_thread(self._challengers):
                try:
                    await self._follow(entry)
                except (InputError, UsageError) as error:
                    await self._end(entry, "cut_off", str(error))
        except StoreError as error:
            self._trouble.begin(str(error))
        else:
            self._trouble.end()

    def close(self) -> None:
        """End the process of the challengers. Idempotent."""
        self._worker.close()

    def _challengers(self) -> list[Entry]:
        with self._reader() as store:
            return [entry for entry in Registry(store).entries() if entry.status == "challenger"]

    async def _follow(self, entry: Entry) -> None:
        asked = await asyncio.to_thread(self._asked, entry)
        if asked is not None:
            made, problem = await self._worker.attempt(answer, asked, seconds=self._patience)
            if made is None:
                await self._end(entry, "cut_off", problem)
                return
            await self._owner.change(lambda store: _keep(store, made))
        await self._judge(entry)

    def _asked(self, entry: Entry) -> Asked | None:
        """Return the rows that a challenger was not asked about yet, None where no candle has closed."""
        with self._reader() as store:
            artifact = Registry(store).load(entry.name, entry.version)
            features = features_of(store, artifact)
            after = max(said(store, IN_SHADOW, entry, entry.version, _begun(entry)), default=_begun(entry))
            step = Timeframe.parse(entry.timeframe).step
            followed = min(after, max(artifact.trained_to, after - _FOLLOWED * step))
            start = max(0, followed - _WARMUP * step)
            candles = query.candles(store, self._settings, entry.instrument, entry.timeframe, start).records
        made = FeatureFold(features).feed(candles)
        skip = int((made.as_of <= after).sum())
        inputs, columns = features.inputs(made.values, candles["close"])
        whole = made.complete & np.isfinite(inputs).all(axis=1)
        if not whole[skip:].any():
            return None
        now = self._clock.now()
        return Asked(artifact.dump(), columns, inputs, made.as_of, candles["close"], made.complete, skip, now)

    async def _judge(self, entry: Entry) -> None:
        now, begun = self._clock.now(), _begun(entry)
        if now - begun < self._time:
            return

        def judged(store: Store) -> tuple[str, str] | None:
            champion = next((one for one in _versions(store, entry) if one.status == "champion"), None)
            found = None if champion is None else duel(store, entry, champion.version, entry.version, start=begun)
            if found is None or found.outcomes < LEAST:
                return ("refused", "too few outcomes") if now - begun >= 10 * self._time else None
            why = f"{_told(found)} against the champion on {found.outcomes} outcomes of {format_duration(now - begun)}"
            if found.error.gain.value > 0:
                promote(store, entry.name, entry.version, now=now, by="shadow", why=why, numbers=found.to_json())
                return "promoted", why
            Registry(store).set_aside(entry.name, entry.version, "refused", now=now, why=why, numbers=found.to_json())
            return "refused", why

        told = await self._owner.change(judged)
        if told is not None and told[1] == "too few outcomes":
            await self._end(entry, *told)
        elif told is not None:
            self._tell(f"challenger {told[0]}", model=entry.name, version=entry.version, reason=told[1])

    async def _end(self, entry: Entry, status: str, why: str) -> None:
        now = self._clock.now()
        await self._owner.change(
            lambda store: Registry(store).set_aside(entry.name, entry.version, status, now=now, why=why)
        )
        self._tell(f"challenger {status.replace('_', ' ')}", model=entry.name, version=entry.version, reason=why)


def _keep(store: Store, made: Sequence[Prediction | Answer]) -> None:
    store.append("shadow_predictions", rows.from_predictions(one for one in made if isinstance(one, Prediction)))
    store.append("shadow_answers", rows.from_answers(one for one in made if isinstance(one, Answer)))


def _told(found: Duel) -> str:
    """Return the gain in words."""
    hits = "" if found.hits is None else f" of {found.metric}, {100 * found.hits.gain.value:+.1f} % of hits"
    return f"{found.scale * found.error.gain.value:+.4f} {found.unit}{hits}"


def _versions(store: Store, entry: Entry) -> Sequence[Entry]:
    return [one for one in Registry(store).entries(entry.instrument) if one.name == entry.name]


def _begun(entry: Entry) -> int:
    """Return since when it challenges, ns UTC: that is the last step of its history."""
    return parse_time(entry.record["history"][-1]["at"])
