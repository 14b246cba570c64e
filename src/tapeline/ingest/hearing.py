"""What the messages of a connection hold: trades of the instruments asked for, answers, and what could not be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from tapeline.errors import MalformedMessage
from tapeline.exchanges.base import Ack, Trade
from tapeline.ingest.base import Delivery, Place, Source
from tapeline.ingest.judging import judge, judge_plain, malformed, source_of
from tapeline.ingest.socket import Received
from tapeline.types import DeadLetter


@dataclass(slots=True)
class Heard:
    """What one batch of messages held.

    ``ignored`` counts what is no trade to us by kind: of messages the venue's own name, ``otherKind`` for trades whose
    ids are of another kind, ``notAskedFor`` for those of other instruments.
    ``lost`` is how many messages are missing by the numbers on them; ``goodbye`` is the kind of message by which the
    venue said that it will close, or empty.
    """

    trades: list[Trade] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    acks: list[Ack] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    malformed: int = 0
    lost: int = 0
    goodbye: str = ""


class Hearing:
    """Read the messages of one connection, in order.

    Args:
        place: whose messages.
        instruments: ours; trades of others are refused, and kept once an instrument.
    """

    def __init__(self, place: Place, instruments: Iterable[str]) -> None:
        self._place = place
        self._source = source_of(place)
        self._ours = {place.theirs(name): name for name in instruments}
        self._symbols = {place.exchange.symbol(theirs): ours for theirs, ours in self._ours.items()}
        self._strangers: set[str] = set()
        self._sequence: int | None = None

    def plain(self, received: Sequence[Received]) -> Delivery | None:
        """Read and judge a batch of messages that hold good new trades of ours and nothing else, as nearly all do.

        None where one is another: then `hear` and `deliveries` tell all that they hold. These would take this too, but
        three times as long: they keep each trade as it was written until it is judged.
        """
        feed = self._place.feed
        trades = self._place.exchange.parse_plain([raw for raw, _ in received])
        if trades is None or not self._symbols.keys() >= set(trades.symbol):
            return None
        names = [self._symbols[symbol] for symbol in trades.symbol]
        frames = judge_plain(names, trades, [ts_init for _, ts_init in received])
        if frames is None:
            return None
        return Delivery(tuple(frames), (), Source.LIVE, feed.kind, feed.contiguous, received[0].ts_init)

    def hear(self, received: Sequence[Received]) -> Heard:
        """Read a batch of messages."""
        heard, parse = Heard(), self._place.exchange.parse
        kind, ours = self._place.feed.kind, self._ours
        for raw, ts_init in received:
            try:
                events = parse(raw, ts_init)
            except MalformedMessage as error:
                heard.dead += malformed(self._source, [error], ts_init)
                heard.malformed += 1
                continue
            if events:
                heard.lost += self._count(events[0].sequence)
            for event in events:
                if isinstance(event, Trade):
                    if event.kind == kind and event.instrument in ours:
                        heard.trades.append(event)
                    else:
                        self._leave(heard, event, raw)
                elif isinstance(event, Ack):
                    heard.acks.append(event)
                else:
                    heard.ignored[event.kind] += 1
                    if event.kind in self._place.feed.goodbyes:
                        heard.goodbye = event.kind
        return heard

    def _leave(self, heard: Heard, trade: Trade, raw: bytes) -> None:
        """Leave out a trade that is not ours; the first of a foreign instrument is kept raw."""
        if trade.kind != self._place.feed.kind:
            heard.ignored["otherKind"] += 1
        elif trade.instrument in self._strangers:
            heard.ignored["notAskedFor"] += 1
        else:
            self._strangers.add(trade.instrument)
            reason = f"{trade.instrument}: was not asked for; more of it is not kept"
            heard.dead.append(DeadLetter(self._source, reason, raw, trade.ts_init, self._place.ours(trade.instrument)))

    def _count(self, sequence: int | None) -> int:
        """Return how many messages are missing before this one."""
        before, self._sequence = self._sequence, self._sequence if sequence is None else sequence
        return max(sequence - before - 1, 0) if sequence is not None and before is not None else 0

    def deliveries(self, heard: Heard, received: int) -> list[Delivery]:
        """Judge what was heard: one delivery for each run of trades that are part of a snapshot, or are not.

        Args:
            heard: what a batch held.
            received: when its first message was here, ns UTC.
        """
        feed, dead, made = self._place.feed, tuple(heard.dead), []
        for snapshot, trades in groupby(heard.trades, key=attrgetter("snapshot")):
            theirs, raws, stamps, *_ = zip(*trades, strict=True)
            frames, letters = judge([self._ours[name] for name in theirs], self._source, raws, stamps)
            source = Source.SNAPSHOT if snapshot else Source.LIVE
            made.append(Delivery(tuple(frames), (*dead, *letters), source, feed.kind, feed.contiguous, received))
            dead = ()
        if dead:
            made.append(Delivery((), dead, Source.LIVE, feed.kind, feed.contiguous, received))
        return made
