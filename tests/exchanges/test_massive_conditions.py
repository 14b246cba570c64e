"""Which trades of Massive make a candle: messages and rows with conditions, through the exchange, to the candle."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tapeline.candles import CandleFold
from tapeline.clock import MINUTE
from tapeline.exchanges.base import Exchange, Ignored, RawTrade, Trade
from tapeline.exchanges.massive import informed
from tapeline.exchanges.massive_reference import parse_conditions
from tapeline.ingest.judging import judge
from tapeline.types import Timeframe

START = 1_763_649_000_000  # ms, a whole minute
NAME = "AAPL.MASSIVE"
WHOLE, LATE, ODD, AWAY, QUOTE, UNKNOWN = 0, 10, 37, 16, 52, 99


def rule(*updates: bool) -> dict[str, bool]:
    return dict(zip(("updates_open_close", "updates_high_low", "updates_volume"), updates, strict=True))


def condition(number: int, consolidated: dict[str, bool], kind: str = "trade") -> dict[str, Any]:
    """Return a condition; for the market center alone it means the opposite, which does not count."""
    other = {name: not value for name, value in consolidated.items()}
    rules = {"consolidated": consolidated, "market_center": other}
    return {"id": number, "data_types": [kind], "update_rules": rules}


CONDITIONS = [
    condition(WHOLE, rule(True, True, True)),
    condition(LATE, rule(False, True, True)),
    condition(ODD, rule(False, False, True)),
    condition(AWAY, rule(False, False, False)),
    condition(QUOTE, rule(False, False, False), "bbo"),
]
EXCHANGE: Exchange = informed(parse_conditions(json.dumps({"results": CONDITIONS}).encode()))
TOLD = [
    (ODD, 900.0, 1),
    (WHOLE, 100.0, 10),
    (LATE, 500.0, 2),
    (UNKNOWN, 103.0, 20),
    (AWAY, 1.0, 4),
    (QUOTE, 99.0, 30),
    (ODD, 2.0, 8),
    (WHOLE, 101.0, 40),
    (LATE, 3.0, 16),
]
"""Condition, price and size of trades, a second apart."""
NAMED = {"tradeHighLowOnly": 2, "tradeVolumeOnly": 2, "tradeUncounted": 1}
CANDLE = {"open": 100.0, "high": 103.0, "low": 99.0, "close": 101.0, "volume": 100.0, "trades": 4}


def live() -> tuple[list[RawTrade], Counter[str]]:
    told = [
        {"ev": "T", "sym": "AAPL", "x": 4, "i": str(at), "p": price, "s": size, "c": [code], "t": START + at * 1000}
        for at, (code, price, size) in enumerate(TOLD)
    ]
    events = [event for part in (told[:4], told[4:]) for event in EXCHANGE.parse(json.dumps(part).encode(), 5)]
    trades = [event.raw for event in events if isinstance(event, Trade)]
    return trades, Counter(event.kind for event in events if isinstance(event, Ignored))


def past() -> tuple[list[RawTrade], Counter[str]]:
    rows: list[dict[str, Any]] = [
        {"price": price, "size": size, "exchange": 4, "id": str(at), "conditions": [code]}
        | {"sip_timestamp": (START + at * 1000) * 1_000_000}
        for at, (code, price, size) in enumerate(TOLD)
    ]
    history = EXCHANGE.parse_history(json.dumps({"status": "OK", "results": rows}).encode(), "AAPL")
    return history.trades, Counter(history.ignored)


@pytest.mark.parametrize("source", [live, past])
def test_a_candle_is_made_of_trades_that_update_all_of_it(
    source: Callable[[], tuple[list[RawTrade], Counter[str]]],
) -> None:
    trades, ignored = source()
    (frame,), dead = judge([NAME] * len(trades), "massive", trades, [5] * len(trades))
    fold = CandleFold([Timeframe.parse("1m")])
    fold.feed(frame)
    (closed,) = fold.close_until(START * 1_000_000 + MINUTE)
    (candle,) = closed
    assert {name: candle[name].item() for name in CANDLE} == CANDLE
    assert (ignored, dead) == (NAMED, [])


def test_live_and_past_are_one_tape() -> None:
    assert live() == past()
