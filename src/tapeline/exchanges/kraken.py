"""Kraken: bodies of the REST ``Trades`` call, of today (7 fields a row) and older (6 fields, without trade id).

Source: docs.kraken.com, rest-api/get-recent-trades. The time is a JSON number of seconds with up to nine decimals; it
is read from its text, never through a float. ``b`` and ``s`` are the taker's side.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated

import msgspec

from tapeline.errors import InputError, MalformedMessage
from tapeline.exchanges.base import MAX_ID, RawTrade, seconds_ns, split_symbol

_LEGACY = re.compile(r"[XZ]([A-Z]{3})[XZ]([A-Z]{3})")
_QUOTES = re.findall(
    r"\w+", "ZUSD ZEUR ZGBP ZCAD ZJPY ZAUD XXBT XETH USDT USDC DAI USD EUR GBP CAD JPY AUD CHF XBT BTC ETH"
)
_LEGACY_BASES = set(
    re.findall(r"\w+", "XXBT XETH XXRP XLTC XETC XXLM XXMR XZEC XREP XMLN XXDG ZUSD ZEUR ZGBP ZCAD ZJPY ZAUD")
)
_OUR_NAMES = {"XBT": "BTC", "XDG": "DOGE"}
_SIDES = {"b": 1, "s": -1}


class _Row(msgspec.Struct, array_like=True):
    price: str
    qty: str
    time: Decimal
    side: str
    order_kind: str
    misc: str
    trade_id: Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)] | None = None


class _Body(msgspec.Struct):
    error: list[str] = []
    result: dict[str, msgspec.Raw] = {}


_body = msgspec.json.Decoder(_Body)
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_row = msgspec.json.Decoder(_Row)


@dataclass(slots=True)
class History:
    """Trades of one ``Trades`` body, rows that could not be read, and where the next body begins (ns as text)."""

    trades: list[RawTrade] = field(default_factory=list)
    bad: list[MalformedMessage] = field(default_factory=list)
    next: str = ""

    def add(self, pair: str, raw: bytes) -> None:
        """Read one row."""
        try:
            self.trades.append(parse_row(pair, raw))
        except MalformedMessage as error:
            self.bad.append(error)


def parse_history(body: bytes) -> History:
    """Read a body of ``/0/public/Trades``.

    Raises:
        MalformedMessage: it is no such body.
        InputError: Kraken answered with an error.
    """
    try:
        answer = _body.decode(body)
        if answer.error:
            raise InputError("kraken Trades", f"the venue answered {answer.error[0]!r}", next_step="ask again")
        history = History()
        for pair, raw in answer.result.items():
            if bytes(raw).startswith(b"["):
                for row in _rows.decode(raw):
                    history.add(pair, bytes(row))
            elif pair == "last":
                history.next = bytes(raw).decode().strip('"')
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage("kraken Trades", f"cannot be read ({str(error)[:120]})", raw=body) from error
    if not answer.result:
        raise MalformedMessage("kraken Trades", "has no result", raw=body)
    return history


def parse_row(pair: str, raw: bytes) -> RawTrade:
    """Read one row of a body.

    Raises:
        MalformedMessage: a field is missing or of the wrong type.
    """
    try:
        row = _row.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage("kraken trade", f"cannot be read ({str(error)[:120]})", raw=raw) from error
    if row.side not in _SIDES:
        raise MalformedMessage("kraken trade", "side", raw=raw, expected="b or s", was=row.side)
    return RawTrade(pair, row.trade_id, seconds_ns(row.time), row.price, row.qty, _SIDES[row.side])


def instrument(pair: str) -> str | None:
    """Return our name of a Kraken pair, or None where its quote currency is not known.

    >>> instrument("XXBTZUSD"), instrument("XBTUSDT"), instrument("XBT/EUR")
    ('BTC-USD.KRAKEN', 'BTC-USDT.KRAKEN', 'BTC-EUR.KRAKEN')
    """
    legacy = _LEGACY.fullmatch(pair)
    names = (legacy[1], legacy[2]) if legacy else split_symbol(pair, _QUOTES)
    return None if names is None else f"{_our(names[0])}-{_our(names[1])}.KRAKEN"


def _our(name: str) -> str:
    short = name[1:] if name in _LEGACY_BASES else name
    return _OUR_NAMES.get(short, short)
