"""Symbols of the reference routes: ``BTCUSD`` finds ``BTC-USD.SIM`` where only one venue has it."""

from __future__ import annotations

from collections.abc import Iterable

from tapeline.errors import UnknownName, UsageError


def plain_symbol(name: str) -> str:
    """Return an instrument or a symbol without venue and signs.

    >>> plain_symbol("BTC-USD.SIM"), plain_symbol("btc/usd")
    ('BTCUSD', 'BTCUSD')
    """
    return "".join(character for character in name.partition(".")[0].upper() if character.isalnum())


def instrument_of(symbol: str, held: Iterable[str]) -> str:
    """Return the instrument that a symbol means.

    Raises:
        UnknownName: none is held.
        UsageError: several are; the text lists them.
    """
    names = sorted(set(held))
    if symbol in names:
        return symbol
    found = [name for name in names if plain_symbol(name) == plain_symbol(symbol) and "." not in symbol]
    if len(found) == 1:
        return found[0]
    where = f"symbol {symbol}"
    if found:
        raise UsageError(where, "is held from several venues", expected=f"one of {', '.join(found)}", was=symbol)
    rule = f"one of {', '.join(names)}" if names else "one that is stored; nothing is yet"
    raise UnknownName(where, "is not known", expected=rule, was=symbol, next_step="list them with GET /api/symbols")
