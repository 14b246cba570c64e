"""How Coinbase writes trades: on its Exchange feed, on Advanced Trade, and in the REST bodies of both.

All of them tell the side of the maker.
"""

from __future__ import annotations

from typing import Any

from tapeline.simulator.tape import Listing, Tape, decimal_texts, micros
from tapeline.types import Frame

_MAKER = {1: "sell", 0: "buy", -1: "buy"}


def product_of(listing: Listing) -> str:
    """Return the name of the product."""
    return f"{listing.base}-{listing.quote}"


def matches(tape: Tape, rows: Frame, kind: str = "match") -> list[bytes]:
    """Return a message of the Exchange feed for each trade; ``sequence`` counts the whole order book, so it jumps."""
    product = product_of(tape.listing)
    columns = (rows.trade_id.tolist(), rows.ts_event.tolist(), rows.side.tolist())
    texts = (*_texts(tape.listing, rows), micros(rows.ts_event))
    return [
        (
            f'{{"type":"{kind}","trade_id":{trade_id},"maker_order_id":"{_order_id(9, trade_id)}",'
            f'"taker_order_id":"{_order_id(8, ts_event)}","side":"{_MAKER[side]}","size":"{size}","price":"{price}",'
            f'"product_id":"{product}","sequence":{10 * trade_id},"time":"{time}"}}'
        ).encode()
        for trade_id, ts_event, side, price, size, time in zip(*columns, *texts, strict=True)
    ]


def exchange_rows(tape: Tape, rows: Frame) -> list[dict[str, Any]]:
    """Return rows of Exchange's ``products/{id}/trades``, newest first."""
    sides = [_MAKER[side] for side in rows.side.tolist()]
    columns = (rows.trade_id.tolist(), sides, *_texts(tape.listing, rows, padded=True), micros(rows.ts_event))
    keys = ("trade_id", "side", "price", "size", "time")
    return [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)][::-1]


def advanced_rows(tape: Tape, rows: Frame) -> list[dict[str, Any]]:
    """Return rows of Advanced Trade, on the socket and in REST, newest first."""
    product = product_of(tape.listing)
    ids, sides = map(str, rows.trade_id.tolist()), [_MAKER[side].upper() for side in rows.side.tolist()]
    columns = zip(ids, *_texts(tape.listing, rows), sides, micros(rows.ts_event), strict=True)
    keys = ("trade_id", "price", "size", "side", "time")
    return [{"product_id": product} | dict(zip(keys, row, strict=True)) for row in columns][::-1]


def _texts(listing: Listing, rows: Frame, *, padded: bool = False) -> tuple[list[str], list[str]]:
    """Return prices and sizes, ``padded`` to eight decimals at least."""
    if not padded:
        return _short(listing.prices(rows.price)), _short(listing.qtys(rows.qty))
    price, size = (None if one is None else max(one, 8) for one in (listing.price_decimals, listing.qty_decimals))
    return decimal_texts(rows.price, price), decimal_texts(rows.qty, size)


def _short(texts: list[str]) -> list[str]:
    return [text.rstrip("0").rstrip(".") if "." in text else text for text in texts]


def _order_id(kind: int, number: int) -> str:
    return f"00000000-0000-4000-{kind}000-{number % 16**12:012x}"
