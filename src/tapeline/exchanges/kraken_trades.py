"""The past of Kraken: bodies of the REST ``Trades`` call, and the way through them.

Rows have 7 fields today; older ones had 6: they come without a trade id. Times are seconds with up to nine decimals,
read from their text, never through a float. The side is the taker's.

Source: docs.kraken.com, rest-api/get-recent-trades.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from decimal import Decimal
from functools import partial

import msgspec

from tapeline.errors import InputError, MalformedMessage, VenueBusy, VenueRefused
from tapeline.exchanges.answers import check_answer, read_or, read_rows
from tapeline.exchanges.base import History, Page, RawTrade, Request, Response, Span, Walk
from tapeline.exchanges.fields import Number, reading, seconds_ns, side_of
from tapeline.exchanges.walks import Stretch, asked

SIDES = {"b": 1, "s": -1}

_PASSES = re.compile(r"EAPI:Rate limit|EGeneral:(Too many requests|Temporary lockout|Internal error)|EService:")
_MARGIN = 1_000_000  # rows tell their time with 4 to 7 decimals, sockets with 6: a ms more is asked for
_ROUNDING = 1_000


class _Row(msgspec.Struct, array_like=True):
    price: str
    qty: str
    time: Decimal
    side: str
    order_kind: str
    misc: str
    trade_id: Number | None = None


class _Body(msgspec.Struct):
    error: list[str] = []
    result: dict[str, msgspec.Raw] = {}


_body = msgspec.json.Decoder(_Body)
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_row = msgspec.json.Decoder(_Row)


def parse_history(body: bytes, symbol: str = "") -> History:
    """Read a body of ``/0/public/Trades``; it names its pair itself, so that ``symbol`` is not needed.

    Raises:
        MalformedMessage: it is no such body.
        InputError: Kraken answered with an error.
    """
    history = History()
    with reading("kraken Trades", body):
        answer = _body.decode(body)
        if answer.error:
            raise InputError("kraken Trades", f"the venue answered {answer.error[0]!r}", next_step="ask again")
        for pair, raw in answer.result.items():
            if bytes(raw).startswith(b"["):
                trades, bad = read_rows(_rows.decode(raw), partial(parse_row, pair))
                history.trades += trades
                history.bad += bad
            elif pair == "last":
                history.next = bytes(raw).decode().strip('"')
    if not answer.result:
        raise MalformedMessage("kraken Trades", "has no result", raw=body)
    return history


def parse_row(pair: str, raw: bytes) -> RawTrade:
    """Read one row of a body.

    Raises:
        MalformedMessage: a field is missing or of the wrong type.
    """
    with reading("kraken trade", raw):
        row = _row.decode(raw)
    side = side_of("kraken trade", row.side, SIDES, raw)
    return RawTrade(pair, row.trade_id, seconds_ns(row.time), row.price, row.qty, side)


def walk(pair: str, span: Span) -> Walk:
    """Walk through ``Trades`` by the venue's own ns: ``since`` is exclusive, ``last`` is where the next page begins.

    A ``last`` that is not the time of the newest row is not followed: that row's time is, less what its decimals may
    hide. Where a page leaves ids out, the ns before it is asked for once more, for more trades than a page holds may
    bear one stamp; what is still missing then cannot be had.

    Raises:
        InputError: an answer is no body of ``Trades``.
    """
    since = max(span.start - (1 if span.first_id is None else _MARGIN), 0)
    stretch = Stretch(span)
    while not stretch.over:
        answer = yield from _trades(pair, since)
        if stretch.skips(answer):
            again = yield from _trades(pair, max(since - 1, 0))
            answer.trades += again.trades
            answer.bad += again.bad
        page = stretch.pass_on(answer)
        if page.trades or page.bad:
            yield page
        since = max(_cursor(answer), since)


def _trades(pair: str, since: int) -> Generator[Request | Page, Response | None, History]:
    answer = yield from asked(Request("/0/public/Trades", {"pair": pair, "since": str(since)}))
    return parse_history(answer.body)


def _cursor(answer: History) -> int:
    """Return the ns after which the next page begins; -1 for a page without rows, whatever it says."""
    newest = max((one.ts_event for one in answer.trades), default=-1)
    told = int(answer.next) if re.fullmatch(r"\d{1,19}", answer.next, re.ASCII) else -1
    return told if abs(told - newest) <= _ROUNDING else newest - _MARGIN


def check(response: Response) -> None:
    """Judge an answer: Kraken tells errors inside status 200.

    Raises:
        VenueBusy: over the limit, out of service, or no JSON.
        VenueRefused: an unknown pair, or any other error.
    """
    check_answer("kraken REST", response)
    errors = read_or(_body, response.body, _Body()).error
    if errors:
        kind = VenueBusy if any(map(_PASSES.match, errors)) else VenueRefused
        raise kind("kraken REST", f"the venue answered {', '.join(errors)[:120]!r}")
