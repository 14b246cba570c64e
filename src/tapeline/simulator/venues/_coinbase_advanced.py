"""A connection to the simulated Coinbase Advanced Trade: ``market_trades`` and ``heartbeats``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from tapeline.clock import SECOND, format_time
from tapeline.simulator.tape import Tape
from tapeline.simulator.venue import Close, Hit, Out, Session
from tapeline.simulator.venues._answers import Budget
from tapeline.simulator.venues._coinbase_words import advanced_rows
from tapeline.types import Frame

_SUBSCRIBE_WITHIN = 5 * SECOND
_BATCH = SECOND // 4
_SILENCE = 90 * SECOND
_SNAPSHOT = 100
_POLICY = 1008
_CHANNELS = ("market_trades", "heartbeats")
_REFUSED = b'{"type":"error","message":"failure to subscribe"}'


class _Command(msgspec.Struct):
    type: str = ""
    channel: str = ""
    product_ids: list[str] = []


_command = msgspec.json.Decoder(_Command)


class AdvancedSession(Session):
    """A connection: every message has the next ``sequence_num``; trades are gathered for 250 ms.

    It ends where nothing is subscribed within five seconds, and after 90 s without anything to tell.
    """

    def __init__(self, products: Mapping[str, Tape], hit: Hit, *, limited: bool, now: int) -> None:
        super().__init__()
        self._products = products
        self._hit = hit
        self._limited = limited
        self._channels: dict[str, list[str]] = {}
        self._messages = Budget(8, SECOND)
        self._sequence = 0
        self._gathered: dict[str, list[Frame]] = {}
        self._opened = self._flushed = self._beat = self._told = now

    def received(self, raw: bytes, now: int) -> list[Out]:
        if not self._messages.spend(now) and self._limited:
            return [Close(_POLICY, "Too many messages")]
        try:
            command = _command.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [_REFUSED]
        if command.type not in {"subscribe", "unsubscribe"} or command.channel not in _CHANNELS:
            return [_REFUSED]
        if command.type == "unsubscribe":
            return self._unsubscribe(command, now)
        if any(one not in self._products or self._hit("refuse-symbol", one) for one in command.product_ids):
            return [_REFUSED]
        return self._subscribe(command, now)

    def trades(self, frame: Frame, now: int) -> list[bytes]:
        self._gathered.setdefault(frame.instrument, []).append(frame)
        return []

    def tick(self, now: int) -> list[Out]:
        if not self._channels:
            over = now - max(self._opened, self._told) > _SUBSCRIBE_WITHIN
            return [Close(_POLICY, "no subscription within 5 s")] if over else []
        if now - self._told > _SILENCE:
            return [Close(_POLICY, "nothing to tell")]
        told: list[Out] = []
        if now - self._flushed >= _BATCH:
            self._flushed = now
            told += [self._trades("update", Frame.concat(frames), now) for frames in self._gathered.values()]
            self._gathered.clear()
        if "heartbeats" in self._channels and now - self._beat >= SECOND:
            self._beat = now
            told.append(self._heartbeat(now))
        return told

    def _subscribe(self, command: _Command, now: int) -> list[Out]:
        """Tell the newest trades of what is new, then all that is subscribed, in this order as the venue does."""
        held = self._channels.setdefault(command.channel, [])
        new = [product for product in dict.fromkeys(command.product_ids) if product not in held]
        held += new
        tapes = [self._products[product] for product in new] if command.channel == "market_trades" else []
        snapshots = [self._trades("snapshot", tape.newest(_SNAPSHOT), now) for tape in tapes if tape.end > tape.start]
        return [*snapshots, self._state(now)]

    def _unsubscribe(self, command: _Command, now: int) -> list[Out]:
        left = [one for one in self._channels.pop(command.channel, []) if one not in command.product_ids]
        self._channels |= {command.channel: left} if left else {}
        return [self._state(now)]

    def _state(self, now: int) -> bytes:
        self.instruments = {self._products[one].listing.instrument for one in self._channels.get("market_trades", [])}
        self._gathered = {name: rows for name, rows in self._gathered.items() if name in self.instruments}
        return self._message("subscriptions", {"subscriptions": self._channels}, now)

    def _trades(self, kind: str, rows: Frame, now: int) -> bytes:
        tape = next(one for one in self._products.values() if one.listing.instrument == rows.instrument)
        return self._message("market_trades", {"type": kind, "trades": advanced_rows(tape, rows)}, now)

    def _heartbeat(self, now: int) -> bytes:
        seconds, rest = divmod(now, SECOND)
        moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
        up = now - self._opened
        text = f"{moment}.{rest:09d} +0000 UTC m=+{up / SECOND:.9f}"
        return self._message("heartbeats", {"current_time": text, "heartbeat_counter": up // SECOND}, now)

    def _message(self, channel: str, event: dict[str, Any], now: int) -> bytes:
        head = {"channel": channel, "client_id": "", "timestamp": format_time(now), "sequence_num": self._sequence}
        self._sequence += 1
        self._told = now
        return msgspec.json.encode(head | {"events": [event]})
