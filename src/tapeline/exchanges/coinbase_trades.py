"""The past of Coinbase: REST bodies of trades, of Exchange and of Advanced Trade, and the ways through them.

Rows name the **maker's** side, which is turned into the aggressor. Coinbase says so of Exchange; of Advanced Trade's
REST it says nothing, but in a recorded body the trades at the best ask are sells, as those of makers are.

Source: docs.cdp.coinbase.com, exchange-api products/trades, advanced-trade-api products/ticker.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial

import msgspec

from tapeline.clock import SECOND
from tapeline.errors import InputError, MalformedMessage
from tapeline.exchanges.answers import read_rows
from tapeline.exchanges.base import History, Page, RawTrade, Request, Response, Span, Walk
from tapeline.exchanges.fields import MAX_ID, reading, rfc3339_ns, side_of
from tapeline.exchanges.walks import Stretch, asked, by_id

_TAKERS = {"buy": -1, "sell": 1}
_ROWS = 1000
_WIDEST = 86_400


class Row(msgspec.Struct):
    """A trade, the same by REST and on a socket; rows of Exchange's REST do not name their product."""

    trade_id: int | str
    price: str
    size: str
    side: str
    time: str
    product_id: str = ""


class _Answer(msgspec.Struct):
    trades: list[msgspec.Raw] | None = None
    message: str = ""
    error: str = ""


_row = msgspec.json.Decoder(Row)
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_answer = msgspec.json.Decoder(_Answer)


def parse_history(body: bytes, symbol: str) -> History:
    """Read a body of ``products/{id}/trades`` (Exchange), or of ``market/products/{id}/ticker`` (Advanced Trade).

    ``next`` is the oldest id, to be sent as ``after``: pages go back in time.

    Raises:
        MalformedMessage: it is no such body.
        InputError: Coinbase answered with an error.
    """
    with reading("coinbase body", body):
        answer = _answer.decode(body) if body.lstrip()[:1] == b"{" else _Answer(_rows.decode(body))
    if answer.trades is None:
        if answer.message or answer.error:
            raise InputError("coinbase body", f"the venue answered {answer.message or answer.error!r}")
        raise MalformedMessage("coinbase body", "is no body of trades", raw=body)
    trades, bad = read_rows(reversed(answer.trades), partial(_from_row, symbol=symbol))
    return History(trades=trades, bad=bad, next=str(trades[0].trade_id) if trades else "")


def walk(product: str, span: Span) -> Walk:
    """Walk up ``products/{id}/trades`` of Exchange by id: ``after=N`` gives the newest ids below N.

    Exchange cannot be asked by time: the first id of a span of time is searched by halving all ids.

    Raises:
        InputError: an answer is no body of trades.
    """
    number = span.first_id
    if number is None:
        number = yield from _first_id(product, span.start)

    def ask(first: int) -> Request:
        after = first + _ROWS if span.last_id is None else min(first + _ROWS, span.last_id + 1)
        return _below(product, after, _ROWS)

    if number is not None:
        yield from by_id(span, number, ask, partial(parse_history, symbol=product))


def _below(product: str, after: int | None, rows: int) -> Request:
    params = {"limit": str(rows)} if after is None else {"limit": str(rows), "after": str(after)}
    return Request(f"/products/{product}/trades", params)


def _first_id(product: str, start: int) -> Generator[Request | Page, Response | None, int | None]:
    """Return the first id whose trade is not before ``start``; None where the venue has no trade."""
    newest = yield from _newest(product, None)
    if newest is None:
        return None
    low, high = 0, (newest.trade_id or 0) + 1
    while low < high:
        middle = (low + high) // 2
        found = yield from _newest(product, middle + 1)
        if found is None or found.ts_event < start:
            low = middle + 1
        else:
            high = min(middle, found.trade_id or 0)
    return low


def _newest(product: str, after: int | None) -> Generator[Request | Page, Response | None, RawTrade | None]:
    """Ask for the newest trade below an id; an empty answer is not believed at once."""
    for _ in range(2):
        answer = yield from asked(_below(product, after, 1))
        trades = parse_history(answer.body, product).trades
        if trades:
            return trades[-1]
    return None


def walk_advanced(product: str, span: Span) -> Walk:
    """Walk through ``market/products/{id}/ticker`` of Advanced Trade by time: it knows whole seconds and no ids.

    A window whose answer leaves ids out held more than one answer takes, and is halved down to a second; windows
    grow again while all is there.

    Raises:
        InputError: an answer is no body of trades.
    """
    stretch = Stretch(span)
    stretch.newest = None if span.first_id is None else span.first_id - 1
    at, width = span.start // SECOND, 1
    while at * SECOND <= span.end and not stretch.covered:
        params = {"limit": str(_ROWS), "start": str(at), "end": str(at + width)}
        answer = yield from asked(Request(f"/api/v3/brokerage/market/products/{product}/ticker", params))
        found = parse_history(answer.body, product)
        if stretch.skips(found) and width > 1:
            width //= 2
            continue
        page = stretch.pass_on(found)
        if page.trades or page.bad:
            yield page
        at, width = at + width, min(width * 2, _WIDEST)


def trade_of(row: Row, raw: bytes) -> RawTrade:
    """Return the trade of a row.

    Raises:
        MalformedMessage: side or id are none.
        ValueError: the time is none.
    """
    side = side_of("coinbase trade", row.side.lower(), _TAKERS, raw)
    text = str(row.trade_id)
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= MAX_ID):
        raise MalformedMessage("coinbase trade", "trade_id", raw=raw, expected="a number", was=text)
    return RawTrade(row.product_id, int(text), rfc3339_ns(row.time), row.price, row.size, side)


def _from_row(raw: bytes, symbol: str) -> RawTrade:
    with reading("coinbase row", raw):
        trade = trade_of(_row.decode(raw), raw)
        return trade._replace(symbol=trade.symbol or symbol)
