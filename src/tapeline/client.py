"""The typed client of ``/v1`` for programs in another process, sync and async.

``Client("http://127.0.0.1:8787").ask(questions.candles("BTC-USD.SIM"))`` returns a `Page` of `wire.Candle`; ``pages``
follows its cursor. What can be asked stands in `tapeline.questions`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec

from tapeline.documents import Page, Problem
from tapeline.errors import StoreUnavailable, TapelineError, UnknownName, UsageError
from tapeline.questions import Document, Question

T = TypeVar("T")
Row = TypeVar("Row")
_BUSY = (429, 503)


class _Base:
    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def _request(self, question: Question[Any]) -> dict[str, Any]:
        return {
            "method": question.method,
            "url": self.url + question.path,
            "params": dict(question.asked),
            "json": question.body,
            "headers": self._headers,
        }

    def _unreachable(self, error: httpx.TransportError) -> StoreUnavailable:
        step = "start it with tapeline up or tapeline serve"
        return StoreUnavailable(f"process {self.url}", f"does not answer ({type(error).__name__})", next_step=step)


class Client(_Base):
    """Ask a process, and wait for its answer.

    Args:
        url: such as ``http://127.0.0.1:8787``.
        token: what writes, and any use from another machine, must show.
        seconds: how long an answer may take.
    """

    def __init__(self, url: str = "http://127.0.0.1:8787", *, token: str = "", seconds: float = 30.0) -> None:
        super().__init__(url, token)
        self._http = httpx.Client(timeout=seconds, trust_env=False)

    def ask(self, question: Question[T]) -> T:
        """Return the answer.

        Raises:
            UnknownName: the process knows no such name.
            UsageError: it refuses the question.
            StoreUnavailable: it does not answer, or cannot now.
        """
        try:
            answer = self._http.request(**self._request(question))
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        return read(answer, question)

    def pages(self, question: Question[Page[Row]]) -> Iterator[Page[Row]]:
        """Yield the page asked for, then those before it."""
        following: Question[Page[Row]] | None = question
        while following is not None:
            page = self.ask(following)
            yield page
            following = _before(question, page)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()


class AsyncClient(_Base):
    """Ask a process without blocking the loop; arguments and errors are those of `Client`."""

    def __init__(self, url: str = "http://127.0.0.1:8787", *, token: str = "", seconds: float = 30.0) -> None:
        super().__init__(url, token)
        self._http = httpx.AsyncClient(timeout=seconds, trust_env=False)

    async def ask(self, question: Question[T]) -> T:
        """Return the answer."""
        try:
            answer = await self._http.request(**self._request(question))
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        return read(answer, question)

    async def pages(self, question: Question[Page[Row]]) -> AsyncIterator[Page[Row]]:
        """Yield the page asked for, then those before it."""
        following: Question[Page[Row]] | None = question
        while following is not None:
            page = await self.ask(following)
            yield page
            following = _before(question, page)

    @asynccontextmanager
    async def stream(
        self,
        channels: Sequence[str],
        instruments: Sequence[str] = ("*",),
        timeframes: Sequence[str] = (),
        *,
        resume: tuple[str, int] | None = None,
    ) -> AsyncIterator[AsyncIterator[Document]]:
        """Give the messages of ``/v1/stream`` as they come; ``resume`` is (epoch, seq) of what is known already."""
        from websockets.asyncio.client import connect

        ask: Document = {"op": "subscribe", "channels": channels, "instruments": instruments, "timeframes": timeframes}
        if resume is not None:
            ask |= {"epoch": resume[0], "resume": resume[1]}
        url = f"{self.url.replace('http', 'ws', 1)}/v1/stream"
        async with connect(url, additional_headers=self._headers, compression=None, max_size=None) as socket:
            await socket.send(msgspec.json.encode(ask).decode())
            yield (msgspec.json.decode(text) async for text in socket)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()


def _before(question: Question[Page[Row]], page: Page[Row]) -> Question[Page[Row]] | None:
    return replace(question, asked={**question.asked, "cursor": page.next}) if page.next else None


def read(answer: httpx.Response, question: Question[T]) -> T:
    """Return what an answer says, or raise the problem it tells."""
    if answer.is_success:
        document: T = msgspec.json.decode(answer.content, type=question.kind)
        return document
    raise error_of(answer)


def error_of(answer: httpx.Response) -> TapelineError:
    """Return the error that a problem document tells."""
    try:
        problem = msgspec.json.decode(answer.content, type=Problem)
    except msgspec.MsgspecError:
        problem = Problem(answer.reason_phrase, answer.status_code, f"answered {answer.status_code}")
    kind: type[TapelineError] = UnknownName if problem.status == 404 else UsageError
    if problem.status in _BUSY:
        kind = StoreUnavailable
    what = problem.detail.removeprefix(f"{problem.where}: ").partition(": expected ")[0].partition("; ")[0]
    return kind(
        problem.where or "process",
        what,
        expected=problem.expected or None,
        was=problem.was,
        next_step=problem.next_step or None,
    )
