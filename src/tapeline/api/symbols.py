"""Symbols of the reference routes: ``BTCUSD`` finds ``BTC-USD.SIM`` where only one venue has it."""

from __future__ import annotations

from collections.abc import Iterable

from tapeline.coverage import SqlStore
from tapeline.errors import UnknownName, UsageError
from tapeline.tape import instruments

_IMPORTED = "SELECT DISTINCT instrument FROM candles WHERE source = 'imported'"


def held(store: SqlStore) -> set[str]:
    """Return the instruments of which a store holds trades, or candles that others made."""
    return {one.instrument for one in instruments(store)} | {*store.sql(_IMPORTED)["instrument"].to_pylist()}


def plain_symbol(name: str) -> str:
    """Return an instrument or a symbol without venue and signs.

    >>> plain_symbol("BTC-USD.SIM"), plain_symbol("btc/usd")
    ('BTCUSD', 'BTCUSD')
    """
    return "".join(character for character in name.partition(".")[0].upper() if character.isalnum())


def may_mean(symbol: str, name: str) -> bool:
    """Say whether a symbol may mean an instrument; one with a venue means that of the venue alone.

    >>> may_mean("btcusd", "BTC-USD.SIM"), may_mean("BTC-USD.KRAKEN", "BTC-USD.SIM")
    (True, False)
    """
    return symbol == name or ("." not in symbol and plain_symbol(symbol) == plain_symbol(name))


def instrument_of(symbol: str, among: Iterable[str]) -> str:
    """Return the instrument that a symbol means.

    Raises:
        UnknownName: none is held.
        UsageError: several are; the text lists them.
    """
    names = sorted(set(among))
    if symbol in names:
        return symbol
    found = [name for name in names if may_mean(symbol, name)]
    if len(found) == 1:
        return found[0]
    where = f"symbol {symbol}"
    if found:
        raise UsageError(where, "is held from several venues", expected=f"one of {', '.join(found)}", was=symbol)
    rule = f"one of {', '.join(names)}" if names else "one that is stored; nothing is yet"
    raise UnknownName(where, "is not known", expected=rule, was=symbol, next_step="list them with GET /api/symbols")
