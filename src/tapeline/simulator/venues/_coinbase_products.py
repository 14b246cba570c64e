"""Products and currencies as the simulated Coinbase describes them."""

from __future__ import annotations

from typing import Any

from tapeline.simulator.tape import Listing, Tape
from tapeline.simulator.venues._coinbase_words import product_of


def exchange_product(listing: Listing) -> dict[str, Any]:
    """Return a product as Exchange describes it."""
    price, size = _steps(listing)
    names = {"id": product_of(listing), "base_currency": listing.base, "quote_currency": listing.quote}
    steps = {"quote_increment": price, "base_increment": size, "min_market_funds": "1"}
    flags = dict.fromkeys(("margin_enabled", "post_only", "limit_only", "cancel_only", "trading_disabled"), False)
    shown = {"display_name": f"{listing.base}/{listing.quote}", "status": "online", "status_message": ""}
    return names | steps | shown | flags | {"auction_mode": False, "fx_stablecoin": False}


def advanced_product(listing: Listing, tape: Tape) -> dict[str, Any]:
    """Return a product as Advanced Trade describes it, as far as it is about trades."""
    price, size = _steps(listing)
    newest = listing.prices(tape.newest(1).price)
    names = {"product_id": product_of(listing), "price": newest[0] if newest else "", "product_type": "SPOT"}
    steps = {"base_increment": size, "quote_increment": price, "price_increment": price, "base_min_size": size}
    sizes = {"base_max_size": "3400", "quote_min_size": "1", "quote_max_size": "150000000"}
    whose = {"base_currency_id": listing.base, "quote_currency_id": listing.quote, "base_name": listing.base}
    flags = ("is_disabled", "new", "cancel_only", "limit_only", "post_only", "trading_disabled", "auction_mode")
    rest = {"status": "online", "alias": "", "alias_to": [], "product_venue": "CBE", "quote_name": listing.quote}
    return names | steps | sizes | whose | rest | dict.fromkeys((*flags, "view_only", "watched"), False)


def currency(name: str) -> dict[str, Any]:
    """Return a currency as Exchange describes it."""
    return {"id": name, "name": name, "min_size": "0.00000001", "status": "online", "max_precision": "0.00000001"}


def _steps(listing: Listing) -> tuple[str, str]:
    """Return the steps of price and size."""
    price, size = (8 if one is None else one for one in (listing.price_decimals, listing.qty_decimals))
    return f"{10.0**-price:.{price}f}", f"{10.0**-size:.{size}f}"
