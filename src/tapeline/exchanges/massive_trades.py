"""The past of Massive: bodies of REST ``v3/trades``, the way through them, and the ids of its trades.

Ids are texts, unique only per ticker, exchange and trade reporting facility: ours is 63 bits of BLAKE2b over (UTC day
of the trade, exchange, facility, id), the same from both sources, since ``ts_event`` is the SIP time in both, in ms on
the socket and in ns by REST. Rows of trades that were cancelled or corrected away are left out.

Source: the venue's REST specification (massive.com/docs).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

import msgspec

from tapeline.clock import DAY
from tapeline.errors import InputError, MalformedMessage, VenueRefused
from tapeline.exchanges.answers import check_answer, following, read_or
from tapeline.exchanges.base import History, Page, RawTrade, Request, Response, Span, Walk
from tapeline.exchanges.fields import Number, number_text, reading
from tapeline.exchanges.massive_reference import ALL, Conditions, rules_of
from tapeline.exchanges.walks import asked

_CRYPTO_SIDES = {1: -1, 2: 1}
_TRADES = "/v3/trades/"
_PATIENCE = 5


class Identity(NamedTuple):
    """What tells a trade of a ticker from the others of its day."""

    exchange: int
    facility: int | None
    written: int | str | None


class _Row(msgspec.Struct):
    price: msgspec.Raw
    size: msgspec.Raw
    exchange: int
    participant_timestamp: Number | None = None
    sip_timestamp: Number | None = None
    id: int | str | None = None
    trf_id: int | None = None
    conditions: list[int] = []
    correction: int = 0


class _Body(msgspec.Struct):
    status: str = ""
    results: list[msgspec.Raw] | None = None
    next_url: str = ""
    error: str = ""
    message: str = ""


_body = msgspec.json.Decoder(_Body)
_row = msgspec.json.Decoder(_Row)


def parse_history(body: bytes, symbol: str, conditions: Conditions = ALL) -> History:
    """Read a body of ``v3/trades/{symbol}``; ``next`` is the address of the next page, which wants the key again.

    Raises:
        MalformedMessage: it is no such body.
        InputError: Massive answered with an error.
    """
    with reading("massive body", body):
        answer = _body.decode(body)
    if answer.status == "ERROR" or answer.error:
        raise InputError("massive body", f"the venue answered {answer.error or answer.message!r}")
    if answer.results is None and answer.status not in {"OK", "DELAYED"}:
        raise MalformedMessage("massive body", "is no body of trades", raw=body)
    history = History(next=answer.next_url)
    for row in answer.results or []:
        try:
            _add(history, bytes(row), symbol, conditions)
        except MalformedMessage as error:
            history.bad.append(error)
    return history


def walk(ticker: str, span: Span, conditions: Conditions = ALL) -> Walk:
    """Walk through ``v3/trades`` by time and the venue's cursor; ids are no help, they ascend for nobody.

    Raises:
        InputError: an answer is no body of trades.
    """
    bounds = {"timestamp.gte": str(span.start), "timestamp.lt": str(span.end)}
    request: Request | None = Request(_TRADES + ticker, {**bounds, "order": "asc", "limit": "50000"})
    newest, idle = -1, 0
    while request is not None and idle < _PATIENCE:
        answer = yield from asked(request)
        found = parse_history(answer.body, ticker, conditions)
        inside = (one for one in found.trades if span.start <= one.ts_event < span.end)
        wanted = sorted(inside, key=lambda one: one.ts_event)
        if wanted or found.bad or found.ignored:
            yield Page(wanted, tuple(found.bad), found.ignored)
        reached = max((one.ts_event for one in found.trades), default=-1)
        newest, idle = max(newest, reached), 0 if reached > newest else idle + 1
        request = following(found.next, _TRADES)


def check(response: Response) -> None:
    """Judge an answer by its status and by the word in it.

    Raises:
        VenueBusy: over the limit, in trouble, or no JSON.
        VenueRefused: a wrong key, what the key does not pay for, an unknown ticker.
    """
    check_answer("massive REST", response)
    told = read_or(_body, response.body, _Body())
    if told.status == "ERROR" or told.error:
        raise VenueRefused("massive REST", f"the venue answered {(told.error or told.message)[:120]!r}")


def trade_id(ts_event: int, exchange: int, facility: int | None, written: str) -> int:
    """Return our id of a trade, 0 to 2**63 - 1; ids may come again on another day, hence the day is in it.

    >>> trade_id(0, 4, None, "12345") == trade_id(86_399_000_000_000, 4, None, "12345")
    True
    """
    text = f"{ts_event // DAY}|{exchange}|{'' if facility is None else facility}|{written}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def trade_of(
    ticker: str, ts_event: int, identity: Identity, numbers: tuple[msgspec.Raw, msgspec.Raw], side: int = 0
) -> RawTrade:
    """Return a trade; ``numbers`` are its price and its quantity.

    Raises:
        ValueError: a number is none.
    """
    exchange, facility, written = identity
    known = None if written is None else trade_id(ts_event, exchange, facility, str(written))
    return RawTrade(ticker, known, ts_event, number_text(numbers[0]), number_text(numbers[1]), side)


def crypto_side(conditions: list[int]) -> int:
    """Return the aggressor of a crypto trade: condition 1 is sell side, 2 is buy side."""
    sides = [_CRYPTO_SIDES[one] for one in conditions if one in _CRYPTO_SIDES]
    return sides[0] if len(sides) == 1 else 0


def _add(history: History, raw: bytes, ticker: str, conditions: Conditions) -> None:
    with reading("massive row", raw):
        row = _row.decode(raw)
        stamp = row.participant_timestamp if row.sip_timestamp is None else row.sip_timestamp
        if stamp is None:
            raise MalformedMessage("massive row", "has no time", raw=raw)
        if left_out := rules_of(ticker, conditions).left_out(row.conditions, row.correction):
            history.ignored[left_out] += 1
            return
        side = crypto_side(row.conditions) if ticker.startswith("X:") else 0
        identity = Identity(row.exchange, row.trf_id, row.id)
        history.trades.append(trade_of(ticker, stamp, identity, (row.price, row.size), side))
