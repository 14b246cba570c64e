"""What Kraken calls a listing, and what follows from a trade's id alone."""

from __future__ import annotations

from tapeline.simulator.tape import Listing

_OLD_BASES = {"BTC": "XXBT", "DOGE": "XXDG"} | {
    one: f"X{one}" for one in ("ETH", "XRP", "LTC", "ETC", "XLM", "XMR", "ZEC", "REP", "MLN")
}
_OLD_QUOTES = {"BTC": "XXBT", "ETH": "XETH"} | {one: f"Z{one}" for one in ("USD", "EUR", "GBP", "CAD", "JPY", "AUD")}
_SHORT = {"BTC": "XBT", "DOGE": "XDG"}


class Names:
    """The names of a listing: ``symbol`` on WebSocket v2, ``wsname``, ``short`` and ``full`` in REST.

    >>> names = Names(Listing("BTC-USD.KRAKEN", "BTC", "USD"))
    >>> names.symbol, names.wsname, names.short, names.full
    ('BTC/USD', 'XBT/USD', 'XBTUSD', 'XXBTZUSD')
    """

    def __init__(self, listing: Listing) -> None:
        base, quote = listing.base, listing.quote
        self.symbol = f"{base}/{quote}"
        self.wsname = f"{_SHORT.get(base, base)}/{_SHORT.get(quote, quote)}"
        self.short = self.wsname.replace("/", "")
        self.base = _OLD_BASES.get(base, base)
        self.quote = _OLD_QUOTES.get(quote, quote)
        self.full = f"{self.base}{self.quote}" if base in _OLD_BASES and quote in _OLD_QUOTES else self.short


def takers_order(trade_id: int) -> str:
    """Return the kind of the taker's order, the same wherever a trade is told: the tape does not hold it."""
    return "market" if trade_id % 3 else "limit"
