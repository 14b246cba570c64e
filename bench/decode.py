"""Decoding of live messages: trades a second of each venue's parser, beside ``json.loads`` of the same bytes alone.

The messages have every field that the venue documents, and as many trades as it puts into one. ``decode_*`` is bytes to
events; ``decode_frame_*`` goes on as ingest does, to judged trades in a `Frame`. One core, alternating runs, the best
of each, since other load only ever adds.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence

import results
from tapeline.exchanges.base import Exchange, Trade, exchanges
from tapeline.ingest.judging import judge
from tapeline.types import Frame

BATCH = 256
"""Trades that ingest makes one frame of when it is busy."""


def kraken(at: int, count: int) -> object:
    """Return ``trade`` of v2."""
    fields = {"symbol": "BTC/USD", "ord_type": "limit"}
    rows = [{**fields, "side": _side(i), "price": _price(i), "qty": 0.00027625, "trade_id": i} for i in _ids(at, count)]
    return {"channel": "trade", "type": "update", "data": [{**row, "timestamp": _time(at)} for row in rows]}


def binance(at: int, count: int) -> object:
    """Return ``@trade`` of a combined stream."""
    stamp = 1_762_795_433_000 + at
    row = {"e": "trade", "E": stamp + 1, "s": "BTCUSDT", "t": at, "p": f"{_price(at)}0000", "q": "0.00027000"}
    return {"stream": "btcusdt@trade", "data": {**row, "T": stamp, "m": at % 3 == 0, "M": True}}


def coinbase(at: int, count: int) -> object:
    """Return ``match`` of Exchange."""
    orders = {"maker_order_id": "ac928c66-ca53-498f-9c13-a110027a60e8", "taker_order_id": "132fb6ae-456b-4654-b4e0"}
    row = {"type": "match", "trade_id": at, **orders, "side": _side(at), "size": "0.00027625", "price": f"{_price(at)}"}
    return {**row, "product_id": "BTC-USD", "sequence": at * 7, "time": _time(at)}


def coinbase_advanced(at: int, count: int) -> object:
    """Return ``market_trades`` of Advanced Trade, newest first."""
    fields = {"product_id": "BTC-USD", "size": "0.00027625", "time": _time(at)}
    rows = [{"trade_id": f"{i}", **fields, "price": f"{_price(i)}", "side": _side(i).upper()} for i in _ids(at, count)]
    events = [{"type": "update", "trades": rows[::-1]}]
    return {"channel": "market_trades", "client_id": "", "timestamp": _time(at), "sequence_num": at, "events": events}


def massive(at: int, count: int) -> object:
    """Return ``T`` events."""
    fields = {"ev": "T", "sym": "AAPL", "x": 4, "z": 3, "s": 100, "c": [0, 12], "t": 1_762_795_433_000 + at}
    return [{**fields, "i": f"{i}", "p": _price(i), "q": i} for i in _ids(at, count)]


FEEDS: dict[str, tuple[str, Callable[[int, int], object], int]] = {
    "kraken": ("KRAKEN", kraken, 4),
    "binance": ("BINANCE", binance, 1),
    "coinbase": ("COINBASE", coinbase, 1),
    "coinbase_advanced": ("COINBASE", coinbase_advanced, 10),
    "massive": ("MASSIVE", massive, 4),
}
"""Of each feed: its venue, how its messages are made, and the trades of one."""


def main() -> None:
    """Run the bench."""
    options = _options()
    command = f"python bench/decode.py --trades {options.trades} --repeat {options.repeat}"
    for name, (venue, make, size) in FEEDS.items():
        messages = [json.dumps(make(at, size)).encode() for at in range(1, options.trades + 1, size)]
        exchange = exchanges()[venue]
        _check(exchange, messages, options.trades)
        rates = {run: options.trades / seconds for run, seconds in _best(exchange, messages, options.repeat).items()}
        for run, label in (("decode", f"decode_{name}"), ("frame", f"decode_frame_{name}")):
            results.record(label, rates[run], "trades/s", rates["json"], rates[run] / rates["json"], command)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=200_000)
    parser.add_argument("--repeat", type=int, default=5, help="alternating runs; the best counts")
    parser.add_argument("--smoke", action="store_true", help="small and once")
    options = parser.parse_args()
    if options.smoke:
        options.trades, options.repeat = 2_000, 1
        os.environ.setdefault("TAPELINE_BENCH_RESULTS", "build/bench-smoke.json")
    return options


def _check(exchange: Exchange, messages: Sequence[bytes], trades: int) -> None:
    """Stop unless every message gives all its trades."""
    found = sum(isinstance(event, Trade) for message in messages for event in exchange.parse(message, 1))
    if found < trades:
        raise SystemExit(f"{exchange.venue}: expected {trades} trades, was {found}")


def _frames(exchange: Exchange, messages: Sequence[bytes]) -> list[Frame]:
    """Make frames of about ``BATCH`` trades, as ingest does of all messages that have come."""
    frames: list[Frame] = []
    each = BATCH // len(exchange.parse(messages[0], 1))
    for first in range(0, len(messages), each):
        events = [event for message in messages[first : first + each] for event in exchange.parse(message, 1)]
        trades = [event for event in events if isinstance(event, Trade)]
        names, raws, received, *_ = zip(*trades, strict=True)
        frames += judge(names, "bench", raws, received)[0]
    return frames


def _best(exchange: Exchange, messages: Sequence[bytes], repeat: int) -> dict[str, float]:
    """Return the shortest time of each, s of this core, measured in turns."""
    runs: dict[str, Callable[[], object]] = {
        "json": lambda: _each(json.loads, messages),
        "decode": lambda: _each(lambda message: exchange.parse(message, 1), messages),
        "frame": lambda: _frames(exchange, messages),
    }
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeat):
        for name, run in runs.items():
            begin = time.process_time()
            run()
            taken[name].append(time.process_time() - begin)
    return {name: min(times) for name, times in taken.items()}


def _each(call: Callable[[bytes], object], messages: Sequence[bytes]) -> None:
    """Call with each message and keep nothing, so that no collection of garbage is measured."""
    for message in messages:
        call(message)


def _ids(at: int, count: int) -> range:
    return range(at, at + count)


def _side(number: int) -> str:
    return "sell" if number % 3 else "buy"


def _price(number: int) -> float:
    return 105_000.0 + number % 1000 / 10


def _time(number: int) -> str:
    return f"2025-11-10T17:{number // 1_000_000 % 60:02}:{number // 1000 % 60:02}.{number * 997 % 1_000_000:06}Z"


if __name__ == "__main__":
    main()
