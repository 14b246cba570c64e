"""Which instrument a file holds, from symbols in it and from the words of its name and folder."""

from __future__ import annotations

import re
from pathlib import Path

from tapeline.errors import UnreadableFile
from tapeline.exchanges import binance, kraken
from tapeline.exchanges.fields import QUOTES, split_symbol
from tapeline.types import check_instrument

_WORD = re.compile(r"[A-Za-z0-9]+")
_PAIR = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]{2,10})[-_]([A-Za-z]{3,5})(?![A-Za-z0-9])")
_NO_BASE = {
    "trade",
    "trades",
    "agg",
    "aggtrade",
    "aggtrades",
    "kline",
    "klines",
    "candles",
    "tick",
    "ticks",
    "spot",
    "data",
}
_FUTURES = {"futures", "future", "fut", "usdm", "um", "usdmfutures", "perp", "perpetual", "swap"}
_SPOT = {"spot"}
_VENUES = re.findall(
    r"\w+", "BINANCE KRAKEN COINBASE BITSTAMP BITFINEX BYBIT OKX KUCOIN GEMINI HUOBI BITMEX DERIBIT FTX SIM"
)


def says_futures(path: Path) -> bool:
    """Say whether the path speaks of USD-M futures, and not of spot."""
    found = {word.lower() for part in path.parts[-8:] for word in _WORD.findall(part.replace("_", " "))}
    return bool(found & _FUTURES) and not found & _SPOT


def venue_in(text: str) -> str:
    """Return the venue that a text names, or an empty text."""
    return next((venue for venue in _VENUES if venue in text.upper()), "")


def venue_of_path(path: Path) -> str:
    """Return the venue that a file's name or one of the four folders above it names, or an empty text."""
    return next((venue for part in reversed(path.parts[-5:]) if (venue := venue_in(part))), "")


def symbol_in(path: Path) -> str:
    """Return the first part of a file's name that is a pair, or an empty text.

    >>> symbol_in(Path("XRP_ETH-1m.feather")), symbol_in(Path("BTCUSDT-trades.zip")), symbol_in(Path("trades.csv"))
    ('XRP-ETH', 'BTCUSDT', '')
    """
    stem = path.name.partition(".")[0]
    for base, quote in _PAIR.findall(stem):
        if quote.upper() in QUOTES and base.lower() not in _NO_BASE:
            return f"{base}-{quote}".upper()
    candidates = (word for word in _WORD.findall(stem.replace("_", " ")) if len(word) >= 6 and not word.isdigit())
    return next((word.upper() for word in candidates if split_symbol(word)), "")


def instrument_of(symbol: str, venue: str, *, futures: bool = False) -> str | None:
    """Return our name of a venue's symbol, or None where it cannot be known."""
    if venue == "BINANCE":
        return binance.instrument(symbol, futures=futures)
    if venue == "KRAKEN":
        return kraken.instrument(symbol)
    pair = split_symbol(symbol)
    return f"{pair[0]}-{pair[1]}{'-PERP' if futures else ''}.{venue}" if venue and pair else None


def chosen(given: str | None, found: str | None, path: Path) -> str:
    """Return the instrument given by the user, otherwise the one found.

    Raises:
        UnreadableFile: neither is known.
        UsageError: the one given is not a name.
    """
    if given is not None:
        return check_instrument(given)
    if found is None:
        raise UnreadableFile(
            f"file {path}",
            "does not say which instrument it holds",
            expected="a symbol and a venue in it or in its name",
            was=path.name,
            next_step="name it: --instrument BASE-QUOTE.VENUE, such as BTC-USD.KRAKEN",
        )
    return check_instrument(found)
