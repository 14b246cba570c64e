"""How faults damage what one connection is told: batches of trades, and messages. The true tape is never touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

import msgspec
import numpy as np

from tapeline.clock import DAY, HOUR, SECOND, parse_time
from tapeline.simulator.faults import FAULTS, Faults, Per
from tapeline.simulator.tape import Tape, Tapes, micro
from tapeline.simulator.venue import Fields
from tapeline.types import Frame

_OVERLAP = 50
_HELD_FOR = SECOND
_OF_BATCHES = [name for name, (per, _) in FAULTS.items() if per is Per.BATCH]
_OF_MESSAGES = [name for name, (per, _) in FAULTS.items() if per is Per.MESSAGE]
_UNITS = ((10**11, SECOND), (10**14, 1_000_000), (10**17, 1_000), (10**20, 1))
_Trade = dict[str, Any]


class BatchDamage:
    """Damage the batches of a connection."""

    def __init__(self, faults: Faults, connection: int, tapes: Tapes) -> None:
        self._faults = faults
        self._asked = set(faults.any_of(_OF_BATCHES))
        self._connection = connection
        self._tapes = tapes
        self._late: dict[str, tuple[int, Frame]] = {}
        self._joined: dict[str, tuple[int, Frame]] = {}

    def batches(self, frame: Frame, now: int) -> list[Frame]:
        """Return what is told instead of a batch."""
        if not self._asked:
            return [frame]
        name = frame.instrument
        if name in self._joined:
            frame = Frame.concat([self._joined.pop(name)[1], frame])
        after = [self._late.pop(name)[1]] if name in self._late else []
        return self._struck(frame, now) + after

    def due(self, now: int) -> list[Frame]:
        """Return batches that waited long enough for another one."""
        waiting = [
            (held, name) for held in (self._late, self._joined) for name in held if now - held[name][0] >= _HELD_FOR
        ]
        return [held.pop(name)[1] for held, name in waiting]

    def _struck(self, frame: Frame, now: int) -> list[Frame]:
        if self._strikes("drop", frame, now):
            return []
        for fault, held in (("merge", self._joined), ("reorder", self._late)):
            if self._strikes(fault, frame, now):
                held[frame.instrument] = (now, frame)
                return []
        if self._strikes("overlap", frame, now):
            frame = _overlapping(self._tapes[frame.instrument], frame)
        if self._strikes("restart-ids", frame, now):
            ids = np.arange(1, len(frame) + 1)
            frame = Frame(frame.instrument, ids, *frame.columns()[1:])
        one_by_one = self._strikes("split", frame, now)
        told = [frame.take(slice(at, at + 1)) for at in range(len(frame))] if one_by_one else [frame]
        return told * 2 if self._strikes("duplicate", frame, now) else told

    def _strikes(self, fault: str, frame: Frame, now: int) -> bool:
        if fault not in self._asked:
            return False
        first, last = frame.trade_id[0], frame.trade_id[-1]
        subject = f"{frame.instrument} {first}" + (f"-{last}" if last != first else "")
        return self._faults.strikes(fault, now, connection=self._connection, subject=subject)


class MessageDamage:
    """Damage the messages of a connection that hold trades."""

    def __init__(self, faults: Faults, connection: int, fields: Fields) -> None:
        self._faults = faults
        self._asked = sorted(faults.any_of(_OF_MESSAGES), key=_breaks_types)
        self._connection = connection
        self._fields = fields

    def message(self, raw: bytes, now: int) -> bytes:
        """Return what is sent instead of a message."""
        if not self._asked or self._fields.price.encode() not in raw:
            return raw
        document = msgspec.json.decode(raw)
        trades = list(_trades_in(document, self._fields))
        if not trades:
            return raw
        subject = f"trade {trades[0].get(self._fields.trade_id, '')} and {len(trades) - 1} more"
        for fault in self._asked:
            if self._faults.strikes(fault, now, connection=self._connection, subject=subject):
                raw = self._damaged(fault, raw, document, trades)
                if fault == "malformed":
                    break
        return raw

    def _damaged(self, fault: str, raw: bytes, document: Any, trades: list[_Trade]) -> bytes:
        random = self._faults.random(fault, self._connection)
        if fault == "malformed":
            return raw[: random.randrange(1, len(raw))]
        _SPOILERS[fault](random.choice(trades), self._fields, random)
        return msgspec.json.encode(document)


def _breaks_types(fault: str) -> bool:
    """Return whether a fault comes last: the others change what is still a number or a time."""
    return fault == "wrong-types"


def _overlapping(tape: Tape, frame: Frame) -> Frame:
    at = tape.at_id(int(frame.trade_id[0]))
    return Frame.concat([tape.rows(at - _OVERLAP, at), frame])


def _trades_in(document: Any, fields: Fields) -> Iterator[_Trade]:
    if isinstance(document, dict):
        if {fields.price, fields.qty, fields.time} <= document.keys():
            yield document
            return
        document = list(document.values())
    if isinstance(document, list):
        for one in document:
            yield from _trades_in(one, fields)


def _number(trade: _Trade, key: str, text: str) -> None:
    """Write a number as the venue does: as text, or bare."""
    trade[key] = text if isinstance(trade[key], str) else msgspec.Raw(text.encode())


def _wrong_type(trade: _Trade, fields: Fields, random: Random) -> None:
    trade[random.choice([key for key in fields if key in trade])] = random.choice([None, [], {}, True, "not a number"])


def _unknown_field(trade: _Trade, fields: Fields, random: Random) -> None:
    trade["unheard_of"] = {"of": random.randrange(100)}


def _shift(trade: _Trade, fields: Fields, by: int) -> None:
    told = trade[fields.time]
    if isinstance(told, str):
        trade[fields.time] = micro(parse_time(told) + by)
    else:
        trade[fields.time] = told + by // next(unit for most, unit in _UNITS if told < most)


_SPOILERS: Mapping[str, Callable[[_Trade, Fields, Random], None]] = {
    "wrong-types": _wrong_type,
    "unknown-fields": _unknown_field,
    "price-zero": lambda trade, fields, random: _number(trade, fields.price, "0"),
    "price-nan": lambda trade, fields, random: _number(trade, fields.price, "NaN"),
    "price-huge": lambda trade, fields, random: _number(trade, fields.price, "1e400"),
    "negative-qty": lambda trade, fields, random: _number(trade, fields.qty, f"-{trade[fields.qty]}"),
    "future-stamp": lambda trade, fields, random: _shift(trade, fields, random.randint(HOUR, 365 * DAY)),
    "past-stamp": lambda trade, fields, random: _shift(trade, fields, -random.randint(HOUR, 365 * DAY)),
}
