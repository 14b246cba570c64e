"""What the tests of simulated venues share: tapes, sessions, and what they say."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tapeline.clock import HOUR
from tapeline.recordings.base import open_recording
from tapeline.simulator.market import JANUARY_2024
from tapeline.simulator.sources import MarketSource, decimals_of
from tapeline.simulator.tape import Listing, Tape
from tapeline.simulator.venue import Out, Request, Session, Venue
from tapeline.types import Frame

NOW = JANUARY_2024


def tapes(kind: type[Venue], *instruments: str, rate: float = 1.0, history: int = HOUR) -> dict[str, Tape]:
    """Return tapes with an hour of trades before ``NOW``, or so many ns of them."""
    made = {}
    for name in instruments:
        source = MarketSource(name, 1, now=NOW, history=history, rate=rate, resolution=kind.resolution)
        made[name] = Tape(source.listing)
        made[name].append(source.until(NOW))
    return made


def recorded(path: Path, instrument: str) -> Tape:
    """Return a tape of what a recording holds of an instrument, at its own times."""
    chunks = open_recording(path).chunks()
    whole = Frame.concat([frame for chunk in chunks for frame in chunk.frames if frame.instrument == instrument])
    base, _, quote = instrument.rpartition(".")[0].partition("-")
    tape = Tape(Listing(instrument, base, quote, decimals_of(whole.price), decimals_of(whole.qty)))
    tape.append(whole)
    return tape


def opened(venue: Venue, path: str, now: int = NOW, **params: str) -> Session:
    """Return a new session, which the venue knows of as of any that a server opened."""
    session = venue.open(Request(path, params), len(venue.sessions) + 1, now)
    assert isinstance(session, Session)
    venue.sessions.append(session)
    return session


def read(outs: Iterable[Out]) -> list[Any]:
    """Return the messages among what a session sends."""
    return [json.loads(out) for out in outs if isinstance(out, bytes)]


def said(session: Session, message: Mapping[str, Any], now: int = NOW) -> list[Any]:
    """Return what a session answers to a message."""
    return read(session.received(json.dumps(message).encode(), now))


def asked(
    venue: Venue, path: str, params: Mapping[str, object] | None = None, *, headers: Mapping[str, str] | None = None
) -> tuple[int, Any, Mapping[str, str]]:
    """Return status, document and headers of a REST answer."""
    texts = {name: str(value) for name, value in (params or {}).items()}
    response = venue.rest(Request(path, texts, headers or {}), venue.tapes, NOW)
    return response.status, json.loads(response.body), response.headers
