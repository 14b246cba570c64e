"""The hub: what is newest, and who is told. One asyncio loop, no lock, no input or output.

The process that owns the store publishes here after each commit; WebSockets, server-sent events and the terminal
subscribe.
"""

from __future__ import annotations

import secrets
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from tapeline import wire
from tapeline.features import FeatureSet
from tapeline.pipeline import Outputs
from tapeline.subscriber import EVERY, Event, Subscriber, Wants
from tapeline.types import Answer, Frame, Prediction, Records

if TYPE_CHECKING:
    from tapeline.monitoring import Monitored

Rows = Callable[[], Any]
_OPEN_PREDICTIONS = 10_000
_FLEETING = frozenset(["running", "status", "trades"])
"""Channels of which one who comes back gets the newest state, not what was missed."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What one commit gave of one instrument.

    Attributes:
        instrument: ours.
        outputs: what the pipeline gave, with ``made_at`` of its predictions as stored.
        sets: the feature sets of ``outputs.features``, by name.
        running: running candles by timeframe, where they were looked at.
        gaps: the newest gaps of the instrument, where they changed.
        late: how many trades came too late.
        dead: how many dead letters were written.
        duplicates: how many repeats were dropped.
        stored: when all of it was, ns UTC; 0 where nothing was stored.
    """

    instrument: str
    outputs: Outputs
    sets: Mapping[str, FeatureSet] = field(default_factory=dict)
    running: Mapping[str, Records] | None = None
    gaps: Sequence[wire.Gap] | None = None
    late: int = 0
    dead: int = 0
    duplicates: int = 0
    stored: int = 0


class Hub:
    """Keep the newest of everything, and tell subscribers.

    Args:
        keep_events: how many events one who comes back may have missed.
        keep_trades: how many trades of an instrument a snapshot holds.
        wait_limit: how many updates may wait for a subscriber.

    Attributes:
        epoch: names this process: a ``seq`` means nothing in another.
        seq: how many events there have been.
        status: what `set_status` was last told.
        monitored: what the monitors of the live process last found; None where none has run.
        untrained: why a model that should answer was not trained, by its name.
        counts: what was published, by (what, instrument).
        made: predictions by (model, instrument, direction: ``up``, ``down`` or ``none``).
    """

    def __init__(self, *, keep_events: int = 4096, keep_trades: int = 50, wait_limit: int = 512) -> None:
        self.epoch = secrets.token_hex(8)
        self.seq = 0
        self.status: dict[str, Any] = {}
        self.monitored: Monitored | None = None
        self.untrained: dict[str, str] = {}
        self.counts: Counter[tuple[str, str]] = Counter()
        self.made: Counter[tuple[str, str, str]] = Counter()
        self._past: deque[Event] = deque(maxlen=keep_events)
        self._forgotten = 0
        self._newest: dict[tuple[str, ...], Event] = {}
        self._keep_trades = keep_trades
        self._trades: dict[str, tuple[Frame, ...]] = {}
        self._open: dict[tuple[str, str], deque[Prediction]] = {}
        self._subscribers: dict[Subscriber, None] = {}
        self._lagged = 0
        self._wait_limit = wait_limit

    @property
    def subscribers(self) -> int:
        """Return how many are told."""
        return len(self._subscribers)

    @property
    def lagged(self) -> int:
        """Return how many updates were dropped because a subscriber was too slow."""
        return self._lagged + sum(one.lagged for one in self._subscribers)

    def running(self, instrument: str, timeframe: str) -> list[wire.Candle]:
        """Return the running candles of a timeframe, as last published."""
        event = self._newest.get(("running", instrument, timeframe, ""))
        rows: list[wire.Candle] = event.rows() if event else []
        return rows

    def counted(self, what: str) -> dict[str, int]:
        """Return the counts of one thing, such as ``duplicates``, by instrument."""
        return {name: number for (kind, name), number in self.counts.items() if kind == what}

    def publish(self, committed: Committed) -> None:
        """Tell what a commit gave; called in the loop, after the commit."""
        name, outputs = committed.instrument, committed.outputs
        self._count(committed)
        self._publish_trades(name, [outputs.admission.accepted])
        if outputs.behind:
            self._publish_trades(name, outputs.behind, late=True)
        if outputs.candles or outputs.predictions or outputs.answers:
            self._publish_closed(committed)
        for timeframe, candles in (committed.running or {}).items():
            rows_now = partial(wire.candles, name, timeframe, candles, closed=False)
            self._send("running", name, timeframe, rows_now, rows_now)
        if committed.gaps is not None:
            held = list(committed.gaps)
            self._send("gaps", name, "", lambda: held, lambda: held)

    def _publish_closed(self, committed: Committed) -> None:
        """Tell candles, and what follows from them."""
        name, outputs = committed.instrument, committed.outputs
        for timeframe, candles in outputs.candles.items():
            newest = partial(wire.candles, name, timeframe, candles[-1:])
            self._send("candles", name, timeframe, partial(wire.candles, name, timeframe, candles), newest)
        for (timeframe, chosen), made in outputs.features.items():
            if chosen in committed.sets:
                rows = partial(wire.features, name, timeframe, committed.sets[chosen], made)
                self._send("features", name, timeframe, rows, partial(_last, rows), chosen)
        self._publish_predictions(name, outputs.predictions)
        self._publish_answers(name, outputs.answers)
        for timeframe, candles in outputs.candles.items():
            self._publish_outcomes(name, timeframe, candles)

    def set_status(self, status: dict[str, Any]) -> None:
        """Tell how the process is; called about once a second."""
        self.status = status
        self._send("status", "", "", lambda: status, lambda: status)

    def expect(self, predictions: Iterable[Prediction]) -> None:
        """Wait for the outcomes of predictions, such as those made before a restart."""
        for one in predictions:
            waiting = self._open.setdefault((one.instrument, one.timeframe), deque(maxlen=_OPEN_PREDICTIONS))
            waiting.append(one)

    def subscriber(self) -> Subscriber:
        """Return a new subscriber, which wants nothing yet; `leave` it in the end."""
        made = Subscriber(self.snapshots, self._wait_limit)
        self._subscribers[made] = None
        return made

    def subscribe(
        self,
        subscriber: Subscriber,
        channels: Sequence[str],
        instruments: Sequence[str] = (EVERY,),
        timeframes: Sequence[str] = (),
        *,
        resume: tuple[str, int] | None = None,
        answer: Mapping[str, Any] | None = None,
    ) -> None:
        """Let a subscriber be told of more: an answer, then what it missed or the newest state, then updates.

        Args:
            subscriber: who.
            channels: of `tapeline.subscriber.CHANNELS`.
            instruments: ours, or ``*``.
            timeframes: of candles, features and predictions; all of them where none is named.
            resume: (epoch, seq) up to which it knows all; where that cannot be any more it gets a ``reset``.
            answer: fields of the answer, such as the ``id`` of the request.

        Raises:
            UsageError: a channel is not known, or it is too much.
        """
        asked = Wants()
        asked.add(channels, instruments, timeframes)
        subscriber.wants.add(channels, instruments, timeframes)
        told = {**(answer or {}), **self._unheard(instruments)}
        subscriber.tell({"op": "subscribed", **told, "epoch": self.epoch, "seq": self.seq})
        if resume is not None and self._knows(*resume):
            subscriber.tell(*(event for event in self._past if event.seq > resume[1] and event in asked))
            subscriber.tell(*(event for event in self.snapshots(asked) if event.channel in _FLEETING))
            return
        if resume is not None:
            subscriber.tell({"op": "reset", "epoch": self.epoch, "seq": self.seq})
        subscriber.tell(*self.snapshots(asked))

    def _unheard(self, instruments: Sequence[str]) -> dict[str, list[str]]:
        """Return those instruments asked for of which nothing was told yet, if any: some may never be."""
        heard = {EVERY, *(instrument for _, instrument, *_ in self._newest)}
        names = [name for name in instruments if name not in heard]
        return {"unheard": names} if names else {}

    def leave(self, subscriber: Subscriber) -> None:
        """Tell a subscriber nothing more. Idempotent."""
        if subscriber in self._subscribers:
            del self._subscribers[subscriber]
            self._lagged += subscriber.lagged
        subscriber.close()

    def close(self) -> None:
        """Let all subscribers go."""
        for subscriber in list(self._subscribers):
            self.leave(subscriber)

    def snapshots(self, wants: Wants) -> Iterator[Event]:
        """Yield the newest state of what is wanted."""
        return (event for event in self._newest.values() if event in wants)

    def _knows(self, epoch: str, seq: int) -> bool:
        return epoch == self.epoch and self._forgotten <= seq <= self.seq

    def _send(self, channel: str, instrument: str, timeframe: str, rows: Rows, newest: Rows, part: str = "") -> None:
        self.seq += 1
        event = Event(self.seq, channel, instrument, timeframe, rows)
        self._newest[channel, instrument, timeframe, part] = Event(
            self.seq, channel, instrument, timeframe, newest, "snapshot"
        )
        if channel not in _FLEETING:
            if len(self._past) == self._past.maxlen:
                self._forgotten = self._past[0].seq
            self._past.append(event)
        for subscriber in self._subscribers:
            subscriber.offer(event)

    def _publish_trades(self, name: str, frames: Sequence[Frame], *, late: bool = False) -> None:
        for frame in frames:
            if not len(frame):
                continue
            if not late:
                self._trades[name] = self._newest_trades(name, frame)
            kept = partial(_trades, self._trades.get(name, ()), self._keep_trades)
            self._send("trades", name, "", partial(wire.trades, frame, late=late), kept)

    def _newest_trades(self, name: str, frame: Frame) -> tuple[Frame, ...]:
        """Return the frames that hold the newest trades; they are joined only when somebody asks."""
        kept = (*self._trades.get(name, ()), frame)
        surplus, first = sum(map(len, kept)) - self._keep_trades, 0
        while len(kept[first]) <= surplus:
            surplus -= len(kept[first])
            first += 1
        return kept[first:]

    def _publish_predictions(self, name: str, made: Sequence[Prediction]) -> None:
        self.expect(made)

        def task(one: Prediction) -> tuple[str, int, str]:
            return one.timeframe, one.horizon, one.model

        for (timeframe, horizon, model), group in groupby(sorted(made, key=task), task):
            rows = partial(_predictions, [(one, None) for one in group])
            self._send("predictions", name, timeframe, rows, partial(_last, rows), f"{horizon} {model}")

    def _publish_answers(self, name: str, made: Sequence[Answer]) -> None:
        def task(one: Answer) -> tuple[str, int, str]:
            return one.timeframe, one.horizon, one.target

        for (timeframe, horizon, target), group in groupby(sorted(made, key=task), task):
            rows = partial(_answers, list(group))
            self._send("answers", name, timeframe, rows, partial(_last, rows), f"{horizon} {target}")

    def _publish_outcomes(self, name: str, timeframe: str, candles: Records) -> None:
        """Join open predictions with the candles that close at their target; one that none closes at has no outcome."""
        waiting = self._open.get((name, timeframe))
        if not waiting:
            return
        newest = int(candles["close_time"][-1])
        due = sorted((one for one in waiting if one.target_time <= newest), key=lambda one: one.target_time)
        self._open[name, timeframe] = deque((one for one in waiting if one.target_time > newest), _OPEN_PREDICTIONS)
        places = np.searchsorted(candles["close_time"], [one.target_time for one in due])
        told = [
            (
                one,
                wire.outcome(one, one.target_time, float(candles["close"][at]), complete=bool(candles["complete"][at])),
            )
            for one, at in zip(due, places.tolist(), strict=True)
            if candles["close_time"][at] == one.target_time
        ]
        if told:
            rows = partial(_predictions, told)
            self.counts["outcomes", name] += len(told)
            self._send("outcomes", name, timeframe, rows, partial(_last, rows))

    def _count(self, committed: Committed) -> None:
        name, outputs = committed.instrument, committed.outputs
        numbers = {
            "commits": 1,
            "trades": len(outputs.admission.accepted),
            "late": committed.late,
            "dead_letters": committed.dead,
            "duplicates": committed.duplicates,
            "candles": sum(len(candles) for candles in outputs.candles.values()),
            "predictions": len(outputs.predictions),
            "answers": len(outputs.answers),
        }
        for what, number in numbers.items():
            self.counts[what, name] += number
        for one in outputs.predictions:
            said = "up" if one.value > 0 else "down" if one.value < 0 else "none"
            self.made[one.model, name, said] += 1


def _last(rows: partial[list[Any]]) -> list[Any]:
    return rows()[-1:]


def _trades(frames: Sequence[Frame], most: int) -> list[wire.Trade]:
    return wire.trades(Frame.concat(frames).take(slice(-most, None))) if frames else []


def _predictions(made: Sequence[tuple[Prediction, wire.Outcome | None]]) -> list[wire.Prediction]:
    return [wire.prediction(one, outcome) for one, outcome in made]


def _answers(made: Sequence[Answer]) -> list[wire.Answer]:
    return [wire.answer(one) for one in made]
