"""REST of one venue: within its limits, with timeouts, a bound on size, and retries where they may help."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from math import inf
from random import Random

import httpx

from tapeline.clock import SECOND
from tapeline.errors import VenueBusy
from tapeline.exchanges.base import Page, Request, Response, Walk
from tapeline.ingest.base import Place
from tapeline.ingest.bounds import Backoff, Bounds
from tapeline.ingest.limits import Allowance
from tapeline.ingest.prompt import Prompt

_IDLE = 200
"""So many answers in a row without a trade end a walk: it leads nowhere."""

Asking = Callable[[], None]
"""Is told when a request is let through by the venue's limits."""

Shown = Callable[[int], None]
"""Is told what the venue's own clock shows, by whole seconds, ns UTC."""


def unnoticed(*said: object) -> None:
    """Do nothing."""


class Rest:
    """Ask a venue, as often as all that share this may.

    Attributes:
        requests: how many were made.
    """

    def __init__(
        self, place: Place, *, bounds: Bounds, random: Random, client: httpx.AsyncClient, shown: Shown = unnoticed
    ) -> None:
        self.requests = 0
        self._shown = shown
        self._place = place
        self._where = f"{place.venue.lower()} REST"
        self._bounds = bounds
        self._random = random
        self._client = client
        self._prompt = Prompt(bounds)
        self._allowance = Allowance(place.feed.limits.requests)
        authorise = place.feed.authorise
        self._headers = dict(authorise(place.key)) if authorise and place.key else {}

    async def get(self, request: Request, *, urgent: bool = True, asking: Asking = unnoticed) -> Response:
        """Return a checked answer; ``asking`` is told when the first try begins.

        Raises:
            VenueBusy: none came in all tries; or the request is urgent, and the venue is closed for too long.
            VenueRefused: the venue will never answer this.
        """
        backoff = Backoff(self._bounds.backoff, self._bounds.backoff_cap, self._random)
        for tries_left in reversed(range(self._bounds.tries)):
            await self._admitted(request, urgent=urgent)
            if tries_left == self._bounds.tries - 1:
                asking()
            try:
                response = await self._fetch(request)
                self._place.exchange.check(response)
            except VenueBusy as busy:
                self._allowance.close(busy.retry_after)
                if not tries_left:
                    raise
                await asyncio.sleep(backoff.next())
            else:
                self._show_time(response)
                return response
        raise VenueBusy(self._where, "was not asked", expected="tries >= 1", was=self._bounds.tries)

    def _show_time(self, response: Response) -> None:
        with suppress(TypeError, ValueError, OverflowError):
            self._shown(round(parsedate_to_datetime(response.headers.get("date", "")).timestamp()) * SECOND)

    async def _admitted(self, request: Request, *, urgent: bool) -> None:
        longest = self._bounds.gap_timeout if urgent else inf
        try:
            await self._allowance.take(request.weight, urgent=urgent, longest=longest)
        except TimeoutError as error:
            rule = f"at most {longest:g} s"
            raise VenueBusy(self._where, "asks us to stay away", expected=rule, was="longer") from error

    async def _fetch(self, request: Request) -> Response:
        self.requests += 1
        url = self._place.rest_url.rstrip("/") + request.path
        headers, asked, wait = {**self._headers, **request.headers}, _now(), self._prompt.seconds
        try:
            async with (
                asyncio.timeout(wait),
                self._client.stream("GET", url, params=dict(request.params), headers=headers) as answer,
            ):
                body = await self._body(answer)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            shown = str(error)[:120] or f"no answer in {wait:.3g} s"
            if isinstance(error, TimeoutError):
                self._prompt.silent()
            raise VenueBusy(self._where, f"{request.path} cannot be had ({shown})", next_step="asking again") from error
        self._prompt.answered(_now() - asked)
        names = {name.lower(): value for name, value in answer.headers.items()}
        return Response(answer.status_code, names, body)

    async def _body(self, answer: httpx.Response) -> bytes:
        body = bytearray()
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > self._bounds.body_bytes:
                rule = f"at most {self._bounds.body_bytes} bytes"
                raise VenueBusy(self._where, "an answer is too large", expected=rule, was="more")
        return bytes(body)

    async def pages(self, walk: Walk, *, urgent: bool = True, asking: Asking = unnoticed) -> AsyncGenerator[Page, None]:
        """Go the way through a venue's past.

        Raises:
            VenueError: see `get`.
            InputError: an answer could not be read.
        """
        answer: Response | None = None
        idle = 0
        while idle < _IDLE:
            try:
                step = walk.send(answer)
            except StopIteration:
                return
            if isinstance(step, Page):
                answer, idle = None, 0 if step.trades or step.reached is not None else idle
                yield step
            else:
                answer, idle = await self.get(step, urgent=urgent, asking=asking), idle + 1
        raise VenueBusy(self._where, "led nowhere", expected="a trade in an answer", was=f"{idle} answers without any")


def _now() -> float:
    return asyncio.get_running_loop().time()


def new_client() -> httpx.AsyncClient:
    """Return a client for all venues of a process; how long an answer is waited for is told by who asks."""
    return httpx.AsyncClient(http2=False, follow_redirects=False, timeout=None)
