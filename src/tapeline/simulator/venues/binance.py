"""Binance spot as it speaks: raw and combined streams of trades and of aggregated trades, with their rules.

Its REST calls are in `tapeline.simulator.venues._binance_rest`. Streams of other kinds, and of symbols that it does not
list, are accepted and stay silent, as at the venue. The codes with which it closes are not published. It has no word
for a side that is not known: such a trade is told as a sell.

Source: binance-spot-api-docs, web-socket-streams.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tapeline.clock import DAY, MINUTE, SECOND
from tapeline.simulator.tape import Tape, Tapes
from tapeline.simulator.venue import Close, Fields, Hit, Out, Ping, Request, Response, Session, Venue, never
from tapeline.simulator.venues._aggregates import Aggregates, positions
from tapeline.simulator.venues._answers import Budget, answer
from tapeline.simulator.venues._binance_rest import MICROSECOND, MILLISECOND, Rest, aggregate_rows, failure, texts_of
from tapeline.simulator.venues._binance_streams import MOST, Streams
from tapeline.types import Frame

_PING_EVERY = 20 * SECOND
_PONG_WITHIN = MINUTE
_POLICY = 1008
_SHUTDOWN_AFTER = 10 * SECOND
_BASES = ("BTC", "ETH", "BNB", "SOL", "XRP", "ADA", "DOGE", "AVAX", "DOT", "LINK")


class _Session(Session):
    """A connection; ``unit`` is the ns of its times."""

    def __init__(self, venue: Binance, streams: Streams, *, unit: int, now: int) -> None:
        super().__init__()
        self.instruments = streams.instruments
        self._venue = venue
        self._streams = streams
        self._unit = unit
        self._messages = Budget(5, SECOND)
        self._over = False
        self._next_ping = now + _PING_EVERY
        self._unanswered: dict[bytes, int] = {}

    def received(self, raw: bytes, now: int) -> list[Out]:
        self._count(now)
        if self._over:
            return [Close(_POLICY, "Too many requests")]
        told = self._streams.answer(raw)
        self.instruments = self._streams.instruments
        return [told] if len(self._streams.sources) <= MOST else [Close(_POLICY, "Too many streams")]

    def trades(self, frame: Frame, now: int) -> list[bytes]:
        told: list[bytes] = []
        for stream, source in self._streams.sources.items():
            if source == (frame.instrument, "trade"):
                told += self._streams.wrap(stream, self._plain(frame, now))
            elif source == (frame.instrument, "aggTrade"):
                told += self._streams.wrap(stream, self._aggregated(frame, now))
        return told

    def tick(self, now: int) -> list[Out]:
        if self._over:
            return [Close(_POLICY, "Too many requests")]
        if any(now - sent > _PONG_WITHIN for sent in self._unanswered.values()):
            return [Close(_POLICY, "Pong timeout")]
        if now < self._next_ping:
            return []
        self._next_ping = now + _PING_EVERY
        payload = str(now // MILLISECOND).encode()
        self._unanswered[payload] = now
        return [Ping(payload)]

    def ponged(self, payload: bytes, now: int) -> None:
        """Take a pong: it counts as a message, and answers only with the payload of a ping."""
        super().ponged(payload, now)
        self._count(now)
        if payload in self._unanswered:
            self._unanswered.clear()

    def goodbye(self, now: int) -> list[Out]:
        event = f'{{"e":"serverShutdown","E":{now // self._unit}}}'.encode()
        return [*self._streams.wrap("!serverShutdown", [event]), Close(reason="shutdown", after=_SHUTDOWN_AFTER)]

    def _count(self, now: int) -> None:
        self._over = self._over or (not self._messages.spend(now) and self._venue.limited)

    def _plain(self, frame: Frame, now: int) -> list[bytes]:
        listing = self._venue.tapes[frame.instrument].listing
        head = f'{{"e":"trade","E":{now // self._unit},"s":"{listing.base}{listing.quote}","t":'
        ends = ('false,"M":true}', 'true,"M":true}')
        times, sold = (frame.ts_event // self._unit).tolist(), (frame.side <= 0).tolist()
        rows = zip(frame.trade_id.tolist(), *texts_of(listing, frame), times, sold, strict=True)
        return [
            f'{head}{trade_id},"p":"{price}","q":"{qty}","T":{time},"m":{ends[maker_bought]}'.encode()
            for trade_id, price, qty, time, maker_bought in rows
        ]

    def _aggregated(self, frame: Frame, now: int) -> list[bytes]:
        """Tell the aggregated trades whose last trade is here."""
        tape = self._venue.tapes[frame.instrument]
        known = self._venue.aggregates(tape)
        numbers = [known.at(at) for at in positions(tape, frame) if at is not None and known.ends(at)]
        if not numbers:
            return []
        found = aggregate_rows(tape, known.get(min(numbers), max(numbers) + 1), self._unit)
        head = {"e": "aggTrade", "E": now // self._unit, "s": f"{tape.listing.base}{tape.listing.quote}"}
        told = {row["a"]: msgspec.json.encode(head | row) for row in found}
        return [told[number] for number in numbers]


class Binance(Venue):
    """The simulated Binance."""

    name = "BINANCE"
    paths: ClassVar = {"trade": "/stream", "aggTrade": "/stream"}
    instruments = tuple(f"{base}-USDT.BINANCE" for base in _BASES)
    fields = Fields(trade_id="t", price="p", qty="q", time="T")
    resolution = MILLISECOND
    lifetime = DAY

    def __init__(self, tapes: Tapes, *, hit: Hit = never, limited: bool = True) -> None:
        super().__init__(tapes, hit=hit, limited=limited)
        self._symbols = {f"{tape.listing.base}{tape.listing.quote}": name for name, tape in self.tapes.items()}
        self._aggregates: dict[str, Aggregates] = {}
        self._connects = Budget(300, 5 * MINUTE)
        self._rest = Rest(self._symbols, self.aggregates, limited=self.limited)

    def aggregates(self, tape: Tape) -> Aggregates:
        """Return the aggregated trades of a tape, up to its newest trade."""
        known = self._aggregates.setdefault(tape.listing.instrument, Aggregates(tape))
        known.update()
        return known

    def open(self, request: Request, number: int, now: int) -> Session | Response:
        """Accept ``/ws/<stream>``, and ``/stream?streams=<a>/<b>``, whose events come in a wrapper."""
        if not self._connects.spend(now) and self.limited:
            return failure(429)
        root, _, rest = request.path.strip("/").partition("/")
        if root not in {"ws", "stream"}:
            return answer({}, 404)
        names = request.params.get("streams", "") if root == "stream" else rest
        streams = Streams(self._symbols, self.hit, names.split("/") if names else [], combined=root == "stream")
        micro = request.params.get("timeUnit", "").upper() == "MICROSECOND"
        return _Session(self, streams, unit=MICROSECOND if micro else MILLISECOND, now=now)

    def rest(self, request: Request, tapes: Tapes, now: int) -> Response:
        """Answer ``/api/v3/...``."""
        return self._rest.answer(request, tapes, now)

    def failure(self, status: int) -> Response:
        """Return an error body with its code; 429 and 418 say for how long to stay away."""
        return failure(status)


VENUE = Binance
