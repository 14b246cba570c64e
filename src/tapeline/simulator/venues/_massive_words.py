"""How Massive writes trades, on sockets and in REST."""

from __future__ import annotations

from typing import Any

from tapeline.simulator.tape import Listing
from tapeline.simulator.venues._answers import number
from tapeline.types import Frame

_STOCK_EXCHANGE, _COIN_EXCHANGE, _STOCK_TAPE = 4, 1, 3
_SIDES = {-1: [1], 0: [0], 1: [2]}
"""A coin's condition by the aggressor: 1 is sell side, 2 is buy side."""


def ticker_of(listing: Listing) -> str:
    """Return the ticker as sockets have it."""
    return f"{listing.base}-{listing.quote}" if listing.quote else listing.base


def sequence_of(trade_id: int) -> int:
    """Return a sequence number: ascending, but not one by one."""
    return 3 * trade_id


def messages(listing: Listing, rows: Frame, now: int) -> list[bytes]:
    """Return new trades as one array of events."""
    ticker = ticker_of(listing)
    columns = (rows.trade_id.tolist(), listing.prices(rows.price), listing.qtys(rows.qty))
    cells = zip(*columns, (rows.ts_event // 1_000_000).tolist(), rows.side.tolist(), strict=True)
    if listing.quote:
        head, tail = f'{{"ev":"XT","pair":"{ticker}","x":{_COIN_EXCHANGE},"i":', f'],"r":{now // 1_000_000}}}'
        told = [
            f'{head}{trade_id},"p":{price},"s":{size},"t":{time},"c":[{_SIDES[side][0]}{tail}'
            for trade_id, price, size, time, side in cells
        ]
    else:
        head = f'{{"ev":"T","sym":"{ticker}","x":{_STOCK_EXCHANGE},"z":{_STOCK_TAPE},"i":"'
        told = [
            f'{head}{trade_id}","p":{price},"s":{size},"t":{time},"q":{sequence_of(trade_id)}}}'
            for trade_id, price, size, time, _ in cells
        ]
    return [f"[{','.join(told)}]".encode()]


def rest_rows(listing: Listing, rows: Frame) -> list[dict[str, Any]]:
    """Return rows of ``v3/trades``, oldest first."""
    columns = (rows.trade_id.tolist(), listing.prices(rows.price), listing.qtys(rows.qty))
    cells = zip(*columns, rows.ts_event.tolist(), rows.side.tolist(), strict=True)
    made = []
    for trade_id, price, size, time, side in cells:
        row = {"id": str(trade_id), "price": number(price), "size": number(size), "participant_timestamp": time}
        if listing.quote:
            made.append(row | {"exchange": _COIN_EXCHANGE, "conditions": _SIDES[side]})
        else:
            order = {"sip_timestamp": time, "sequence_number": sequence_of(trade_id)}
            made.append(row | order | {"exchange": _STOCK_EXCHANGE, "tape": _STOCK_TAPE})
    return made
