"""What the parsers of all venues share: a trade as the venue wrote it, and the reading of its time and symbol.

A parser checks the shape of a message. It does not judge numbers: price and quantity stay text, so that whoever
judges them can keep what was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

MAX_ID = 2**63 - 1

QUOTES = tuple(
    re.findall(
        r"\w+",
        "FDUSD USDT USDC BUSD TUSD USDP DAI USD EUR GBP JPY TRY BRL AUD CAD CHF RUB UAH NGN ZAR IDRT BIDR PLN RON ARS "
        "MXN CZK COP BTC XBT ETH BNB SOL TRX XRP DOGE DOT VAI PAX",
    )
)
"""Quote currencies, longest first where one ends with another."""


class RawTrade(NamedTuple):
    """A trade as the venue wrote it.

    ``trade_id`` is None where the venue gives none; ``ts_event`` is ns UTC; ``side`` is a `Side` value; ``stands_for``
    is how many venue trades it is: 1, but for aggregated trades.
    """

    symbol: str
    trade_id: int | None
    ts_event: int
    price: str
    qty: str
    side: int
    stands_for: int = 1


def split_symbol(symbol: str, quotes: Iterable[str] = QUOTES) -> tuple[str, str] | None:
    """Split a venue's symbol into base and quote, or return None where it has no known quote.

    >>> split_symbol("BTCUSDT"), split_symbol("XRP/ETH"), split_symbol("SPY")
    (('BTC', 'USDT'), ('XRP', 'ETH'), None)
    """
    name = symbol.upper()
    for mark in "/-_":
        base, found, quote = name.partition(mark)
        if found:
            return (base, quote) if base.isalnum() and quote.isalnum() else None
    for quote in quotes:
        if name.endswith(quote) and len(name) > len(quote) and name.isalnum():
            return name.removesuffix(quote), quote
    return None


def seconds_ns(seconds: Decimal) -> int:
    """Return ns of a number of seconds, exactly; -1 where no int64 can hold it.

    >>> from decimal import Decimal
    >>> seconds_ns(Decimal("1762795433.9717445"))
    1762795433971744500
    """
    if not seconds.is_finite() or seconds.adjusted() > 9 or seconds < 0:
        return -1
    ns = int(seconds.scaleb(9))
    return ns if ns <= MAX_ID else -1
