"""One connected socket, from login to its end: subscribe, prove each symbol, follow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from random import Random

from tapeline.clock import Clock
from tapeline.errors import VenueBusy
from tapeline.ingest.base import Delivery, Place, Source, Standing, State, Status, count_kinds
from tapeline.ingest.bounds import Bounds
from tapeline.ingest.heal import Healer
from tapeline.ingest.hearing import Heard, Hearing
from tapeline.ingest.holding import Holding
from tapeline.ingest.letters import Letters
from tapeline.ingest.limits import Allowance
from tapeline.ingest.proving import Proving
from tapeline.ingest.sieve import Sieve
from tapeline.ingest.skew import Skew
from tapeline.ingest.socket import Received, Socket
from tapeline.types import DeadLetter


@dataclass(frozen=True, slots=True)
class Tools:
    """What all sessions of a connection use."""

    place: Place
    holding: Holding
    status: Status
    bounds: Bounds
    clock: Clock
    random: Random
    sieve: Sieve
    skew: Skew
    letters: Letters


class Session:
    """Follow instruments over one socket until it ends.

    Args:
        tools: of the connection.
        socket: connected.
        healer: brings what was missed.
    """

    def __init__(self, tools: Tools, socket: Socket, healer: Healer) -> None:
        self._tools = tools
        self._status = tools.status
        self._feed = tools.place.feed
        self._where = f"{tools.place.venue.lower()} connection {tools.status.connection}"
        self._socket = socket
        self._healer = healer
        self._messages = Allowance(self._feed.limits.messages)
        self._hearing = Hearing(tools.place, tools.status.instruments)
        self._proving = Proving(tools.place, tools.status, self._where)
        self._spoken = _now()
        self._is_heir = False
        self._end_told = ""
        self._leaving: int | None = None
        self._left = asyncio.Event()
        self.on_end_told: Callable[[], None] = lambda: None

    async def run(self, standings: Sequence[Standing]) -> None:
        """Go through all states; it ends by an error, or when an heir has taken over.

        Raises:
            VenueBusy: the connection ended, was silent, or did not answer.
            VenueRefused: the venue does not take the key, or any of the instruments.
            StoreUnavailable: nothing can be kept now.
        """
        late = [one for one in standings if one.trade_id is None or not self._feed.contiguous]
        for standing in standings:
            self._tools.sieve.start(standing)
        for standing in late:
            self._tools.holding.hold(standing.instrument)
        await self._login()
        await self._subscribe()
        refused = self._status.refused
        for standing in late:
            if standing.instrument not in refused:
                self._healer.begin(standing.instrument)
        self._healer.heal(one.instrument for one in standings if one.missing and one.instrument not in refused)
        self._doubt()
        await self._follow_on()

    async def take_over(self, before: Session) -> None:
        """Follow from where another session is, which ends when all that it was told until now was heard there.

        Raises:
            VenueError: as in `run`.
            StoreUnavailable: nothing can be kept now.
        """
        self._is_heir = True
        await self._login()
        await self._subscribe()
        await before.leave()
        self._is_heir = False
        await self._follow_on()

    @property
    def left(self) -> bool:
        """Return whether an heir has taken over."""
        return self._left.is_set()

    async def leave(self) -> None:
        """End as soon as all was heard that the venue has said by now."""
        self._leaving = self._tools.clock.now()
        await self._left.wait()

    async def _grow_old(self) -> None:
        """Ask for an heir before the venue closes the connection for its age."""
        if self._feed.lifetime:
            await asyncio.sleep(self._feed.lifetime * self._tools.random.uniform(0.95, 0.99))
            self._tell_end("it may not become older")

    def helpers(self) -> list[Coroutine[object, object, None]]:
        """Return what is to run beside `run` or `take_over`."""
        return [self._keep_alive(), self._prove(), self._grow_old()]

    async def _keep_alive(self) -> None:
        """Send the feed's own message of life, where it has one."""
        while self._feed.keepalive:
            await asyncio.sleep(self._feed.keepalive_every)
            await self._send(self._feed.keepalive)

    async def _prove(self) -> None:
        """Ask the venue for a sign of life, again and again: what was said before it has then been heard."""
        while True:
            await asyncio.sleep(self._tools.bounds.proof)
            await self._messages.take()
            await self._socket.ask()

    def enter(self, state: State, reason: str = "") -> None:
        """Note a state, since when, and why; an heir's are not shown until it takes over."""
        if not self._is_heir:
            enter(self._status, state, reason, self._tools.clock.now())

    def _show(self) -> None:
        self.enter(State.HEALING if self._healer.busy else State.LIVE, self._end_told)

    async def _login(self) -> None:
        if self._feed.login is None:
            return
        self.enter(State.SUBSCRIBING, "logging in")
        await self._send(self._feed.login(self._tools.place.key))
        deadline = _now() + self._tools.bounds.answer
        try:
            while not self._proving.authorised:
                await self._read(deadline - _now())
        except TimeoutError as error:
            raise self._silent("a login", self._tools.bounds.answer) from error

    async def _subscribe(self) -> None:
        """Subscribe until each instrument is proven, by an answer or a trade, or refused."""
        self.enter(State.SUBSCRIBING)
        if not self._is_heir:
            self._status.refused.clear()
        self._proving.unproven = set(self._proving.accepted)
        while self._proving.unproven:
            for message in self._feed.subscribe(self._proving.ask()):
                await self._send(message)
            await self._answers()
        self._proving.check()

    async def _answers(self) -> None:
        seconds = self._tools.bounds.answer
        deadline = _now() + seconds
        try:
            while self._proving.unproven and not self._proving.ask_again:
                await self._read(deadline - _now())
        except TimeoutError as error:
            if not self._proving.silent(seconds):
                raise self._silent("a subscription", seconds) from error

    async def _follow_on(self) -> None:
        self._healer.rested = self._show
        while self._leaving is None or self._socket.heard is None or self._socket.heard < self._leaving:
            self._show()
            await self._follow()
        self._left.set()

    async def _follow(self) -> None:
        try:
            await self._read(self._spoken + self._feed.silence - _now())
        except TimeoutError as error:
            self.enter(State.STALE, f"silent for {self._feed.silence:g} s")
            raise self._silent("anything", self._feed.silence) from error
        if self._socket.heard is not None:
            self._healer.heard(self._proving.accepted, self._tools.clock.now() - self._socket.heard)

    def _silent(self, what: str, seconds: float) -> VenueBusy:
        return VenueBusy(self._where, f"did not answer {what} in {seconds:g} s", next_step="reconnecting")

    async def _send(self, message: bytes) -> None:
        await self._messages.take()
        await self._socket.send(message)

    async def _read(self, seconds: float) -> None:
        """Take all messages that are here, once those taken before are committed."""
        await self._tools.holding.drained()
        received = await self._socket.batch(max(seconds, 0.0))
        if received:
            self._spoken = _now()
            await self._take(received)

    async def _take(self, received: Sequence[Received]) -> None:
        self._status.messages += len(received)
        self._status.last_message = received[-1].ts_init
        if (plain := self._hearing.plain(received)) is not None:
            frames = plain.frames
            self._count_trades(sum(map(len, frames)), max(int(frame.ts_event.max()) for frame in frames))
            await self._deliver(plain)
            return
        heard = self._hearing.hear(received)
        self._count(heard)
        for delivery in self._hearing.deliveries(heard, received[0].ts_init):
            await self._deliver(delivery)
        for ack in heard.acks:
            self._proving.answered(ack)
        if heard.lost:
            self._doubt()
        if heard.goodbye:
            self._tell_end(f"the venue said that it closes ({heard.goodbye})")

    def _tell_end(self, reason: str) -> None:
        """Say once that the connection will end soon."""
        if not self._end_told:
            self._end_told = f"{reason}; another connection takes its place"
            self.on_end_told()

    async def _deliver(self, delivery: Delivery) -> None:
        """Pass trades on, then look at what their ids tell."""
        frames, letters, plain = [], list(delivery.dead), {}
        for frame in delivery.frames:
            self._proving.traded(frame.instrument)
            good, dead, gap = self._tools.sieve.sift(frame) if self._feed.contiguous else (frame, [], False)
            letters += dead
            plain[frame.instrument] = not gap
            if len(good):
                frames.append(good)
                if delivery.source is Source.LIVE:
                    self._tools.skew.take(good)
        kept = self._kept(letters) if letters else []
        if letters or len(frames) < len(delivery.frames):
            delivery = replace(delivery, frames=tuple(frames), dead=tuple(kept))
        full = await self._tools.holding.take(delivery)
        for name in full:
            self._status.notes[name] = "too many live trades came while the past was fetched: they came first"
        self._status.skew = self._tools.skew.value
        for frame in frames:
            self._healer.saw(frame, plain=plain[frame.instrument])
        if letters:
            self._doubt()

    def _kept(self, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
        """Return the dead letters for which there is room, and count the others."""
        kept = self._tools.letters.keep(letters, _now())
        if len(kept) < len(letters):
            count_kinds(self._status.ignored, {"deadLetterNotKept": len(letters) - len(kept)})
        return kept

    def _doubt(self) -> None:
        self._healer.doubt(self._proving.accepted)

    def _count(self, heard: Heard) -> None:
        status = self._status
        status.malformed += heard.malformed
        status.lost_messages += heard.lost
        count_kinds(status.ignored, heard.ignored)
        if heard.trades:
            self._count_trades(len(heard.trades), max(trade.raw.ts_event for trade in heard.trades))

    def _count_trades(self, count: int, newest: int) -> None:
        self._status.trades += count
        self._status.last_trade = newest


def enter(status: Status, state: State, reason: str, now: int) -> None:
    """Note a state, since when (ns UTC), and why."""
    if state is not status.state or reason != status.reason:
        status.state, status.reason, status.since = state, reason, now


def _now() -> float:
    return asyncio.get_running_loop().time()
