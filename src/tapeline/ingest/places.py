"""Where the settings say that venues are reached, and which of their instruments are followed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from tapeline.config import Settings
from tapeline.errors import UnknownName, UsageError
from tapeline.exchanges.base import Exchange, Feed, exchanges
from tapeline.ingest.base import Place
from tapeline.ingest.rest import Rest
from tapeline.types import venue_of

SIMULATED = "SIM"
_SECURE = {"https", "wss"}


def place_of(venue: str, settings: Settings, *, simulated: bool = False) -> Place:
    """Return where a venue is reached; a simulated one speaks as the venue does, and its trades carry SIM.

    Raises:
        UnknownName: there is no such venue, or it has no such feed.
        UsageError: the feed needs a key, or an address is none.

    >>> place_of("KRAKEN", Settings(kraken_url="http://127.0.0.1:9000")).ws_url
    'ws://127.0.0.1:9000/v2'
    """
    exchange = exchanges().get(venue)
    if exchange is None or not exchange.feeds:
        known = ", ".join(name for name, one in exchanges().items() if one.feeds)
        raise UnknownName(f"venue {venue}", "is not known", expected=f"one of {known}", was=venue)
    feed, ws_url, rest_url = _reached(exchange, settings)
    key = _setting(settings, venue, "key")
    if feed.login is not None and not key:
        name = f"settings {venue.lower()}_key"
        raise UsageError(
            name, "is not set", expected="your key", was="", next_step=f"set TAPELINE_{venue}_KEY or leave {venue} out"
        )
    return Place(exchange, feed, ws_url, rest_url, SIMULATED if simulated else exchange.venue, key)


def check_venues(settings: Settings) -> None:
    """Check what the settings say of venues, of those too that are not followed now: a slip there would wait unseen.

    Raises:
        UnknownName: a venue has no such feed.
        UsageError: an address is none.
    """
    for exchange in exchanges().values():
        if exchange.feeds:
            _reached(exchange, settings)


def followed(settings: Settings, instruments: Iterable[str] = (), *, simulated: str = "") -> dict[str, list[str]]:
    """Return the instruments asked for (or those of the settings) by the venue at which they are reached.

    ``simulated`` names the venue that is simulated; instruments of SIM are reached there.

    Raises:
        UnknownName: an instrument is of no venue that can be followed.
    """
    known = [name for name, one in exchanges().items() if one.feeds]
    by_venue: dict[str, list[str]] = {}
    for name in usual(instruments or settings.instruments, settings):
        venue = simulated if simulated and venue_of(name) == SIMULATED else venue_of(name)
        if venue not in known:
            raise UnknownName(
                f"instrument {name}", "cannot be followed", expected=f"venue {', '.join(known)}", was=venue
            )
        by_venue.setdefault(venue, []).append(name)
    return by_venue


def usual(names: Iterable[str], settings: Settings) -> tuple[str, ...]:
    """Return instruments, with those that a venue's feed usually follows in the place of its name.

    >>> usual(["BTC-EUR.KRAKEN", "MASSIVE"], Settings(massive_feed="crypto"))[:2]
    ('BTC-EUR.KRAKEN', 'BTC-USD.MASSIVE')
    """
    found: dict[str, None] = {}
    for name in names:
        venue = exchanges().get(name)
        found |= dict.fromkeys(_feed(venue, _setting(settings, name, "feed")).instruments if venue else [name])
    return tuple(found)


async def prepared(place: Place, rest: Rest) -> Place:
    """Return a place whose exchange knows what the venue's messages mean, where that has to be asked first.

    Raises:
        VenueBusy: the venue does not answer now.
        VenueRefused: it never will.
    """
    if place.feed.prepare is None:
        return place
    steps, answer = place.feed.prepare(), None
    while True:
        try:
            request = next(steps) if answer is None else steps.send(answer)
        except StopIteration as end:
            exchange: Exchange = end.value
            return replace(place, exchange=exchange, feed=_feed(exchange, place.feed.name))
        answer = await rest.get(request)


def _reached(exchange: Exchange, settings: Settings) -> tuple[Feed, str, str]:
    """Return the feed of a venue that the settings name, and its addresses: of the WebSocket and of REST."""
    venue = exchange.venue
    feed = _feed(exchange, _setting(settings, venue, "feed"))
    url = _setting(settings, venue, "url")
    rest_url = _setting(settings, venue, "rest_url") or url
    return (
        feed,
        _moved(feed.ws_url, url, "ws", f"settings {venue.lower()}_url"),
        _moved(feed.rest_url, rest_url, "http", f"settings {venue.lower()}_rest_url"),
    )


def _feed(exchange: Exchange, name: str) -> Feed:
    feeds = {feed.name: feed for feed in exchange.feeds}
    if not name:
        return exchange.feeds[0]
    if name not in feeds:
        rule = f"one of {', '.join(feeds)}"
        raise UnknownName(f"settings {exchange.venue.lower()}_feed", "is not known", expected=rule, was=name)
    return feeds[name]


def _setting(settings: Settings, venue: str, name: str) -> str:
    """Return what is set for a venue; for one that was added, what its environment variable says."""
    value = getattr(settings, f"{venue.lower()}_{name}", None)
    if value is None:
        return os.environ.get(f"TAPELINE_{venue}_{name.upper()}", "")
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _moved(address: str, elsewhere: str, scheme: str, where: str) -> str:
    """Return a venue's address at another host; a path that is given there replaces the venue's."""
    if not elsewhere:
        return address
    parts, own = urlsplit(elsewhere), urlsplit(address)
    if parts.scheme not in {"http", "https", "ws", "wss"} or not parts.netloc:
        raise UsageError(where, "is no address", expected="http, https, ws or wss://HOST[:PORT]", was=elsewhere)
    path = parts.path.rstrip("/") if scheme == "ws" else ""
    secure = f"{scheme}s" if parts.scheme in _SECURE else scheme
    return urlunsplit((secure, parts.netloc, path or own.path, "", ""))
