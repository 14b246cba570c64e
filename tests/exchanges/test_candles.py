"""Candles made by venues: what they wrote, page by page, and what cannot be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tapeline.clock import HOUR, MINUTE, SECOND, parse_duration
from tapeline.errors import MalformedMessage, VenueBusy, VenueRefused
from tapeline.exchanges import binance_klines, coinbase_candles, kraken_ohlc, massive_aggregates
from tapeline.exchanges.bars import Read
from tapeline.exchanges.base import Bar, Page, Request, Response, Span, VenueCandles, Walk, exchanges
from tapeline.testing.exchange_feeds import walked
from tapeline.types import Timeframe

T0 = 1_762_777_020 * SECOND - 1_762_777_020 * SECOND % HOUR
MADE = {
    f"{exchange.venue}-{feed.name}": feed.candles
    for exchange in exchanges().values()
    for feed in exchange.feeds
    if feed.candles is not None
}


def drive(walk: Walk, *bodies: object) -> tuple[list[Request], list[Page]]:
    """Answer with bodies in turn, then with the last for ever."""
    left = [json.dumps(body).encode() for body in bodies]
    return walked(walk, lambda request: Response(200, {}, left.pop(0) if len(left) > 1 else left[0]))


def opened(pages: list[Page]) -> list[int]:
    return [(bar.open_time - T0) // MINUTE for page in pages for bar in page.bars]


def kline(minute: int, **changes: Any) -> list[Any]:
    at = (T0 + minute * MINUTE) // 1_000_000
    row: dict[str, Any] = {"t": at, "o": "2", "h": "4", "l": "1", "c": "3", "v": "7", "T": at + 59_999, "q": "20"}
    return [*(row | {"n": 5, "b": "6", "B": "17", "i": "0"} | changes).values()]


def test_what_binance_writes(shared: Path) -> None:
    bars, bad = binance_klines.parse_klines((shared / "data/nautilus-binance/klines_response.json").read_bytes())
    at, price = 1_499_040_000 * SECOND, ("0.01634790", "0.80000000", "0.01575800", "0.01577100")
    volumes = {"quote_volume": "2434.19055334", "buy_volume": "1756.87402397"}
    assert (bars, bad) == ([Bar(at, *price, "148976.11427815", trades=308, **volumes)], [])


def test_coinbase_puts_low_and_high_before_open(shared: Path) -> None:
    bars, bad = coinbase_candles.parse_candles((shared / "data/xchange/coinbase_candles.json").read_bytes())
    assert (len(bars), bad) == (10, [])
    assert bars[2] == Bar(1_517_443_620 * SECOND, "10156.99", "10157", "10127.89", "10130", "1.0367627400000001")
    bars, bad = coinbase_candles.parse_candles((shared / "data/nautilus-coinbase/http_candles.json").read_bytes())
    assert bad == []
    assert bars[0] == Bar(1_712_192_400 * SECOND, "66312.4", "66331.99", "66055.14", "66181.6", "355.82896243")


def test_of_kraken_the_running_candle_is_dropped_and_what_it_cannot_give_is_said(shared: Path) -> None:
    body = (shared / "data/nautilus-kraken/http_ohlc.json").read_bytes()
    first, last = 1_762_777_020 * SECOND, 1_762_820_160 * SECOND
    requests, pages = walked(
        kraken_ohlc.walk("XBTUSDT", "1m", Span(first, last + HOUR)), lambda _: Response(200, {}, body)
    )
    assert requests == [Request("/0/public/OHLC", {"pair": "XBTUSDT", "interval": "1"})]
    bars = [bar for page in pages for bar in page.bars]
    assert (len(bars), bars[0].open_time, bars[-1].open_time) == (720, first, last)
    assert (bars[0].trades, bars[0].volume, bars[0].vwap, pages[0].reached) == (0, "0.00000000", "0.0", last + HOUR)
    walk = kraken_ohlc.walk("XBTUSDT", "1m", Span(first - HOUR, last))
    next(walk)
    page = walk.send(Response(200, {}, body))
    assert isinstance(page, Page)
    assert (len(page.bars), page.reached) == (719, None)
    with pytest.raises(
        VenueRefused, match=r"only the last 720.* at or after 2025-11-10T12:17:00Z, was '2025-11-10T11:17"
    ):
        walk.send(None)


def test_a_pair_that_is_younger_at_kraken_than_what_is_asked_for_is_whole() -> None:
    rows = [[(T0 + n * MINUTE) // SECOND, "2", "4", "1", "3", "2.5", "7", 5] for n in range(3)]
    body = {"error": [], "result": {"XXBTZUSD": rows, "last": rows[1][0]}}
    _, pages = drive(kraken_ohlc.walk("XBTUSD", "1m", Span(T0 - HOUR, T0 + HOUR)), body)
    assert (opened(pages), pages[-1].reached) == ([0, 1], T0 + HOUR)


def test_windows_are_asked_for_one_by_one_and_an_empty_one_twice() -> None:
    span = Span(T0 + 1, T0 + 2001 * MINUTE)
    rows = [kline(minute) for minute in (900, 3, 1, 0, 3, 1500)]
    requests, pages = drive(binance_klines.walk("BTCUSDT", "1m", span), [], rows, [], [], [kline(2000)])
    assert opened(pages) == [1, 3, 900]
    starts = [(int(one.params["startTime"]) * 1_000_000 - T0) // MINUTE for one in requests]
    ends = [(int(one.params["endTime"]) * 1_000_000 - T0) // MINUTE for one in requests]
    assert (starts, ends) == ([1, 1, 1001, 1001], [1000, 1000, 2000, 2000])
    assert [page.reached for page in pages] == [T0 + 1001 * MINUTE, T0 + 2001 * MINUTE]
    assert {one.weight for one in requests} == {2}


def test_coinbase_is_asked_for_300_at_a_time_both_ends_included() -> None:
    requests, _ = drive(coinbase_candles.walk("BTC-USD", "1m", Span(T0, T0 + 301 * MINUTE)), [])
    asked = [(one.params["start"], one.params["end"]) for one in requests]
    assert asked[::2] == [("2025-11-10T12:00:00Z", "2025-11-10T16:59:00Z"), ("2025-11-10T17:00:00Z",) * 2]
    requests, _ = drive(coinbase_candles.walk_advanced("BTC-USD", "2h", Span(T0, T0 + 2 * HOUR)), {"candles": []})
    at = str(T0 // SECOND)
    assert requests[0].params == {"granularity": "TWO_HOUR", "start": at, "end": at}


def aggregates(*minutes: int, following: str = "") -> dict[str, Any]:
    rows = [{"t": (T0 + n * MINUTE) // 10**6, "o": 2, "h": 4, "l": 1, "c": 3, "v": 7, "vw": 2.5} for n in minutes]
    return {"ticker": "AAPL", "status": "OK", "results": rows, "next_url": following}


def test_massive_is_followed_by_its_cursor_on_our_host() -> None:
    cursor = "https://elsewhere.example/v2/aggs/ticker/AAPL/range/1/minute/5/9?cursor=abc"
    bodies = aggregates(0, 1, following=cursor), aggregates(1, 5)
    requests, pages = drive(massive_aggregates.walk("AAPL", "1m", Span(T0, T0 + HOUR)), *bodies)
    assert (opened(pages), pages[-1].reached) == ([0, 1, 5], T0 + HOUR)
    path = f"/v2/aggs/ticker/AAPL/range/1/minute/{T0 // 10**6}/{(T0 + HOUR) // 10**6 - 1}"
    assert requests[0] == Request(path, {"adjusted": "false", "sort": "asc", "limit": "50000"})
    assert requests[1:] == [Request("/v2/aggs/ticker/AAPL/range/1/minute/5/9", {"cursor": "abc"})]
    bar = pages[0].bars[0]
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.vwap, bar.trades) == (
        "2",
        "4",
        "1",
        "3",
        "7",
        "2.5",
        None,
    )


def test_an_empty_answer_of_massive_is_asked_for_again_and_a_cursor_in_a_circle_is_left() -> None:
    _, pages = drive(massive_aggregates.walk("AAPL", "1m", Span(T0, T0 + HOUR)), aggregates(), aggregates(7))
    assert opened(pages) == [7]
    cursor = "https://api.massive.com/v2/aggs/ticker/AAPL/range/1/minute/5/9?cursor=abc"
    with pytest.raises(VenueBusy, match="the cursor leads nowhere"):
        drive(massive_aggregates.walk("AAPL", "1m", Span(T0, T0 + HOUR)), aggregates(0, following=cursor))


@pytest.mark.parametrize("name", sorted(MADE))
def test_every_timeframe_is_one_of_ours(name: str) -> None:
    for timeframe in MADE[name].timeframes:
        assert str(Timeframe.parse(timeframe)) == timeframe
        assert parse_duration(timeframe) % SECOND == 0


@pytest.mark.parametrize("name", sorted(MADE))
@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'{"error":[],"result":{}}', b'{"status":"OK","results":[]}'])
def test_a_walk_ends_whatever_is_answered(name: str, body: bytes) -> None:
    """A day of minutes, for every feed of every venue."""
    made: VenueCandles = MADE[name]
    venue = name.partition("-")[0]
    instrument = next(one for one in exchanges()[venue].feeds[0].instruments)
    try:
        _, pages = walked(made.history(instrument, "1m", Span(T0, T0 + 24 * HOUR)), lambda _: Response(200, {}, body))
    except MalformedMessage:
        return
    assert [bar for page in pages for bar in page.bars] == []


@pytest.mark.parametrize(
    ("parse", "body"),
    [
        (binance_klines.parse_klines, [kline(0), kline(1, o="NaN"), kline(2)]),
        (binance_klines.parse_klines, [kline(0), {"t": 1}, kline(2)]),
        (coinbase_candles.parse_candles, [[1, 1, 2, 1, 2, 5], [2, None, 2, 1, 2, 5], [3, 1, 2, 1, 2, 5]]),
        (
            coinbase_candles.parse_candles,
            {
                "candles": [
                    {"start": text, "low": "1", "high": "2", "open": "1", "close": "2", "volume": "5"} for text in "1x3"
                ]
            },
        ),
        (
            kraken_ohlc.parse_ohlc,
            {
                "result": {
                    "XBTUSD": [[n, "1", "2", "1", "2", "1", "5", c] for n, c in ((1, 5), (2, "x"), (3, 5))],
                    "last": 3,
                }
            },
        ),
    ],
)
def test_a_row_that_cannot_be_read_spoils_no_other(parse: Callable[[bytes], Read], body: object) -> None:
    bars, bad = parse(json.dumps(body).encode())
    assert (len(bars), len(bad)) == (2, 1)
    assert bad[0].raw in json.dumps(body, separators=(",", ":")).encode() + json.dumps(body).encode()


@pytest.mark.parametrize("parse", [binance_klines.parse_klines, coinbase_candles.parse_candles, kraken_ohlc.parse_ohlc])
@pytest.mark.parametrize("body", [b'{"code":-1}', b"[1", b"\xff", b'{"candles":7}', b'{"result":{"A":[]}}', b"7"])
def test_what_is_no_body_of_candles_is_refused(parse: Callable[[bytes], Read], body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        parse(body)
