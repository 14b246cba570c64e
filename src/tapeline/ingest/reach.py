"""Whether a venue can be reached at all: asked once, before anything is begun."""

from __future__ import annotations

from tapeline.clock import Clock
from tapeline.errors import VenueError
from tapeline.ingest.base import Place
from tapeline.ingest.bounds import Bounds
from tapeline.ingest.socket import open_socket


async def why_not(place: Place, *, clock: Clock, seconds: float = 4.0) -> str:
    """Open a venue's WebSocket and close it again; return why that failed, an empty text where it did not."""
    try:
        async with open_socket(place.exchange.venue.lower(), place.ws_url, Bounds(open=seconds), clock):
            return ""
    except VenueError as error:
        return str(error)
