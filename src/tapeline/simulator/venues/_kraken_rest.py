"""Kraken's public REST calls: Trades, OHLC, Time, SystemStatus, AssetPairs, Assets.

How far it may be overrun is not published: here a pair (other calls: all together) has ``_BURST`` calls at hand and
gains one a second; a refused call costs nothing.

Source: docs.kraken.com, rest-api/get-recent-trades, get-tradable-asset-pairs, get-asset-info, get-server-time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec

from tapeline.clock import MINUTE, SECOND, format_time
from tapeline.simulator.tape import Listing, Tape, Tapes, decimal_texts
from tapeline.simulator.venue import Request, Response
from tapeline.simulator.venues._kraken_names import Names, takers_order
from tapeline.simulator.venues._kraken_ohlc import INTERVALS, ohlc
from tapeline.types import Frame

_PAGE = 1000
_BURST = 15
_BY_PAIR = ("Trades", "OHLC")
_SECONDS_DIGITS = 11
_LAST = re.compile(rb'"last":"(\d+)"')
_encode = msgspec.json.encode


class _Refused(Exception):
    """An error told inside status 200."""


class Rest:
    """The calls, and how many a client has left."""

    def __init__(self, listings: Sequence[Listing], *, limited: bool) -> None:
        self._listings = {Names(one).full: one for one in listings}
        self._names = {
            name: full
            for full, one in self._listings.items()
            for name in (Names(one).full, Names(one).short, Names(one).wsname)
        }
        self._limited = limited
        self._left: dict[str, tuple[float, int]] = {}

    def answer(self, request: Request, tapes: Tapes, now: int) -> Response:
        """Answer a call."""
        call = request.path.removeprefix("/0/public/")
        try:
            self._count(f"{call} {request.params.get('pair', '')}" if call in _BY_PAIR else "", now)
            return _told(self._result(call, request.params, tapes, now))
        except _Refused as error:
            return Response(200, _encode({"error": [str(error)]}))

    def failure(self, status: int) -> Response:
        """Return the error inside status 200 where Kraken itself answers, else the page of the proxy before it."""
        errors = {418: "EAPI:Rate limit exceeded", 429: "EAPI:Rate limit exceeded", 503: "EService:Unavailable"}
        return Response(200, _encode({"error": [errors[status]]})) if status in errors else self.page(status)

    def page(self, status: int) -> Response:
        """Return the page of the proxy."""
        body = f"<html><head><title>{status}</title></head><body>error code: {status}</body></html>"
        return Response(status, body.encode(), {"content-type": "text/html; charset=UTF-8"})

    def wrong_cursor(self, response: Response, random: Random) -> Response:
        """Return a page whose ``last`` is up to a minute off."""

        def other(match: re.Match[bytes]) -> bytes:
            return b'"last":"%d"' % (int(match[1]) + random.choice((-1, 1)) * random.randint(SECOND, MINUTE))

        return response._replace(body=_LAST.sub(other, response.body))

    def _result(self, call: str, params: Mapping[str, str], tapes: Tapes, now: int) -> bytes:
        if call == "Trades":
            full = self._full(params.get("pair"))
            tape = tapes[self._listings[full].instrument]
            return _trades(full, tape, params)
        if call == "OHLC":
            full = self._full(params.get("pair"))
            interval = params.get("interval", "1")
            if interval not in INTERVALS:
                raise _Refused("EGeneral:Invalid arguments:interval")
            tape = tapes[self._listings[full].instrument]
            return ohlc(full, tape, interval, _since(params.get("since", "0")), now)
        if call == "Time":
            moment = datetime.fromtimestamp(now // SECOND, UTC)
            return _encode({"unixtime": now // SECOND, "rfc1123": moment.strftime("%a, %d %b %y %H:%M:%S +0000")})
        if call == "SystemStatus":
            return _encode({"status": "online", "timestamp": format_time(now - now % SECOND)})
        if call == "AssetPairs":
            asked = params["pair"].split(",") if "pair" in params else list(self._listings)
            return _encode({full: _pair(self._listings[full]) for full in map(self._full, asked)})
        if call == "Assets":
            return _encode(_assets(self._listings.values()))
        raise _Refused("EGeneral:Unknown method")

    def _full(self, pair: str | None) -> str:
        if not pair:
            raise _Refused("EGeneral:Invalid arguments")
        if pair not in self._names:
            raise _Refused("EQuery:Unknown asset pair")
        return self._names[pair]

    def _count(self, what: str, now: int) -> None:
        if not self._limited:
            return
        left, at = self._left.get(what, (float(_BURST), now))
        left = min(_BURST, left + max(now - at, 0) / SECOND)
        self._left[what] = (left - 1 if left >= 1 else left, now)
        if left < 1:
            raise _Refused("EAPI:Rate limit exceeded")


def _told(result: bytes) -> Response:
    return Response(200, b'{"error":[],"result":%b}' % result)


def _trades(full: str, tape: Tape, params: Mapping[str, str]) -> bytes:
    """Return trades after ``since``, which is exclusive: the first ``count`` of them; without ``since`` the newest."""
    count = _whole(params.get("count", str(_PAGE)))
    if not 1 <= count <= _PAGE:
        raise _Refused("EGeneral:Invalid arguments:count")
    if "since" not in params:
        frame, last = tape.newest(count), 0
    else:
        last = _since(params["since"])
        start = tape.at_time(last + 1)
        frame = tape.rows(start, start + count)
    if len(frame):
        last = int(frame.ts_event[-1])
    return b'{"%b":[%b],"last":"%d"}' % (full.encode(), _rows(tape.listing, frame).encode(), last)


def _since(text: str) -> int:
    """Read ``since``: ns as ``last`` gives them, or seconds."""
    since = _whole(text)
    return since if len(text) > _SECONDS_DIGITS else since * SECOND


def _whole(text: str) -> int:
    if not re.fullmatch(r"\d{1,19}", text, re.ASCII):
        raise _Refused("EGeneral:Invalid arguments")
    return int(text)


def _rows(listing: Listing, frame: Frame) -> str:
    """Write rows as Kraken does: the time is a number of seconds, as exact as a float of them can be."""
    prices = decimal_texts(frame.price, None if listing.price_decimals is None else max(listing.price_decimals, 5))
    qtys = decimal_texts(frame.qty, None if listing.qty_decimals is None else max(listing.qty_decimals, 8))
    seconds = [ns / SECOND for ns in frame.ts_event.tolist()]
    rows = zip(prices, qtys, seconds, frame.side.tolist(), frame.trade_id.tolist(), strict=True)
    return ",".join(
        f'["{price}","{qty}",{time!r},"{"b" if side > 0 else "s"}","{takers_order(trade_id)[0]}","",{trade_id}]'
        for price, qty, time, side, trade_id in rows
    )


def _pair(listing: Listing) -> dict[str, Any]:
    names, decimals = Names(listing), _or(listing.price_decimals, 5)
    return {
        "altname": names.short,
        "wsname": names.wsname,
        "aclass_base": "currency",
        "base": names.base,
        "aclass_quote": "currency",
        "quote": names.quote,
        "lot": "unit",
        "cost_decimals": 5,
        "pair_decimals": decimals,
        "lot_decimals": 8,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": [[0, 0.4]],
        "fees_maker": [[0, 0.25]],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": "0.00005",
        "costmin": "0.5",
        "tick_size": f"{10.0**-decimals:.{decimals}f}",
        "status": "online",
    }


def _assets(listings: Iterable[Listing]) -> dict[str, Any]:
    shorts: dict[str, str] = {}
    for listing in listings:
        names = Names(listing)
        base, quote = names.wsname.split("/")
        shorts |= {names.base: base, names.quote: quote}
    return {
        name: {"aclass": "currency", "altname": short, "decimals": 10, "display_decimals": 5, "status": "enabled"}
        for name, short in sorted(shorts.items())
    }


def _or(value: int | None, other: int) -> int:
    return other if value is None else value
