"""The streams that one connection to the simulated Binance follows, and the commands that change them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tapeline.simulator.venue import Hit

MOST = 1024
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_ID = re.compile(r"-?\d{1,19}|\"\w{1,36}\"|null", re.ASCII)


class _Command(msgspec.Struct):
    method: str | None = None
    params: Any = None
    id: msgspec.Raw = msgspec.Raw()


class _Wrong(Exception):
    """Carry the code and the text that refuse a command."""


class Streams:
    """What is followed: ``sources`` by the name of the stream, None where nothing will ever come.

    Args:
        symbols: the instruments that are listed, by symbol.
        hit: whether a stream is refused, as a fault.
        names: those that the address asked for.
        combined: whether each event is told with its stream.
    """

    def __init__(self, symbols: Mapping[str, str], hit: Hit, names: Sequence[str], *, combined: bool) -> None:
        self.combined = combined
        self.sources: dict[str, tuple[str, str] | None] = {}
        self._symbols = symbols
        self._hit = hit
        self._follow(names)

    @property
    def instruments(self) -> set[str]:
        """Return the instruments of all streams."""
        return {source[0] for source in self.sources.values() if source}

    def answer(self, raw: bytes) -> bytes:
        """Carry out a command and return the answer."""
        command = _Command()
        try:
            command = msgspec.json.decode(raw, type=_Command)
            return msgspec.json.encode({"result": self._do(command), "id": command.id})
        except (msgspec.DecodeError, UnicodeDecodeError):
            return b'{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}'
        except _Wrong as wrong:
            known = {"id": command.id} if _ID.fullmatch(bytes(command.id).decode()) else {}
            return msgspec.json.encode({"code": wrong.args[0], "msg": wrong.args[1], **known})

    def wrap(self, stream: str, events: Sequence[bytes]) -> Sequence[bytes]:
        """Return events as they are told on this connection."""
        if not self.combined:
            return events
        return [b'{"stream":"%s","data":%s}' % (stream.encode(), event) for event in events]

    def _do(self, command: _Command) -> Any:
        method, params = command.method, command.params or []
        if method is None:
            raise _Wrong(2, "Invalid request: missing field `method` at line 1 column 1")
        if method not in _METHODS:
            known = ", ".join(f"`{one}`" for one in _METHODS)
            raise _Wrong(2, f"Invalid request: unknown variant `{method}`, expected one of {known}")
        if not _ID.fullmatch(bytes(command.id).decode()):
            raise _Wrong(2, "Invalid request: request ID must be an unsigned integer")
        if method == "LIST_SUBSCRIPTIONS":
            return list(self.sources)
        if not isinstance(params, list) or (method.endswith("E") and not all(isinstance(one, str) for one in params)):
            raise _Wrong(2, "Invalid request: property name must be a string")
        if method == "SUBSCRIBE":
            return self._follow(params)
        if method == "UNSUBSCRIBE":
            return self._leave(params)
        return self._property(method, params)

    def _property(self, method: str, params: list[Any]) -> bool | None:
        if params[:1] != ["combined"]:
            raise _Wrong(0, "Unknown property")
        if method == "GET_PROPERTY":
            return self.combined
        if len(params) != 2 or not isinstance(params[1], bool):
            raise _Wrong(1, "Invalid value type: expected Boolean")
        self.combined = params[1]
        return None

    def _follow(self, names: Sequence[str]) -> None:
        for name in names:
            symbol, _, kind = name.partition("@")
            instrument = self._symbols.get(symbol.upper()) if symbol == symbol.lower() else None
            refused = instrument is not None and self._hit("refuse-symbol", symbol.upper())
            self.sources[name] = None if instrument is None or refused else (instrument, kind)

    def _leave(self, names: Sequence[str]) -> None:
        for name in names:
            self.sources.pop(name, None)
