"""A connection to the simulated Coinbase Exchange feed: ``matches`` and ``heartbeat``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from tapeline.clock import SECOND
from tapeline.simulator.tape import Tape, micro
from tapeline.simulator.venue import Close, Hit, Out, Session
from tapeline.simulator.venues._answers import Budget
from tapeline.simulator.venues._coinbase_words import matches
from tapeline.types import Frame

_SUBSCRIBE_WITHIN = 5 * SECOND
_POLICY = 1008
_CHANNELS = ("matches", "heartbeat")
_encode = msgspec.json.encode


class _Channel(msgspec.Struct):
    name: str
    product_ids: list[str] = []


class _Command(msgspec.Struct):
    type: str = ""
    product_ids: list[str] = []
    channels: list[str | _Channel] = []


_command = msgspec.json.Decoder(_Command)


class ExchangeSession(Session):
    """A connection: the products of each channel. It ends where nothing is subscribed within five seconds."""

    def __init__(self, products: Mapping[str, Tape], hit: Hit, *, limited: bool, now: int) -> None:
        super().__init__()
        self._products = products
        self._hit = hit
        self._limited = limited
        self._channels: dict[str, list[str]] = {}
        self._messages = Budget(100, SECOND)
        self._opened = self._beat = now
        self._subscribed = False

    def received(self, raw: bytes, now: int) -> list[Out]:
        if not self._messages.spend(now) and self._limited:
            return [Close(_POLICY, "Too many messages")]
        try:
            command = _command.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [_encode({"type": "error", "message": "Malformed JSON"})]
        if command.type not in {"subscribe", "unsubscribe"}:
            return [_encode({"type": "error", "message": "Type has to be either subscribe or unsubscribe"})]
        asked = _asked(command)
        reason = self._wrong(command, asked)
        if reason:
            return [_encode({"type": "error", "message": f"Failed to {command.type}", "reason": reason})]
        return list(self._subscribe(asked) if command.type == "subscribe" else self._unsubscribe(asked))

    def trades(self, frame: Frame, now: int) -> list[bytes]:
        return matches(self._tape(frame.instrument), frame)

    def tick(self, now: int) -> list[Out]:
        if not self._subscribed and now - self._opened > _SUBSCRIBE_WITHIN:
            return [Close(_POLICY, "no subscription within 5 s")]
        if now - self._beat < SECOND:
            return []
        self._beat = now
        return [self._heartbeat(product, now) for product in self._channels.get("heartbeat", [])]

    def _wrong(self, command: _Command, asked: dict[str, list[str]]) -> str:
        """Return why a command is refused as a whole, or an empty text."""
        if not asked:
            return "No channels provided"
        unknown = [name for name in asked if name not in _CHANNELS]
        if unknown:
            return f"{unknown[0]} is not a valid channel"
        leaving = command.type == "unsubscribe"
        for product in dict.fromkeys(product for products in asked.values() for product in products):
            if product not in self._products or (not leaving and self._hit("refuse-symbol", product)):
                return f"{product} is not a valid product"
        return "" if leaving or all(asked.values()) else " is not a valid product"

    def _subscribe(self, asked: Mapping[str, list[str]]) -> Iterator[Out]:
        self._subscribed = True
        new = [product for product in asked.get("matches", []) if product not in self._channels.get("matches", [])]
        for name, products in asked.items():
            self._channels[name] = list(dict.fromkeys([*self._channels.get(name, []), *products]))
        yield self._state()
        for tape in (self._products[product] for product in new):
            yield from matches(tape, tape.newest(1), "last_match")

    def _unsubscribe(self, asked: Mapping[str, list[str]]) -> Iterator[Out]:
        for name, products in asked.items():
            left = [product for product in self._channels.pop(name, []) if products and product not in products]
            self._channels |= {name: left} if left else {}
        yield self._state()

    def _state(self) -> bytes:
        """Follow what is subscribed, and tell it whole."""
        self.instruments = {self._products[one].listing.instrument for one in self._channels.get("matches", [])}
        told = [{"name": name, "product_ids": ids, "account_ids": None} for name, ids in self._channels.items()]
        return _encode({"type": "subscriptions", "channels": told})

    def _heartbeat(self, product: str, now: int) -> bytes:
        newest = self._products[product].newest(1).trade_id
        last = int(newest[0]) if len(newest) else 0
        told = {"type": "heartbeat", "last_trade_id": last, "product_id": product, "sequence": 10 * last + 5}
        return _encode(told | {"time": micro(now)})

    def _tape(self, instrument: str) -> Tape:
        return next(tape for tape in self._products.values() if tape.listing.instrument == instrument)


def _asked(command: _Command) -> dict[str, list[str]]:
    """Return the products of each channel that a command names; those of the command itself hold for all."""
    named: dict[str, list[str]] = {}
    for channel in command.channels:
        one = _Channel(channel) if isinstance(channel, str) else channel
        named[one.name] = [*command.product_ids, *one.product_ids]
    return named
