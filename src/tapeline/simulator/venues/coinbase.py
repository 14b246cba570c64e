"""Coinbase as it speaks: the Exchange feed at ``/exchange``, Advanced Trade at ``/advanced``, and the REST of both.

At the venue they have addresses of their own. Only trades and heartbeats are simulated, other channels are refused. The
codes with which it closes are not published. It has no word for a side that is not known: such a trade is told as one
that was sold, with a maker who bought.

Source: docs.cdp.coinbase.com, exchange/websocket-feed and advanced-trade/websocket-channels.
"""

from __future__ import annotations

from random import Random
from typing import ClassVar

from tapeline.clock import SECOND
from tapeline.simulator.tape import Tape, Tapes
from tapeline.simulator.venue import Fields, Hit, Request, Response, Session, Venue, never
from tapeline.simulator.venues._answers import Budget, answer
from tapeline.simulator.venues._coinbase_advanced import AdvancedSession
from tapeline.simulator.venues._coinbase_exchange import ExchangeSession
from tapeline.simulator.venues._coinbase_rest import Rest
from tapeline.simulator.venues._coinbase_words import product_of


class Coinbase(Venue):
    """The simulated Coinbase."""

    name = "COINBASE"
    paths: ClassVar = {"matches": "/exchange", "market_trades": "/advanced"}
    instruments = ("BTC-USD.COINBASE", "ETH-USD.COINBASE", "SOL-USD.COINBASE")
    fields = Fields(trade_id="trade_id", price="price", qty="size", time="time")

    def __init__(self, tapes: Tapes, *, hit: Hit = never, limited: bool = True) -> None:
        super().__init__(tapes, hit=hit, limited=limited)
        self._products: dict[str, Tape] = {product_of(tape.listing): tape for tape in self.tapes.values()}
        self._connects = Budget(8, SECOND)
        self._rest = Rest({product: tape.listing for product, tape in self._products.items()}, limited=self.limited)

    def open(self, request: Request, number: int, now: int) -> Session | Response:
        """Return a session of the feed that the path names; more than 8 connections in a second are refused."""
        if not self._connects.spend(now) and self.limited:
            return self.failure(429)
        kind = AdvancedSession if request.path.rstrip("/") == self.paths["market_trades"] else ExchangeSession
        return kind(self._products, self.hit, limited=self.limited, now=now)

    def rest(self, request: Request, tapes: Tapes, now: int) -> Response:
        """Answer ``/products...`` and its like as Exchange, ``/api/v3/brokerage/...`` as Advanced Trade."""
        return self._rest.answer(request, tapes, now)

    def failure(self, status: int) -> Response:
        """Return an error body."""
        return answer({"message": _TEXTS.get(status, "Internal server error")}, status)

    def wrong_cursor(self, response: Response, random: Random) -> Response:
        """Return a page whose CB-AFTER is up to a page off."""
        after = response.headers.get("cb-after")
        if after is None:
            return response
        wrong = str(int(after) + random.choice((-1, 1)) * random.randint(1, 1000))
        return response._replace(headers={**response.headers, "cb-after": wrong})


_TEXTS = {418: "Public rate limit exceeded", 429: "Public rate limit exceeded", 503: "ServiceUnavailable"}

VENUE = Coinbase
