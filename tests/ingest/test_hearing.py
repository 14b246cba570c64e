"""What is read all at once is what is read message by message, or it is not read all at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeline.clock import format_time
from tapeline.exchanges.base import Exchange, Feed, exchanges
from tapeline.ingest.base import Delivery, Place
from tapeline.ingest.hearing import Hearing
from tapeline.ingest.socket import Received
from tapeline.types import Frame

_NOW = 1_760_000_000_123_456_000
_KRAKEN: Exchange = exchanges()["KRAKEN"]
_FEED: Feed = _KRAKEN.feeds[0]
_OURS = ("BTC-USD.SIM", "ETH-USD.SIM")


def hearing() -> Hearing:
    return Hearing(Place(_KRAKEN, _FEED, "", "", "SIM"), _OURS)


def by_message(received: list[Received]) -> list[Delivery]:
    slowly = hearing()
    return slowly.deliveries(slowly.hear(received), received[0].ts_init)


def columns(frames: tuple[Frame, ...]) -> list[tuple[Any, ...]]:
    return [(one.instrument, *((column.dtype, column.tolist()) for column in one.columns())) for one in frames]


def trade(**changed: object) -> dict[str, object]:
    plain = {"symbol": "BTC/USD", "side": "buy", "price": 1.5, "qty": 0.25, "ord_type": "limit", "trade_id": 7}
    return plain | {"timestamp": format_time(_NOW)} | changed


def message(*trades: dict[str, object], kind: str = "update") -> bytes:
    return json.dumps({"channel": "trade", "type": kind, "data": trades}).encode()


def decimal(digits: int, places: int) -> str:
    """Return digits / 10^places, as written."""
    text = str(digits).rjust(places + 1, "0")
    return f"{text[:-places]}.{text[-places:]}" if places else text


_DIGITS = st.builds(decimal, st.integers(1, 10**17), st.integers(0, 20))
_TRADES = st.tuples(
    st.sampled_from(["BTC/USD", "ETH/USD"]),
    st.sampled_from(["buy", "sell"]),
    _DIGITS,
    _DIGITS,
    st.integers(0, 2**63 - 2),
    st.integers(_NOW // 1000, _NOW // 1000 + 3_000_000),
)


def written(rows: list[tuple[str, str, str, str, int, int]]) -> bytes:
    """Return a message with numbers exactly as they are given."""
    told = ",".join(
        f'{{"symbol":"{symbol}","side":"{side}","price":{price},"qty":{qty},"trade_id":{trade_id},'
        f'"timestamp":"{np.datetime64(micros, "us")}Z"}}'
        for symbol, side, price, qty, trade_id, micros in rows
    )
    return f'{{"channel":"trade","type":"update","data":[{told}]}}'.encode()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(_TRADES, max_size=5), min_size=1, max_size=4).filter(any))
def test_trades_read_at_once_are_those_read_one_by_one(messages: list[list[Any]]) -> None:
    received = [Received(written(rows), _NOW + place) for place, rows in enumerate(messages)]
    plain, (slow,) = hearing().plain(received), by_message(received)
    assert plain is not None
    assert columns(plain.frames) == columns(slow.frames)
    assert (plain.dead, plain.source, plain.id_kind, plain.contiguous, plain.received) == (
        (), slow.source, slow.id_kind, slow.contiguous, slow.received,
    )  # fmt: skip


@pytest.mark.parametrize(
    "raw",
    [
        message(trade(), kind="snapshot"),
        b'{"channel":"heartbeat"}',
        b'{"channel":"trade","type":"update","data":[',
        b"",
        message(trade(symbol="SOL/USD")),
        message(trade(symbol="XBT/USD")),
        message(trade(side="none")),
        message(trade(price="1.5")),
        message(trade(price=0)),
        message(trade(price=-1.0)),
        message(trade(qty=1e31)),
        message(trade()).replace(b"1.5", b"1e400"),
        message(trade()).replace(b"1.5", b"NaN"),
        message(trade(trade_id=-1)),
        message(trade(trade_id=2**63 - 1)),
        message(trade(trade_id=1.5)),
        message(trade(timestamp="2025-10-09T08:53:20Z")),
        message(trade(timestamp="2025-10-09T08:53:20.1234567Z"), trade(timestamp="2025-10-09T08:53:20.12345Z")),
        message(trade(timestamp="2025-13-09T08:53:20.123456Z")),
        message(trade(timestamp="9999-10-09T08:53:20.123456Z")),
        message(trade(timestamp="1999-10-09T08:53:20.123456Z")),
        message(trade(timestamp="2025-10-09T08:53:20.12345eZ")),
    ],
)
def test_what_is_not_plain_is_left_to_the_other_way(raw: bytes) -> None:
    good = Received(message(trade()), _NOW)
    assert hearing().plain([good]) is not None
    assert hearing().plain([good, Received(raw, _NOW)]) is None


def test_no_other_exchange_needs_it() -> None:
    others: list[Callable[..., object]] = [one.parse_plain for name, one in exchanges().items() if name != "KRAKEN"]
    assert all(parse([b"{}"]) is None for parse in others)
