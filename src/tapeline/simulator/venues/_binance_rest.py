"""REST of the simulated Binance: trades, aggregated trades and klines, weights, and error codes.

Source: binance-spot-api-docs, rest-api and errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tapeline.clock import DAY, HOUR, MINUTE, SECOND
from tapeline.simulator.tape import Listing, Tape, Tapes, decimal_texts
from tapeline.simulator.venue import Request, Response
from tapeline.simulator.venues._aggregates import Aggregate, Aggregates
from tapeline.simulator.venues._answers import Budget, Refusal, answer, whole
from tapeline.simulator.venues._bars import Bar, bars
from tapeline.types import Float, Frame

MILLISECOND = 1_000_000
MICROSECOND = 1_000
_UNITS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_INTERVALS = {
    text: int(text[:-1]) * _UNITS[text[-1]]
    for text in ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")
}
_WEIGHTS = {"trades": 25, "historicalTrades": 25, "aggTrades": 4, "klines": 2, "exchangeInfo": 20}
_LIMIT = 6000
_BAN_AFTER = 100
_TEXTS = {
    429: (-1003, "Too much request weight used; current limit is 6000 request weight per 1 MINUTE."),
    418: (-1003, "Way too much request weight used; IP banned."),
    503: (-1008, "Server is currently overloaded with other requests. Please try again in a few minutes."),
    504: (-1007, "Timeout waiting for response from backend server. Send status unknown; execution status unknown."),
}
_WAITS = {429: "1", 418: "120"}


def failure(status: int, wait: str = "") -> Response:
    """Return an error body; ``wait`` is for how many seconds to stay away."""
    code, text = _TEXTS.get(status, (-1000, "An unknown error occurred while processing the request."))
    wait = wait or _WAITS.get(status, "")
    return answer({"code": code, "msg": text}, status, {"retry-after": wait} if wait else {})


def texts_of(listing: Listing, rows: Frame) -> tuple[list[str], list[str]]:
    """Return prices and quantities with eight decimals, or with all of those that numbers of no known grid have."""
    return _eight(listing.price_decimals, rows.price), _eight(listing.qty_decimals, rows.qty)


def aggregate_rows(tape: Tape, found: Sequence[Aggregate], unit: int) -> list[dict[str, Any]]:
    """Return neighbouring aggregated trades in the venue's words; ``unit`` is the ns of their times."""
    if not found:
        return []
    rows = tape.rows(found[0].start, found[-1].end)
    starts = np.array([one.start for one in found]) - found[0].start
    ends = np.array([one.end for one in found]) - found[0].start
    firsts = rows.take(starts)
    columns = (
        [one.id for one in found],
        _eight(tape.listing.price_decimals, firsts.price),
        decimal_texts(np.add.reduceat(rows.qty, starts), 8),
        firsts.trade_id.tolist(),
        rows.trade_id[ends - 1].tolist(),
        (firsts.ts_event // unit).tolist(),
        (firsts.side <= 0).tolist(),
    )
    return [dict(zip("apqflTm", row, strict=True)) | {"M": True} for row in zip(*columns, strict=True)]


def _eight(decimals: int | None, values: Float) -> list[str]:
    return decimal_texts(values, None if decimals is None else max(decimals, 8))


class Rest:
    """Answer requests, and count what they weigh."""

    def __init__(self, symbols: Mapping[str, str], aggregates: Callable[[Tape], Aggregates], *, limited: bool) -> None:
        self._symbols = symbols
        self._aggregates = aggregates
        self._limited = limited
        self._weight = Budget(_LIMIT, MINUTE)
        self._refused = 0

    def answer(self, request: Request, tapes: Tapes, now: int) -> Response:
        """Answer a request under ``/api/v3/``."""
        name = request.path.removeprefix("/api/v3/")
        known = {"ping": self._ping, "time": self._time, "exchangeInfo": self._info, "trades": self._trades}
        known |= {"historicalTrades": self._trades, "aggTrades": self._agg_trades, "klines": self._klines}
        if name not in known:
            return answer({"code": -1000, "msg": "Not found"}, 404)
        within = self._weight.spend(now, _WEIGHTS.get(name, 1))
        if self._limited and not within:
            return self._over(now)
        self._refused = 0
        try:
            document = known[name](request, tapes, now)
        except Refusal as refusal:
            return refusal.response
        return answer(document, headers={"x-mbx-used-weight-1m": str(int(self._weight.used))})

    def _over(self, now: int) -> Response:
        self._refused += 1
        return failure(429, str(self._weight.left(now) // SECOND + 1)) if self._refused < _BAN_AFTER else failure(418)

    def _ping(self, request: Request, tapes: Tapes, now: int) -> Any:
        return {}

    def _time(self, request: Request, tapes: Tapes, now: int) -> Any:
        return {"serverTime": now // _unit(request)}

    def _info(self, request: Request, tapes: Tapes, now: int) -> Any:
        limits = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": _LIMIT}
        asked = [self._tape(request, tapes)] if "symbol" in request.params else tapes.values()
        symbols = [_symbol(tape.listing) for tape in asked]
        times = {"timezone": "UTC", "serverTime": now // _unit(request)}
        return {**times, "rateLimits": [limits], "exchangeFilters": [], "symbols": symbols}

    def _trades(self, request: Request, tapes: Tapes, now: int) -> Any:
        tape, limit, unit = self._tape(request, tapes), _count(request, "limit", 500, 1000), _unit(request)
        from_id = _maybe(request, "fromId") if request.path.endswith("historicalTrades") else None
        start = tape.end - limit if from_id is None else tape.at_id(from_id)
        rows = tape.rows(start, start + limit)
        quote = decimal_texts(rows.price * rows.qty, 8)
        columns = (rows.trade_id.tolist(), *texts_of(tape.listing, rows), quote, (rows.ts_event // unit).tolist())
        keys = ("id", "price", "qty", "quoteQty", "time", "isBuyerMaker")
        made = zip(*columns, (rows.side <= 0).tolist(), strict=True)
        return [dict(zip(keys, row, strict=True)) | {"isBestMatch": True} for row in made]

    def _agg_trades(self, request: Request, tapes: Tapes, now: int) -> Any:
        tape, limit, unit = self._tape(request, tapes), _count(request, "limit", 500, 1000), _unit(request)
        from_id, start, end = (_maybe(request, name) for name in ("fromId", "startTime", "endTime"))
        if from_id is not None and (start is not None or end is not None):
            raise _refusal(-1128, "Combination of optional parameters invalid.")
        if tape.start == tape.end:
            return []
        known = self._aggregates(tape)
        stop = known.next_id if end is None else known.at(tape.at_time((end + 1) * MILLISECOND) - 1) + 1
        first = stop - limit if start is None else known.at(tape.at_time(start * MILLISECOND))
        first = first if from_id is None else from_id
        return aggregate_rows(tape, known.get(first, min(stop, first + limit)), unit)

    def _klines(self, request: Request, tapes: Tapes, now: int) -> Any:
        tape, limit = self._tape(request, tapes), _count(request, "limit", 500, 1000)
        size = _INTERVALS.get(request.params.get("interval", ""))
        if size is None:
            raise _refusal(-1120, "Invalid interval.")
        start, end = (_maybe(request, name) for name in ("startTime", "endTime"))
        stop = now if end is None else min(now, (end + 1) * MILLISECOND)
        first = stop // size * size - (limit - 1) * size if start is None else -(-start * MILLISECOND // size) * size
        stop = min(stop // size * size + size, first + limit * size)
        rows = tape.rows(tape.at_time(first), tape.at_time(stop))
        return [_kline(bar, size, _unit(request)) for bar in _filled(bars(rows, size), size)]

    def _tape(self, request: Request, tapes: Tapes) -> Tape:
        if not request.params.get("symbol"):
            raise _refusal(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        instrument = self._symbols.get(request.params["symbol"])
        if instrument is None:
            raise _refusal(-1121, "Invalid symbol.")
        return tapes[instrument]


def _refusal(code: int, text: str) -> Refusal:
    return Refusal(answer({"code": code, "msg": text}, 400))


def _unit(request: Request) -> int:
    return MICROSECOND if request.headers.get("x-mbx-time-unit", "").upper() == "MICROSECOND" else MILLISECOND


def _maybe(request: Request, name: str) -> int | None:
    text = request.params.get(name)
    value = None if text is None else whole(text)
    if text is not None and value is None:
        raise _refusal(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
    return value


def _count(request: Request, name: str, default: int, most: int) -> int:
    value = _maybe(request, name)
    return default if value is None else max(1, min(value, most))


def _symbol(listing: Listing) -> dict[str, Any]:
    """Return a symbol as ``exchangeInfo`` has it, as far as it is about trades."""
    steps = [f"{10.0**-places:.8f}" for places in (listing.price_decimals or 8, listing.qty_decimals or 8)]
    price = {"filterType": "PRICE_FILTER", "minPrice": steps[0], "maxPrice": "1000000.00000000", "tickSize": steps[0]}
    lot = {"filterType": "LOT_SIZE", "minQty": steps[1], "maxQty": "9000.00000000", "stepSize": steps[1]}
    assets = {"baseAsset": listing.base, "baseAssetPrecision": 8, "quoteAsset": listing.quote, "quotePrecision": 8}
    rights = {"isSpotTradingAllowed": True, "isMarginTradingAllowed": False, "permissions": []}
    made = {"symbol": f"{listing.base}{listing.quote}", "status": "TRADING", **assets, "quoteAssetPrecision": 8}
    return made | {"orderTypes": ["LIMIT", "MARKET"], "filters": [price, lot], **rights, "permissionSets": [["SPOT"]]}


def _filled(found: list[Bar], size: int) -> list[Bar]:
    """Put flat bars where there were no trades, as the venue does."""
    whole_row: list[Bar] = []
    for bar in found:
        while whole_row and whole_row[-1].open_time + size < bar.open_time:
            price = whole_row[-1].close
            whole_row.append(Bar(whole_row[-1].open_time + size, price, price, price, price, 0.0, 0.0, 0, 0.0, 0.0))
        whole_row.append(bar)
    return whole_row


def _kline(bar: Bar, size: int, unit: int) -> list[Any]:
    texts = [f"{value:.8f}" for value in (bar.open, bar.high, bar.low, bar.close, bar.volume)]
    bought = [f"{value:.8f}" for value in (bar.buy_volume, bar.buy_quote_volume)]
    closed = (bar.open_time + size) // unit - 1
    return [bar.open_time // unit, *texts, closed, f"{bar.quote_volume:.8f}", bar.trades, *bought, "0"]
