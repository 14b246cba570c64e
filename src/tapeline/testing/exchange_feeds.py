"""The part of the suite of exchanges that is about live feeds: addresses, limits, walks through the past, answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import cycle
from typing import Any

from tapeline.errors import InputError, VenueBusy, VenueError, VenueRefused
from tapeline.exchanges.base import Exchange, Feed, Page, Request, Response, Span, Walk
from tapeline.types import check_instrument, venue_of

__all__ = ["CHECKS", "walk_problems", "walked"]

_STEPS = 500
_START = 1_762_795_433_000_000_000
_SPANS = (Span(_START, _START + 10**12), Span(_START, _START + 10**12, 1000, 2000), Span(0, 10**9, 7, 7))


def walked(walk: Walk, answer: Callable[[Request], Response], steps: int = 1000) -> tuple[list[Request], list[Page]]:
    """Drive a walk through a venue's past as ingest does, and return its requests and pages.

    Raises:
        AssertionError: it has not ended after so many requests and pages.
    """
    requests: list[Request] = []
    pages: list[Page] = []
    response: Response | None = None
    for _ in range(steps):
        try:
            asked = walk.send(response)
        except StopIteration:
            return requests, pages
        if isinstance(asked, Page):
            pages.append(asked)
            response = None
        else:
            requests.append(asked)
            response = answer(asked)
    raise AssertionError(f"the walk has not ended after {steps} steps")


def check_feeds(exchange: Exchange, bodies: Sequence[bytes]) -> list[str]:
    """Feeds have names of their own, addresses, limits, and instruments of the venue that they can ask for."""
    problems = [] if exchange.feeds else ["has no feed"]
    names = [feed.name for feed in exchange.feeds]
    problems += [f"two feeds are called {name}" for name in sorted({one for one in names if names.count(one) > 1})]
    return problems + [f"{feed.name}: {text}" for feed in exchange.feeds for text in _feed_faults(exchange, feed)]


def check_walks(exchange: Exchange, bodies: Sequence[bytes]) -> list[str]:
    """A walk ends whatever is answered: one body for ever, bodies in turn, empty ones; its pages ascend."""
    empty = [json.dumps(_emptied(json.loads(body))).encode() for body in bodies]
    answers = [*([body] for body in bodies), list(bodies), empty, [*empty, *bodies], [b"{}"], [b"[]"], [b"null"]]
    return [problem for one in answers for problem in walk_problems(exchange, one)]


def check_answers(exchange: Exchange, bodies: Sequence[bytes]) -> list[str]:
    """An answer is taken, may come later, or never will, by its status and its body."""
    wait = {"retry-after": "30"}
    expected: list[tuple[type[VenueError] | None, Response]] = [
        *((None, Response(200, {}, body)) for body in bodies),
        *((VenueBusy, Response(200, {}, body[: len(body) // 2])) for body in bodies),
        *((VenueBusy, Response(status, wait, b"<html>later</html>")) for status in (429, 500, 502, 503)),
        *((VenueBusy, Response(status, wait, b"{}")) for status in (429, 500, 503)),
        (VenueBusy, Response(200, {}, b"<!DOCTYPE html><title>Sign in</title>")),
        (VenueBusy, Response(200, {}, b"")),
        (VenueRefused, Response(404, {}, b"{}")),
        (VenueRefused, Response(401, {}, b"{}")),
    ]
    problems = []
    for kind, response in expected:
        told = _verdict(exchange, response)
        if type(told) is not (kind or type(None)):
            found = f"{response.status} {response.body[:40]!r}"
            problems.append(f"{found}: expected {kind.__name__ if kind else 'no error'}, was {told!r}")
        elif isinstance(told, VenueBusy) and response.headers and told.retry_after != 30:
            problems.append(f"{response.status}: the 30 s of Retry-After became {told.retry_after}")
    return problems


CHECKS: tuple[Callable[[Exchange, Sequence[bytes]], list[str]], ...] = (check_feeds, check_walks, check_answers)


def walk_problems(exchange: Exchange, answers: Sequence[bytes]) -> list[str]:
    """Walk all feeds over several spans with these answers in turn; an answer that cannot be read may end a walk."""
    return [
        f"{feed.name}: {problem}"
        for feed in exchange.feeds
        for span in _SPANS
        if feed.history is not None and feed.instruments
        for problem in _walk_faults(feed, feed.history(feed.instruments[0], span), span, answers)
    ]


def _walk_faults(feed: Feed, walk: Walk, span: Span, answers: Sequence[bytes]) -> list[str]:
    turn = cycle(answers)
    requests: list[Request] = []

    def answer(request: Request) -> Response:
        requests.append(request)
        return Response(200, {}, next(turn))

    pages: list[Page] = []
    try:
        with suppress(InputError):
            _, pages = walked(walk, answer, _STEPS)
    except AssertionError as error:
        return [str(error)]
    return [*_request_faults(requests), *_page_faults(feed, span, pages)]


def _request_faults(requests: Sequence[Request]) -> Iterator[str]:
    for request in requests:
        if not request.path.startswith("/") or "?" in request.path:
            yield f"a request has the path {request.path!r}"
        if not all(isinstance(text, str) for text in (*request.params, *request.params.values())):
            yield f"a request has params that are no texts: {dict(request.params)}"
        if request.weight <= 0:
            yield "a request has no weight"


def _page_faults(feed: Feed, span: Span, pages: Sequence[Page]) -> Iterator[str]:
    trades = [trade for page in pages for trade in page.trades]
    ids = [trade.trade_id for trade in trades]
    if feed.contiguous and any(one is None for one in ids):
        yield "a trade has no id"
    elif feed.contiguous and ids != sorted(set(ids), key=lambda one: one or 0):
        yield "ids do not ascend, or come twice"
    if feed.contiguous and span.first_id is not None and span.last_id is not None:
        if any(not span.first_id <= (one or 0) <= span.last_id for one in ids):
            yield "a page holds ids that are not of the span"
    elif any(not span.start <= trade.ts_event < span.end for trade in trades):
        yield "a page holds trades that are not of the span"


def _feed_faults(exchange: Exchange, feed: Feed) -> Iterator[str]:
    if not feed.ws_url.startswith("wss://") or not feed.rest_url.startswith("https://"):
        yield f"is not reached over TLS: {feed.ws_url}, {feed.rest_url}"
    limits = (feed.limits.connects, feed.limits.messages, feed.limits.requests)
    if min(min(one) for one in limits) <= 0 or feed.silence <= 0 or feed.max_instruments < 1:
        yield "has a limit that lets nothing through"
    if bool(feed.keepalive) != (feed.keepalive_every > 0):
        yield "has a keepalive without its time, or a time without a keepalive"
    if not feed.instruments:
        yield "names no instruments that are followed by default"
    for name in feed.instruments:
        if venue_of(check_instrument(name)) != exchange.venue:
            yield f"{name} is not of {exchange.venue}"
        asked = b"".join(feed.subscribe([name])).decode().replace("\\/", "/")
        if exchange.symbol(name).lower() not in asked.lower():
            yield f"{name} is not in what is sent: {asked}"


def _verdict(exchange: Exchange, response: Response) -> VenueError | None:
    try:
        exchange.check(response)
    except VenueError as error:
        return error
    return None


def _emptied(value: Any) -> Any:
    """Return a body without rows: all its lists are empty."""
    if isinstance(value, dict):
        return {key: _emptied(one) for key, one in value.items()}
    return [] if isinstance(value, list) else value
