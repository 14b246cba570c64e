from __future__ import annotations

from pathlib import Path

import pytest

from tapeline.errors import UnreadableFile, UsageError
from tapeline.recordings.naming import chosen, instrument_of, says_futures, symbol_in, venue_of_path


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("BTCUSDT-trades-2024-08.zip", "BTCUSDT"),
        ("XRP_ETH-1m.feather", "XRP-ETH"),
        ("btc-usd.csv", "BTC-USD"),
        ("spot_btcusdt_20240808.gz", "BTCUSDT"),
        ("trades_btc_fut_2026-02-16_04.parquet", ""),
        ("export.parquet", ""),
        ("20240808.csv", ""),
    ],
)
def test_the_symbol_in_a_name(name: str, symbol: str) -> None:
    assert symbol_in(Path(name)) == symbol


@pytest.mark.parametrize(
    ("path", "futures"),
    [
        ("data/futures/um/daily/trades/BTCUSDT/BTCUSDT-trades-2024-08-01.zip", True),
        ("data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-2024-08-01.zip", False),
        ("usdm_ethusdt_20240808.gz", True),
        ("album/BTCUSDT.csv", False),
    ],
)
def test_futures_are_told_by_the_path(path: str, futures: bool) -> None:
    assert says_futures(Path(path)) is futures


def test_the_venue_is_told_by_the_name_then_by_the_folders() -> None:
    assert venue_of_path(Path("binance/kraken_BTCUSD.csv")) == "KRAKEN"
    assert venue_of_path(Path("crypto/coinbase/minute/btcusd/20161007_trade.zip")) == "COINBASE"
    assert venue_of_path(Path("x.csv")) == ""


def test_instruments() -> None:
    assert instrument_of("BTC-USD", "COINBASE") == "BTC-USD.COINBASE"
    assert instrument_of("XXBTZUSD", "KRAKEN") == "BTC-USD.KRAKEN"
    assert instrument_of("BTCUSDT", "BYBIT", futures=True) == "BTC-USDT-PERP.BYBIT"
    assert instrument_of("BTCUSDT", "") is None


def test_the_user_s_word_comes_first_and_must_be_a_name() -> None:
    assert chosen("A-B.SIM", "C-D.SIM", Path("x")) == "A-B.SIM"
    assert chosen(None, "C-D.SIM", Path("x")) == "C-D.SIM"
    with pytest.raises(UsageError, match="is not a name"):
        chosen("btc", None, Path("x"))
    with pytest.raises(UnreadableFile, match="does not say which instrument it holds"):
        chosen(None, None, Path("x"))
