"""Kraken as it speaks: the trade channel of WebSocket v2. Its REST calls are in ``_kraken_rest.py``.

Not simulated: other channels (refused by name), v1, everything private. The limit on connecting and the texts of errors
are not published; those here were only heard of.

Source: docs.kraken.com, spot-websocket-v2/trade, status, heartbeat, ping.
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import ClassVar

import msgspec

from tapeline.clock import MINUTE, SECOND
from tapeline.simulator.tape import Tape, Tapes, micro, micros
from tapeline.simulator.venue import Close, Fields, Hit, Out, Request, Response, Session, Venue, never
from tapeline.simulator.venues._kraken_names import Names, takers_order
from tapeline.simulator.venues._kraken_rest import Rest
from tapeline.types import Frame

_SNAPSHOT = 50
_CONNECTS, _CONNECTS_IN = 150, 10 * MINUTE
_IDLE = MINUTE
_HEARTBEAT = b'{"channel":"heartbeat"}'
_DROPPED = 1006
_encode = msgspec.json.encode


class _Params(msgspec.Struct):
    channel: str = ""
    symbol: list[str] = []
    snapshot: bool = False


class _Command(msgspec.Struct):
    method: str = ""
    params: _Params = msgspec.field(default_factory=_Params)
    req_id: int | None = None


_command = msgspec.json.Decoder(_Command)


class _Session(Session):
    """A connection: what it said last, and what it is subscribed to."""

    def __init__(self, venue: Kraken, number: int, now: int) -> None:
        super().__init__()
        self._venue = venue
        self._number = number
        self._sent = self._heard = now

    def connected(self, now: int) -> list[Out]:
        return [self._status("online")]

    def goodbye(self, now: int) -> list[Out]:
        return [self._status("maintenance"), Close(_DROPPED, after=SECOND)]

    def received(self, raw: bytes, now: int) -> list[Out]:
        self._sent = self._heard = now
        try:
            command = _command.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [_encode({"error": "Malformed request", "success": False, **_times(now)})]
        if command.method == "ping":
            return [_encode({"method": "pong", **_req_id(command), **_times(now)})]
        if command.method not in {"subscribe", "unsubscribe"}:
            return [self._refusal(command, "", "Unsupported method", now)]
        if command.params.channel != "trade":
            return [self._refusal(command, "", f"Unsupported channel {command.params.channel}", now)]
        return [out for symbol in command.params.symbol for out in self._answer(command, symbol, now)]

    def tick(self, now: int) -> list[Out]:
        if not self.instruments:
            return [Close(1000, "idle")] if now - self._heard > _IDLE else []
        if now - self._sent < SECOND:
            return []
        self._sent = now
        return [_HEARTBEAT]

    def trades(self, frame: Frame, now: int) -> list[bytes]:
        self._sent = now
        return [self._message("update", frame)]

    def _answer(self, command: _Command, symbol: str, now: int) -> list[Out]:
        tape = self._venue.by_symbol.get(symbol)
        if tape is None or (command.method == "subscribe" and self._venue.hit("refuse-symbol", symbol)):
            return [self._refusal(command, symbol, f"Currency pair not supported {symbol}", now)]
        instrument = tape.listing.instrument
        if (instrument in self.instruments) is (command.method == "subscribe"):
            known = "Already subscribed" if instrument in self.instruments else "Subscription Not Found"
            return [self._refusal(command, symbol, known, now)]
        result: dict[str, object] = {"channel": "trade", "symbol": symbol}
        if command.method == "unsubscribe":
            self.instruments.remove(instrument)
            return [self._ack(command, result, now)]
        self.instruments.add(instrument)
        ack = self._ack(command, result | {"snapshot": command.params.snapshot}, now)
        return [ack, self._message("snapshot", tape.newest(_SNAPSHOT))] if command.params.snapshot else [ack]

    def _ack(self, command: _Command, result: dict[str, object], now: int) -> bytes:
        answer = {"method": command.method, "result": result, "success": True}
        return _encode({**answer, **_times(now), **_req_id(command)})

    def _refusal(self, command: _Command, symbol: str, error: str, now: int) -> bytes:
        named = {"symbol": symbol} if symbol else {}
        answer = {"error": error, "method": command.method, **_req_id(command), "success": False}
        return _encode({**answer, **named, **_times(now)})

    def _status(self, system: str) -> bytes:
        told = {"system": system, "api_version": "v2", "connection_id": self._number, "version": "2.0.9"}
        return _encode({"channel": "status", "type": "update", "data": [told]})

    def _message(self, kind: str, frame: Frame) -> bytes:
        listing = self._venue.tapes[frame.instrument].listing
        head = f'{{"symbol":"{Names(listing).symbol}","side":'
        columns = (frame.trade_id.tolist(), listing.prices(frame.price), listing.qtys(frame.qty))
        rows = zip(*columns, frame.side.tolist(), micros(frame.ts_event), strict=True)
        data = ",".join(
            f'{head}"{"buy" if side > 0 else "sell"}","price":{price},"qty":{qty},'
            f'"ord_type":"{takers_order(trade_id)}","trade_id":{trade_id},"timestamp":"{stamp}"}}'
            for trade_id, price, qty, side, stamp in rows
        )
        return f'{{"channel":"trade","type":"{kind}","data":[{data}]}}'.encode()


def _req_id(command: _Command) -> dict[str, int]:
    return {} if command.req_id is None else {"req_id": command.req_id}


def _times(now: int) -> dict[str, str]:
    return {"time_in": micro(now), "time_out": micro(now)}


class Kraken(Venue):
    """The simulated Kraken."""

    name = "KRAKEN"
    paths: ClassVar = {"trade": "/v2"}
    instruments = ("BTC-USD.KRAKEN", "ETH-USD.KRAKEN", "SOL-USD.KRAKEN", "XRP-USD.KRAKEN")
    fields = Fields(trade_id="trade_id", price="price", qty="qty", time="timestamp")

    def __init__(self, tapes: Tapes, *, hit: Hit = never, limited: bool = True) -> None:
        super().__init__(tapes, hit=hit, limited=limited)
        self.by_symbol: dict[str, Tape] = {Names(tape.listing).symbol: tape for tape in tapes.values()}
        self._rest = Rest([tape.listing for tape in tapes.values()], limited=limited)
        self._connects: deque[int] = deque()

    def open(self, request: Request, number: int, now: int) -> Session | Response:
        """Return a session; after too many connections in ten minutes the next are refused."""
        while self._connects and self._connects[0] <= now - _CONNECTS_IN:
            self._connects.popleft()
        if self.limited and len(self._connects) >= _CONNECTS:
            return self._rest.page(429)
        self._connects.append(now)
        return _Session(self, number, now)

    def rest(self, request: Request, tapes: Tapes, now: int) -> Response:
        """Answer a public call."""
        return self._rest.answer(request, tapes, now)

    def failure(self, status: int) -> Response:
        """Return the error inside status 200 where Kraken itself answers, else the page of the proxy before it."""
        return self._rest.failure(status)

    def wrong_cursor(self, response: Response, random: Random) -> Response:
        """Return a page whose ``last`` is up to a minute off."""
        return self._rest.wrong_cursor(response, random)


VENUE = Kraken
