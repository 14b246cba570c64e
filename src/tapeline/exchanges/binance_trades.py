"""The past of Binance: bodies of ``trades``, ``historicalTrades`` and ``aggTrades``, and the ways through them.

Source: binance-spot-api-docs, rest-api; none of these calls wants a key.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial

import msgspec

from tapeline.errors import InputError, MalformedMessage, VenueBusy
from tapeline.exchanges.answers import check_answer, read_or, read_rows, retry_after
from tapeline.exchanges.base import History, Page, RawTrade, Request, Response, Span, Walk
from tapeline.exchanges.fields import MAX_ID, Number, reading
from tapeline.exchanges.walks import asked, by_id

_MICROSECONDS_FROM = 10**14
_ROWS = "1000"
_BEFORE = 500  # ids: a span may begin inside an aggregated trade
_PASSES = frozenset({-1000, -1001, -1003, -1007, -1008, -1016})


class AggTrade(msgspec.Struct):
    """An aggregated trade; on a socket it tells its symbol too."""

    a: Number
    p: str
    q: str
    f: Number
    l: Number  # noqa: E741  the venue's own field name
    T: Number
    m: bool


class Refusal(msgspec.Struct):
    """What is wrong with a request."""

    code: int | None = None
    msg: str = ""


class _Trade(msgspec.Struct):
    id: Number
    price: str
    qty: str
    time: Number
    maker_bought: bool = msgspec.field(name="isBuyerMaker")


class _Kind(msgspec.Struct):
    """Fields by which a row tells its kind."""

    id: msgspec.Raw = msgspec.Raw()
    a: msgspec.Raw = msgspec.Raw()


_refusal = msgspec.json.Decoder(Refusal)
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_kind = msgspec.json.Decoder(_Kind)
_trade = msgspec.json.Decoder(_Trade)
_agg_trade = msgspec.json.Decoder(AggTrade)
_agg_trades = msgspec.json.Decoder(list[AggTrade])


def parse_history(body: bytes, symbol: str) -> History:
    """Read a body of any of the three; ``next`` is the ``fromId`` that follows it.

    Raises:
        MalformedMessage: it is no such body.
        InputError: Binance answered with an error.
    """
    with reading("binance body", body):
        if body.lstrip()[:1] == b"{" and _refusal.decode(body).code is not None:
            raise InputError("binance body", f"the venue answered {_refusal.decode(body).msg!r}")
        rows = _rows.decode(body)
        kinds = {_kind_of(row) for row in map(bytes, rows) if row.startswith(b"{")}
    if (rows and not kinds) or "" in kinds or len(kinds) > 1:
        raise MalformedMessage("binance body", "is no body of trades", raw=body)
    trades, bad = read_rows(rows, partial(_from_row, symbol=symbol))
    newest = max((trade.trade_id for trade in trades if trade.trade_id is not None), default=None)
    return History(next(iter(kinds), "trade"), trades, bad, next="" if newest is None else str(newest + 1))


def walk(symbol: str, span: Span) -> Walk:
    """Walk through ``historicalTrades`` by id; by time, from a little before the first aggregated trade on.

    Raises:
        InputError: an answer is no body of trades.
    """
    return _upwards("/api/v3/historicalTrades", 25, symbol, span, lambda first: max(first.f - _BEFORE, 0))


def walk_aggregated(symbol: str, span: Span) -> Walk:
    """Walk through ``aggTrades`` by their own ids.

    Raises:
        InputError: an answer is no body of trades.
    """
    return _upwards("/api/v3/aggTrades", 4, symbol, span, lambda first: first.a)


def _upwards(path: str, weight: float, symbol: str, span: Span, begin: Callable[[AggTrade], int]) -> Walk:
    """Walk up by id; in a span of time its first aggregated trade tells where to ``begin``."""

    def ask(number: int) -> Request:
        return Request(path, {"symbol": symbol, "fromId": str(number), "limit": _ROWS}, weight=weight)

    number = span.first_id
    if number is None:
        first = yield from _first(symbol, span)
        number = None if first is None else begin(first)
    if number is not None:
        yield from by_id(span, number, ask, partial(parse_history, symbol=symbol))


def _first(symbol: str, span: Span) -> Generator[Request | Page, Response | None, AggTrade | None]:
    """Ask for the first aggregated trade of a span; an empty answer is not believed at once."""
    params = {"symbol": symbol, "startTime": str(span.start // 1_000_000), "limit": "1"}
    for _ in range(2):
        answer = yield from asked(Request("/api/v3/aggTrades", params, weight=4))
        with reading("binance body", answer.body):
            found = _agg_trades.decode(answer.body)
        if found:
            return found[0]
    return None


def check(response: Response) -> None:
    """Judge an answer by its status and its code.

    Raises:
        VenueBusy: over the limit (429), banned for a while (418), in trouble, or no JSON.
        VenueRefused: an unknown symbol, or any other error.
    """
    told = read_or(_refusal, response.body, Refusal())
    if told.code in _PASSES:
        raise VenueBusy("binance REST", f"the venue answered {told.msg[:120]!r}", retry_after=retry_after(response))
    check_answer("binance REST", response)


def from_agg_trade(row: AggTrade, symbol: str, raw: bytes) -> RawTrade:
    """Return an aggregated trade, which stands for as many as it has ids.

    Raises:
        MalformedMessage: it has none.
    """
    count = row.l - row.f + 1
    if not 1 <= count < 2**31:
        raise MalformedMessage("binance aggTrade", "last id before first id", raw=raw, expected="l >= f", was=row.l)
    return RawTrade(symbol, row.a, ns(row.T), row.p, row.q, -1 if row.m else 1, count)


def ns(stamp: int) -> int:
    """Return ns of a time in ms or us: the magnitude tells which."""
    return min(stamp * (1_000 if stamp >= _MICROSECONDS_FROM else 1_000_000), MAX_ID)


def _kind_of(row: bytes) -> str:
    keys = _kind.decode(row)
    return "aggTrade" if keys.a else "trade" if keys.id else ""


def _from_row(raw: bytes, symbol: str) -> RawTrade:
    with reading("binance row", raw):
        if _kind_of(raw) == "aggTrade":
            return from_agg_trade(_agg_trade.decode(raw), symbol, raw)
        row = _trade.decode(raw)
        return RawTrade(symbol, row.id, ns(row.time), row.price, row.qty, -1 if row.maker_bought else 1)
