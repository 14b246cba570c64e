"""REST of the simulated Coinbase: products, trades and candles of Exchange and of Advanced Trade.

Also the lists of currencies, which clients load first.

Source: docs.cdp.coinbase.com, exchange-api/products and advanced-trade-api/public.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tapeline.clock import DAY, HOUR, MINUTE, SECOND, format_time
from tapeline.simulator.tape import Listing, Tape, Tapes
from tapeline.simulator.venue import Request, Response
from tapeline.simulator.venues._answers import Budget, Refusal, answer, instant, whole
from tapeline.simulator.venues._bars import Bar, bars
from tapeline.simulator.venues._coinbase_products import advanced_product, currency, exchange_product
from tapeline.simulator.venues._coinbase_words import advanced_rows, exchange_rows

_PAGE = 1000
_MOST_CANDLES = 300
_GRANULARITIES = {60, 300, 900, 3600, 21_600, 86_400}
_NAMED = {
    "ONE_MINUTE": MINUTE,
    "FIVE_MINUTE": 5 * MINUTE,
    "FIFTEEN_MINUTE": 15 * MINUTE,
    "THIRTY_MINUTE": 30 * MINUTE,
    "ONE_HOUR": HOUR,
    "TWO_HOUR": 2 * HOUR,
    "SIX_HOUR": 6 * HOUR,
    "ONE_DAY": DAY,
}
_EXCHANGE = re.compile(r"/products(?:/([\w-]+)(?:/(trades|candles))?)?")
_ADVANCED = re.compile(r"/api/v3/brokerage/market/products(?:/([\w-]+)(?:/(ticker|candles))?)?")


class Rest:
    """Answer requests; more than ten a second, with twenty at once, are refused."""

    def __init__(self, listings: Mapping[str, Listing], *, limited: bool) -> None:
        self._listings = listings
        self._limited = limited
        self._requests = Budget(20, SECOND)

    def answer(self, request: Request, tapes: Tapes, now: int) -> Response:
        """Answer a request."""
        if not self._requests.spend(now) and self._limited:
            return answer({"message": "Public rate limit exceeded"}, 429)
        try:
            if request.path.startswith("/api/v3/brokerage/"):
                return answer(self._advanced(request, tapes, now))
            return self._exchange(request, tapes, now)
        except Refusal as refusal:
            return refusal.response

    def _exchange(self, request: Request, tapes: Tapes, now: int) -> Response:
        if request.path == "/time":
            return answer({"iso": format_time(now), "epoch": now / SECOND})
        if request.path == "/currencies":
            return answer([currency(name) for name in self._currencies()])
        if request.path.startswith("/v2/"):
            return answer({"data": self._retail(request.path)})
        found = _EXCHANGE.fullmatch(request.path)
        if found is None:
            raise Refusal(answer({"message": "NotFound"}, 404))
        if not found[1]:
            return answer([exchange_product(one) for one in self._listings.values()])
        listing = self._listing(found[1])
        if not found[2]:
            return answer(exchange_product(listing))
        tape = tapes[listing.instrument]
        return _trades(tape, request) if found[2] == "trades" else answer(_candles(tape, request, now))

    def _advanced(self, request: Request, tapes: Tapes, now: int) -> Any:
        if request.path == "/api/v3/brokerage/time":
            return {"iso": format_time(now), "epochSeconds": str(now // SECOND), "epochMillis": str(now // 1_000_000)}
        found = _ADVANCED.fullmatch(request.path)
        if found is None:
            raise _unknown("url not found")
        if not found[1]:
            spot = request.params.get("product_type", "SPOT") == "SPOT"
            made = [advanced_product(one, tapes[one.instrument]) for one in self._listings.values()] if spot else []
            return {"products": made, "num_products": len(made)}
        listing = self._listing(found[1], advanced=True)
        tape = tapes[listing.instrument]
        if not found[2]:
            return advanced_product(listing, tape)
        return _ticker(tape, request, now) if found[2] == "ticker" else _advanced_candles(tape, request, now)

    def _retail(self, path: str) -> Any:
        if path == "/v2/exchange-rates":
            return {"currency": "USD", "rates": {}}
        fiat, coins = self._currencies()[-1:], self._currencies()[:-1]
        if path == "/v2/currencies/crypto":
            return [{"asset_id": name, "code": name, "name": name, "exponent": 8, "type": "crypto"} for name in coins]
        return [{"id": name, "name": name, "min_size": "0.01"} for name in fiat]

    def _currencies(self) -> list[str]:
        listings = self._listings.values()
        return list(dict.fromkeys([*(one.base for one in listings), *(one.quote for one in listings)]))

    def _listing(self, product: str, *, advanced: bool = False) -> Listing:
        if product not in self._listings:
            raise (
                _unknown("valid product_id is required") if advanced else Refusal(answer({"message": "NotFound"}, 404))
            )
        return self._listings[product]


def _unknown(text: str) -> Refusal:
    return Refusal(answer({"error": "NOT_FOUND", "error_details": text, "message": text}, 404))


def _bad(text: str) -> Refusal:
    return Refusal(answer({"message": text}, 400))


def _whole(request: Request, name: str, default: int) -> int:
    value = whole(request.params.get(name, str(default)))
    if value is None:
        raise _bad(f"invalid {name}")
    return value


def _trades(tape: Tape, request: Request) -> Response:
    """Return a page, newest first: ``after`` asks for older ids, ``before`` for the newest of the newer ones."""
    limit = _whole(request, "limit", _PAGE)
    if not 1 <= limit <= _PAGE:
        raise _bad("invalid limit")
    end = tape.at_id(_whole(request, "after", 0)) if "after" in request.params else tape.end
    start = tape.at_id(_whole(request, "before", 0) + 1) if "before" in request.params else tape.start
    rows = exchange_rows(tape, tape.rows(max(start, end - limit), end))
    cursors = {"cb-before": str(rows[0]["trade_id"]), "cb-after": str(rows[-1]["trade_id"])} if rows else {}
    return answer(rows, headers=cursors)


def _candles(tape: Tape, request: Request, now: int) -> list[list[Any]]:
    seconds = _whole(request, "granularity", 60)
    if seconds not in _GRANULARITIES:
        raise _bad("Unsupported granularity")
    found = _bars(tape, request, now, seconds * SECOND)
    return [[bar.open_time // SECOND, bar.low, bar.high, bar.open, bar.close, round(bar.volume, 8)] for bar in found]


def _advanced_candles(tape: Tape, request: Request, now: int) -> dict[str, Any]:
    size = _NAMED.get(request.params.get("granularity", "ONE_MINUTE"))
    if size is None:
        raise _bad("invalid granularity")
    keys = ("low", "high", "open", "close", "volume")
    made = []
    for bar in _bars(tape, request, now, size):
        values = (bar.low, bar.high, bar.open, bar.close, round(bar.volume, 8))
        made.append({"start": str(bar.open_time // SECOND)} | dict(zip(keys, map(str, values), strict=True)))
    return {"candles": made}


def _bars(tape: Tape, request: Request, now: int, size: int) -> Sequence[Bar]:
    """Return the bars between ``start`` and ``end``, newest first; those without trades are left out."""
    end = instant(request.params["end"], SECOND) if "end" in request.params else now
    if end is None:
        raise _bad("invalid end")
    start = instant(request.params["start"], SECOND) if "start" in request.params else end - _MOST_CANDLES * size
    if start is None:
        raise _bad("invalid start")
    if (end - start) / size > _MOST_CANDLES:
        text = f"Count of aggregations requested exceeds {_MOST_CANDLES}"
        raise _bad(f"granularity too small for the requested time range. {text}")
    stop = end // size * size + size
    return bars(tape.rows(tape.at_time(-(-start // size) * size), tape.at_time(stop)), size)[::-1]


def _ticker(tape: Tape, request: Request, now: int) -> dict[str, Any]:
    limit = min(max(_whole(request, "limit", 100), 1), _PAGE)
    start, end = _whole(request, "start", 0) * SECOND, _whole(request, "end", now // SECOND + 1) * SECOND
    last = tape.at_time(end)
    rows = advanced_rows(tape, tape.rows(max(tape.at_time(start), last - limit), last))
    extra = {"bid": "", "ask": "", "exchange": "coinbase"}
    return {"trades": [row | extra for row in rows], "best_bid": "", "best_ask": ""}
