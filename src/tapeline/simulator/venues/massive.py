"""Massive (formerly Polygon.io) as it speaks: the clusters ``/stocks`` (``T``) and ``/crypto`` (``XT``).

Its REST calls are in `tapeline.simulator.venues._massive_rest`. Any key is good, unless a fault refuses it. Only trades
are simulated; other channels are refused, tickers that it does not list are accepted and stay silent. What it says of a
message before the login or of an unknown channel, and how long it waits for a login, is not published.

A stock's trade has no side; a coin's has it as a condition.

Source: the specification in massive-com/client-python, and what its client and others expect of the status messages.
"""

from __future__ import annotations

from random import Random
from typing import ClassVar

import msgspec

from tapeline.clock import SECOND
from tapeline.simulator.tape import Tape, Tapes
from tapeline.simulator.venue import Close, Fields, Hit, Out, Request, Response, Session, Venue, never
from tapeline.simulator.venues._answers import answer
from tapeline.simulator.venues._massive_rest import Rest, failure, wrong_cursor
from tapeline.simulator.venues._massive_words import messages, ticker_of
from tapeline.types import Frame

_LOGIN_WITHIN = 10 * SECOND
_POLICY = 1008
_CHANNELS = {"stocks": "T", "crypto": "XT"}
_TOO_MANY = "Maximum number of websocket connections exceeded. "


class _Command(msgspec.Struct):
    action: str = ""
    params: str = ""


_command = msgspec.json.Decoder(_Command)


class _Session(Session):
    """A connection to a cluster; ``key`` is empty until the login."""

    def __init__(self, venue: Massive, cluster: str, now: int) -> None:
        super().__init__()
        self.cluster = cluster
        self.key = ""
        self.evicted = False
        self._venue = venue
        self._opened = now
        self._items: list[str] = []

    def connected(self, now: int) -> list[Out]:
        return [_status("connected", "Connected Successfully")]

    def received(self, raw: bytes, now: int) -> list[Out]:
        try:
            command = _command.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [_status("error", "invalid message")]
        if command.action == "auth":
            return self._login(command.params)
        if not self.key:
            return [_status("auth_required", "authentication required")]
        if command.action not in {"subscribe", "unsubscribe"}:
            return [_status("error", f"unknown action: {command.action}")]
        change = self._subscribe if command.action == "subscribe" else self._unsubscribe
        told = [change(item.strip()) for item in command.params.split(",")]
        self.instruments = self._venue.wanted(self.cluster, self._items)
        events = [event for event in told if event]
        return [_statuses(events)] if events else []

    def trades(self, frame: Frame, now: int) -> list[bytes]:
        return messages(self._venue.tapes[frame.instrument].listing, frame, now)

    def tick(self, now: int) -> list[Out]:
        if self.evicted:
            return [_status("max_connections", _TOO_MANY), Close(_POLICY, "max connections")]
        if not self.key and now - self._opened > _LOGIN_WITHIN:
            return [_status("auth_timeout", "No authentication request received."), Close(_POLICY, "auth timeout")]
        return []

    def _login(self, key: str) -> list[Out]:
        if not key or self._venue.hit("refuse-auth", self.cluster):
            return [_status("auth_failed", "authentication failed"), Close(_POLICY, "auth failed")]
        for other in self._venue.sessions:
            if isinstance(other, _Session) and other is not self and (other.cluster, other.key) == (self.cluster, key):
                other.evicted = True
        self.key = key
        return [_status("auth_success", "authenticated")]

    def _subscribe(self, item: str) -> tuple[str, str] | None:
        """Follow an item; one that is followed already is not answered."""
        channel, _, ticker = item.partition(".")
        if channel != _CHANNELS[self.cluster] or not ticker:
            return "error", f"unknown subscription: {item}"
        if self._venue.hit("refuse-symbol", ticker):
            return "error", f"not authorized to subscribe to: {item}"
        if item in self._items:
            return None
        self._items.append(item)
        return "success", f"subscribed to: {item}"

    def _unsubscribe(self, item: str) -> tuple[str, str] | None:
        if item not in self._items:
            return None
        self._items.remove(item)
        return "success", f"unsubscribed to: {item}"


def _status(status: str, message: str) -> bytes:
    return _statuses([(status, message)])


def _statuses(events: list[tuple[str, str]]) -> bytes:
    return msgspec.json.encode([{"ev": "status", "status": status, "message": text} for status, text in events])


class Massive(Venue):
    """The simulated Massive."""

    name = "MASSIVE"
    paths: ClassVar = {"stocks": "/stocks", "crypto": "/crypto"}
    instruments = ("AAPL.MASSIVE", "MSFT.MASSIVE", "BTC-USD.MASSIVE", "ETH-USD.MASSIVE")
    fields = Fields(trade_id="i", price="p", qty="s", time="t")
    resolution = 1_000_000

    def __init__(self, tapes: Tapes, *, hit: Hit = never, limited: bool = True) -> None:
        super().__init__(tapes, hit=hit, limited=limited)
        self._tickers: dict[str, dict[str, Tape]] = {cluster: {} for cluster in _CHANNELS}
        for tape in self.tapes.values():
            self._tickers["crypto" if tape.listing.quote else "stocks"][ticker_of(tape.listing)] = tape
        self._rest = Rest([tape.listing for tape in self.tapes.values()], limited=self.limited)

    def wanted(self, cluster: str, items: list[str]) -> set[str]:
        """Return the instruments that items such as ``T.AAPL`` or ``XT.*`` ask for."""
        asked = {item.partition(".")[2] for item in items}
        known = self._tickers[cluster].items()
        return {tape.listing.instrument for ticker, tape in known if ticker in asked or "*" in asked}

    def open(self, request: Request, number: int, now: int) -> Session | Response:
        """Return a session of the cluster that the path names."""
        cluster = request.path.strip("/")
        return _Session(self, cluster, now) if cluster in _CHANNELS else answer({}, 404)

    def rest(self, request: Request, tapes: Tapes, now: int) -> Response:
        """Answer a call, which must carry a key."""
        return self._rest.answer(request, tapes, now)

    def failure(self, status: int) -> Response:
        """Return an error body."""
        return failure(status)

    def wrong_cursor(self, response: Response, random: Random) -> Response:
        """Return a page whose ``next_url`` leads up to a page astray."""
        return wrong_cursor(response, random)


VENUE = Massive
