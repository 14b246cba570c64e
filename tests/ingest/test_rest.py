"""REST: retries, limits on size and time, and walks that lead nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from random import Random

import httpx
import pytest
from tests.ingest.fakes import BOUNDS, FakeKraken, place

from tapeline.clock import SECOND
from tapeline.errors import VenueBusy, VenueRefused
from tapeline.exchanges.base import Request, Walk
from tapeline.ingest.bounds import Bounds
from tapeline.ingest.prompt import Prompt
from tapeline.ingest.rest import Rest, Shown, unnoticed

Answer = Callable[[httpx.Request], httpx.Response]
ASK = Request("/0/public/Trades", {"pair": "XBTUSD", "since": "0"})
GOOD = b'{"error":[],"result":{"XBTUSD":[],"last":"0"}}'


class Body(httpx.AsyncByteStream):
    """Parts of a body; an error in the place of one."""

    def __init__(self, *parts: bytes | Exception) -> None:
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            if isinstance(part, Exception):
                raise part
            yield part


def _rest(answer: Answer, bounds: Bounds = BOUNDS, shown: Shown = unnoticed) -> Rest:
    fake, client = FakeKraken(), httpx.AsyncClient(transport=httpx.MockTransport(answer))
    fake.url = "venue.invalid"
    return Rest(place(fake), bounds=bounds, random=Random(1), client=client, shown=shown)


async def test_trouble_that_passes_is_waited_out() -> None:
    answers = iter([httpx.Response(503), httpx.Response(200, content=GOOD)])
    rest = _rest(lambda request: next(answers))
    assert (await rest.get(ASK)).body == GOOD
    assert rest.requests == 2


TROUBLE: dict[str, tuple[Answer, str]] = {
    "refused connection": (lambda request: _raise(httpx.ConnectError("no route")), "no route"),
    "timeout": (lambda request: _raise(httpx.ReadTimeout("")), "no answer in 1 s"),
    "broken off": (
        lambda request: httpx.Response(200, stream=Body(b"{", httpx.RemoteProtocolError("closed early"))),
        "closed early",
    ),
    "too large": (
        lambda request: httpx.Response(200, stream=Body(*[b"x" * 600] * 2)),
        "too large: expected at most 1000",
    ),
    "html": (lambda request: httpx.Response(200, content=b"<html>"), "no whole JSON document"),
}


def _raise(error: Exception) -> httpx.Response:
    raise error


@pytest.mark.parametrize(("answer", "says"), TROUBLE.values(), ids=TROUBLE)
async def test_trouble_that_stays_is_told_after_all_tries(answer: Answer, says: str) -> None:
    rest = _rest(answer, replace(BOUNDS, body_bytes=1000))
    with pytest.raises(VenueBusy, match=says):
        await rest.get(ASK)
    assert rest.requests == BOUNDS.tries


async def test_an_answer_that_never_comes_is_waited_for_about_as_long_as_the_last_ones_took() -> None:
    """Otherwise one lost answer costs as much as a hundred that come; a test that waits for an hour does not end."""
    asked = 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        if asked in {2, 3}:
            await asyncio.Event().wait()
        return httpx.Response(200, content=GOOD)

    fake, client = FakeKraken(), httpx.AsyncClient(transport=httpx.MockTransport(answer))
    fake.url = "venue.invalid"
    rest = Rest(place(fake), bounds=replace(BOUNDS, prompt=0.01, rest=3600.0, tries=3), random=Random(1), client=client)
    assert (await rest.get(ASK)).body == GOOD
    assert (await rest.get(ASK)).body == GOOD
    assert asked == 4


def test_the_wait_for_an_answer_follows_the_answers() -> None:
    """RFC 6298, section 2, by hand: mean 1/8, deviation 1/4, four deviations, doubled until one comes."""
    wait = Prompt(Bounds(prompt=0.1, rest=60.0))
    assert wait.seconds == 60.0
    wait.silent()
    assert wait.seconds == 60.0, "what was never answered has no usual time"
    wait.answered(1.0)
    assert wait.seconds == 3.0
    wait.answered(2.0)
    assert wait.seconds == 1.125 + 4 * 0.625
    for _ in range(200):
        wait.silent()
    assert wait.seconds == 60.0
    wait.answered(1.125)
    assert wait.seconds == 1.125 + 4 * 0.75 * 0.625
    for _ in range(200):
        wait.answered(0.01)
    assert wait.seconds == 0.1


async def test_what_is_refused_is_not_asked_again() -> None:
    rest = _rest(lambda request: httpx.Response(404, content=b"{}"))
    with pytest.raises(VenueRefused, match="404"):
        await rest.get(ASK)
    assert rest.requests == 1


async def test_a_walk_that_leads_nowhere_ends() -> None:
    def walk() -> Walk:
        while True:
            yield ASK

    rest = _rest(lambda request: httpx.Response(200, content=GOOD))
    with pytest.raises(VenueBusy, match="led nowhere"):
        await anext(rest.pages(walk()))
    assert rest.requests == 200


@pytest.mark.parametrize(
    ("date", "told"),
    [("Sun, 06 Nov 1994 08:49:37 GMT", [784_111_777 * SECOND]), ("soon", []), ("", []), ("Fri, 99 Nov 9999 GMT", [])],
)
async def test_an_answer_shows_the_time_of_the_venue(date: str, told: list[int]) -> None:
    shown: list[int] = []
    rest = _rest(lambda request: httpx.Response(200, headers={"Date": date}, content=GOOD), shown=shown.append)
    await rest.get(ASK)
    assert shown == told


async def test_a_venue_that_stays_closed_is_not_waited_for() -> None:
    rest = _rest(
        lambda request: httpx.Response(429, headers={"Retry-After": "7200"}), replace(BOUNDS, gap_timeout=60.0)
    )
    with pytest.raises(VenueBusy, match=r"asks us to stay away: expected at most 60 s"):
        await rest.get(ASK)
    assert rest.requests == 1
