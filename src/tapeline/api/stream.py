"""Streams: WebSocket ``/v1/stream``, server-sent events, and ``/ws/predictions`` of the reference systems."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request, WebSocket
from starlette.responses import StreamingResponse
from starlette.websockets import WebSocketDisconnect, WebSocketState
from websockets.frames import Frame, Opcode

from tapeline import wire
from tapeline.api import patterns
from tapeline.api.answers import problems
from tapeline.api.context import Context, context_of
from tapeline.api.params import known_parameters
from tapeline.api.security import has_token
from tapeline.errors import TapelineError, UsageError
from tapeline.hub import Hub
from tapeline.subscriber import CHANNELS, EVERY, Subscriber
from tapeline.types import Timeframe, check_instrument

router = APIRouter(tags=["streams"])
_SEQ = re.compile(r'\{"seq":(\d+),')
_MOST_ASKS = 100
_MOST_WAITING = 2_000
_KEEP_ALIVE = 15.0
_FRAMES = 16


class Ask(msgspec.Struct, frozen=True):
    """What a client says on the stream."""

    op: Literal["subscribe", "unsubscribe", "ping", "auth"]
    id: Any = None
    channels: list[str] = []
    instruments: list[str] = msgspec.field(default_factory=lambda: [EVERY])
    timeframes: list[str] = []
    resume: int | None = None
    epoch: str = ""
    token: str = ""


_ASK = msgspec.json.Decoder(Ask)


@router.websocket("/v1/stream")
async def stream(socket: WebSocket) -> None:
    """Subscribe and unsubscribe by channel, instrument and timeframe; snapshots, then updates."""
    shared = context_of(socket)
    await socket.accept()
    async with _sending(socket, shared.hub) as subscriber:
        conversation = Conversation(shared, subscriber, trusted=_trusted(socket))
        await _listen(socket, subscriber, conversation.take)


@router.websocket("/ws/predictions")
async def ws_predictions(socket: WebSocket) -> None:
    """Tell every prediction as it is made, one JSON object a message."""
    shared = context_of(socket)
    if not _trusted(socket):
        await socket.close(1008, "the token is missing")
        return
    await socket.accept()
    async with _sending(socket, shared.hub, _plain_predictions) as subscriber:
        shared.hub.subscribe(subscriber, ["predictions"])
        await _listen(socket, subscriber, lambda text: None)


def _plain_predictions(text: str) -> list[str]:
    told = msgspec.json.decode(text)
    if told.get("channel") != "predictions":
        return []
    return [wire.encode({"symbol": row["instrument"], **_direction(row), **row}).decode() for row in told["data"]]


def _direction(row: dict[str, Any]) -> dict[str, Any]:
    """Return direction and label of a prediction, in the words of the reference system."""
    said = row["value"] if row["p_up"] is None else row["p_up"] - 0.5
    direction = 0 if not said else 1 if said > 0 else -1
    return {"direction": direction, "label": ("down", "neutral", "up")[direction + 1]}


def _trusted(socket: WebSocket) -> bool:
    return bool(socket.scope.get("state", {}).get("trusted"))


class Conversation:
    """One client of ``/v1/stream``: what it says, and what it is answered."""

    def __init__(self, shared: Context, subscriber: Subscriber, *, trusted: bool) -> None:
        self._shared = shared
        self._subscriber = subscriber
        self._trusted = trusted

    def take(self, text: str) -> None:
        """Take one message; what is wrong with it is told, and the conversation goes on."""
        try:
            ask = _ASK.decode(text)
            self._answer(ask)
        except msgspec.MsgspecError as error:
            rule = "a JSON object with op subscribe, unsubscribe, ping or auth"
            self._tell_error(UsageError("stream", f"cannot be read: {error}", expected=rule, was=text[:60]), None)
        except TapelineError as error:
            self._tell_error(error, msgspec.json.decode(text).get("id"))

    def _answer(self, ask: Ask) -> None:
        if ask.op == "auth":
            self._trusted = self._trusted or has_token(ask.token, self._shared.settings)
        if not self._trusted:
            step = 'send {"op":"auth","token":"..."} first'
            raise UsageError("stream", "the token is missing or wrong", next_step=step)
        if ask.op == "subscribe":
            self._subscribe(ask)
        elif ask.op == "unsubscribe":
            self._subscriber.wants.remove(ask.channels or CHANNELS, ask.instruments)
            self._subscriber.tell({"op": "unsubscribed", "id": ask.id})
        else:
            self._subscriber.tell({"op": "pong" if ask.op == "ping" else "welcome", "id": ask.id})

    def _subscribe(self, ask: Ask) -> None:
        if not ask.channels:
            raise UsageError("stream", "names no channel", expected=f"one of {', '.join(CHANNELS)}", was="none")
        resume = None if ask.resume is None else (ask.epoch, ask.resume)
        self._shared.hub.subscribe(
            self._subscriber,
            ask.channels,
            _instruments(ask.instruments),
            [str(Timeframe.parse(name)) for name in ask.timeframes],
            resume=resume,
            answer={"id": ask.id, "channels": ask.channels, "instruments": ask.instruments},
        )

    def _tell_error(self, error: TapelineError, id: Any) -> None:
        self._subscriber.tell({"op": "error", "id": id, "detail": str(error), "where": error.where})


def _instruments(names: list[str]) -> list[str]:
    return [name if name == EVERY else check_instrument(name) for name in names]


@asynccontextmanager
async def _sending(
    socket: WebSocket, hub: Hub, change: Callable[[str], list[str]] = lambda text: [text]
) -> AsyncIterator[Subscriber]:
    """Give a subscriber inside, and send all it is told."""
    subscriber = hub.subscriber()
    sender = asyncio.create_task(_send(socket, subscriber, change))
    try:
        yield subscriber
    finally:
        hub.leave(subscriber)
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)


@lru_cache(maxsize=_FRAMES)
def framed(text: str) -> bytes:
    """Return a text as a WebSocket frame, made once where many are sent the same one after the other."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


async def _send(socket: WebSocket, subscriber: Subscriber, change: Callable[[str], list[str]]) -> None:
    while not subscriber.closed:
        for text in await subscriber.take():
            for changed in change(text):
                await socket.send({"type": "websocket.send", "text": changed, "frame": framed(changed)})
    if socket.client_state is WebSocketState.CONNECTED:
        await socket.close(1001, "the process stops")


async def _listen(socket: WebSocket, subscriber: Subscriber, take: Callable[[str], None]) -> None:
    """Hand on what a client says, until it leaves or says too much."""
    loop = asyncio.get_running_loop()
    begun, asks = loop.time(), 0
    while True:
        try:
            message = await socket.receive()
        except (WebSocketDisconnect, RuntimeError):
            return
        if message["type"] == "websocket.disconnect":
            return
        if loop.time() - begun > 1.0:
            begun, asks = loop.time(), 0
        asks += 1
        if asks > _MOST_ASKS or subscriber.waiting > _MOST_WAITING:
            await socket.close(1008, f"more than {_MOST_ASKS} messages a second, or answers that nobody takes")
            return
        take(message.get("text") or (message.get("bytes") or b"").decode("utf-8", "replace"))


@router.get(
    "/v1/stream/sse",
    dependencies=[Depends(known_parameters)],
    response_class=StreamingResponse,
    responses={
        200: {"description": "Events without end", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
        **problems(400, 422, 429),
    },
)
async def sse(
    request: Request,
    channels: Annotated[
        str, Query(pattern=patterns.NAMES, max_length=200, description="Channels, with commas between.")
    ],
    instruments: Annotated[
        str, Query(pattern=patterns.NAMES, max_length=4000, description="Instruments, or *.")
    ] = EVERY,
    timeframes: Annotated[str | None, Query(pattern=patterns.NAMES, max_length=200)] = None,
    last_event_id: Annotated[str | None, Header(max_length=64)] = None,
) -> StreamingResponse:
    """Give the same stream as server-sent events; ``Last-Event-ID`` resumes it."""
    hub = context_of(request).hub
    subscriber = hub.subscriber()
    epoch, _, seq = (last_event_id or "").rpartition("-")
    try:
        hub.subscribe(
            subscriber,
            channels.split(","),
            _instruments(instruments.split(",")),
            [str(Timeframe.parse(name)) for name in timeframes.split(",")] if timeframes else [],
            resume=(epoch, int(seq)) if seq.isdecimal() else None,
        )
    except TapelineError:
        hub.leave(subscriber)
        raise
    return StreamingResponse(
        _events(hub, subscriber), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


async def _events(hub: Hub, subscriber: Subscriber) -> AsyncIterator[str]:
    try:
        while not subscriber.closed:
            try:
                async with asyncio.timeout(_KEEP_ALIVE):
                    texts = await subscriber.take()
            except TimeoutError:
                yield ": still here\n\n"
                continue
            yield "".join(_event(hub.epoch, text) for text in texts)
    finally:
        hub.leave(subscriber)


def _event(epoch: str, text: str) -> str:
    found = _SEQ.match(text)
    return f"id: {epoch}-{found[1]}\ndata: {text}\n\n" if found else f"data: {text}\n\n"
