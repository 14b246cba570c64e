from __future__ import annotations

from decimal import Decimal

import pytest

from tapeline.exchanges.base import seconds_ns, split_symbol


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("btcusdt", ("BTC", "USDT")),
        ("ETHBTC", ("ETH", "BTC")),
        ("BTCFDUSD", ("BTC", "FDUSD")),
        ("XBT/USD", ("XBT", "USD")),
        ("DOGE-EUR", ("DOGE", "EUR")),
        ("USDT", None),
        ("SPY", None),
        ("a/b/c", None),
    ],
)
def test_symbols_split_at_their_quote(symbol: str, expected: tuple[str, str] | None) -> None:
    assert split_symbol(symbol) == expected


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-1", "1e400", "1e99999999", "9999999999.9"])
def test_seconds_that_no_int64_holds_are_refused(text: str) -> None:
    assert seconds_ns(Decimal(text)) == -1


def test_seconds_keep_every_digit() -> None:
    assert seconds_ns(Decimal("1762820035.982277754")) == 1_762_820_035_982_277_754
