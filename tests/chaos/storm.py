"""Simulated venues with faults, the whole way into a database behind them, and what must be there afterwards.

Time at the venues is the storm's own: it goes on by itself, ``speed`` times as fast as the clock on the wall, and more
slowly on a machine that cannot keep up. What ingest waits for (answers, pauses between attempts) is real, but short.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr
from tests.chaos.tally import in_memory
from tests.chaos.truth import Stored, proven_wrong, unproven_wrong
from tests.ingest.fakes import BOUNDS, FREE

from tapeline.clock import SECOND, ManualClock
from tapeline.config import Settings, load_settings
from tapeline.errors import VenueBusy
from tapeline.exchanges.base import Limits, Response
from tapeline.ingest.base import Place, State, Status
from tapeline.ingest.bounds import Bounds
from tapeline.ingest.places import place_of
from tapeline.ingest.venues import Ingest
from tapeline.pipeline import Pipeline
from tapeline.recorder import layout_of
from tapeline.runners.embedded import open_database
from tapeline.runners.writer import Writer
from tapeline.simulator.faults import FAULTS, Faults, Per
from tapeline.simulator.market import JANUARY_2024
from tapeline.simulator.server import Server
from tapeline.simulator.sources import MarketSource, Source
from tapeline.simulator.tape import Tape
from tapeline.simulator.venue import find_venue
from tapeline.stores.duckdb import DuckDBStore
from tapeline.types import Frame
from tapeline.verify import verify

PAIRS = {"kraken": "BTC-USD", "coinbase": "BTC-USD", "binance": "BTC-USDT", "massive": "BTC-USD"}
STEP = SECOND // 10
SPEED = 5.0
QUICK = replace(BOUNDS, rest=0.5, answer=1.0, proof=0.05, backfill=10.0, gap_timeout=20.0)
LIES = frozenset({"restart-ids", "past-stamp"})
"""What nobody can tell from the truth where ids are not contiguous: there it is not told."""
_CALM = 3.0
_MEASURED = 10 * SECOND
_ROW = 7 * 8
"""Bytes that a true trade takes."""
_BAN = 1.0
"""Seconds for which a venue bans at most: not two minutes, as Binance does."""
_AT_LAST = frozenset({Per.SECOND, Per.BATCH, Per.MESSAGE})
_AT_FIRST = _AT_LAST | {Per.REQUEST}


class Spells(Faults):
    """Faults that begin and cease when told to, but for what is drawn once for a connection or a venue."""

    spared: Set[Per] = _AT_FIRST

    def strikes(self, name: str, now: int, **where: Any) -> bool:
        return FAULTS[name][0] not in self.spared and super().strikes(name, now, **where)


class Market:
    """A market that can be closed: nothing happens there any more."""

    def __init__(self, source: Source) -> None:
        self.listing = source.listing
        self.end: int | None = None
        self._source = source

    def until(self, now: int) -> Frame:
        return self._source.until(now if self.end is None else min(now, self.end))


@dataclass(slots=True)
class Venue:
    """A simulated venue, what goes wrong there, and where ingest finds it."""

    server: Server
    market: Market
    spells: Spells
    place: Place
    instrument: str

    @property
    def tape(self) -> Tape:
        return self.server.venue.tapes[self.instrument]

    def truth(self) -> Frame:
        return self.server.truth(self.instrument)


class Storm:
    """Follow venues through faults.

    Args:
        folder: for the database.
        chances: the probability of each fault, at every venue.
        seed: of markets, faults and waits.
        venues: which.
        rate: trades a second of each.
        speed: seconds that pass at the venues in one of ours, at most.
        bounds: how long ingest waits.
        silence: seconds without any message after which a connection is stale.
        options: more settings.

    Attributes:
        memory: what was in memory now and then, as (second of the storm, bytes, those of the true tapes among them).
    """

    def __init__(
        self,
        folder: Path,
        chances: Mapping[str, float],
        seed: int,
        venues: Sequence[str] = (),
        *,
        rate: float = 40.0,
        speed: float = SPEED,
        bounds: Bounds = QUICK,
        silence: float = 1.0,
        **options: Any,
    ) -> None:
        self.clock = ManualClock(JANUARY_2024)
        self.settings = load_settings(
            **{
                "db": folder / "storm.duckdb",
                "timeframes": ("1s", "10s"),
                "feature_sets": ("bars",),
                "state_interval": "1s",
                **options,
            }
        )
        self._seed = seed
        self._speed = speed
        self._bounds = bounds
        self._silence = silence
        self._longest = 3 * bounds.gap_timeout
        self._blown = asyncio.Event()
        self._stored = asyncio.Event()
        self._stack = AsyncExitStack()
        self.memory: list[tuple[float, int, int]] = []
        self.venues = {name: self._venue(name, chances, rate) for name in venues or PAIRS}

    def _venue(self, name: str, chances: Mapping[str, float], rate: float) -> Venue:
        kind, instrument = find_venue(name), f"{PAIRS[name]}.{name.upper()}"
        place = self._place(name, "http://127.0.0.1:1")
        told = {fault: chance for fault, chance in chances.items() if place.feed.contiguous or fault not in LIES}
        spells = Spells(told, seed=len(PAIRS) * self._seed + list(PAIRS).index(name))
        now, past = self.clock.now(), 20 * SECOND
        market = Market(
            MarketSource(
                instrument, self._seed, now=now, history=past, rate=rate, steady=True, resolution=kind.resolution
            )
        )
        server = Server(kind, [market], clock=self.clock, faults=spells, every=None, limited=False)
        return Venue(server, market, spells, place, instrument)

    def _place(self, name: str, url: str) -> Place:
        names: dict[str, Any] = {f"{name}_url": url, "massive_key": SecretStr("secret"), "massive_feed": "crypto"}
        place = place_of(name.upper(), self.settings.model_copy(update=names))
        feed = replace(place.feed, limits=Limits(FREE, FREE, FREE), silence=self._silence)
        return replace(place, feed=feed, exchange=replace(place.exchange, check=_lenient(place.exchange.check)))

    async def __aenter__(self) -> Self:
        compile_folds(self.settings)
        await self._stack.__aenter__()
        for name, venue in self.venues.items():
            await self._stack.enter_async_context(venue.server)
            venue.place = self._place(name, venue.server.rest_url)
        self.writer = Writer(
            lambda: open_database(self.settings.db),
            self.settings,
            clock=self.clock,
            timer=self.clock.now,
            publish=lambda committed: self._stored.set(),
        )
        await self._stack.enter_async_context(self.writer)
        followed = [(venue.place, [venue.instrument]) for venue in self.venues.values()]
        self.ingest = Ingest(
            followed,
            self.writer,
            clock=self.clock,
            bounds=self._bounds,
            seed=self._seed,
            live=self.writer.live,
            shown=self.writer.shown,
        )
        self._tasks = [asyncio.create_task(self.ingest.run()), asyncio.create_task(self._blow())]
        for task in self._tasks:
            task.add_done_callback(self._ended)
        return self

    async def __aexit__(self, *exception: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()

    async def _blow(self) -> None:
        """Let time pass at the venues."""
        while True:
            self.clock.advance(STEP)
            for venue in self.venues.values():
                venue.server.pump()
            self._measure()
            self._blown.set()
            await asyncio.sleep(STEP / SECOND / self._speed)

    def _measure(self) -> None:
        passed = self.clock.now() - JANUARY_2024
        if passed % _MEASURED == 0:
            trades = sum(venue.tape.end - venue.tape.start for venue in self.venues.values())
            self.memory.append((passed / SECOND, in_memory(), trades * _ROW))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._blown.set()
        self._stored.set()

    def _look(self) -> None:
        """Raise what ended the wind, or ingest."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def _until(self, done: Callable[[], Awaitable[bool]], moved: asyncio.Event, what: str) -> None:
        """Wait until something is done, as long as healing goes on; it is looked at whenever something has moved."""
        loop, healed = asyncio.get_running_loop(), -1
        try:
            async with asyncio.timeout(self._longest) as timer:
                while True:
                    moved.clear()
                    if await done():
                        return
                    self._look()
                    before, healed = healed, sum(one.healed for one in self.ingest.statuses)
                    if healed > before:
                        timer.reschedule(loop.time() + self._longest)
                    await moved.wait()
        except TimeoutError:
            told = "\n".join(str(status) for status in self.ingest.statuses)
            raise AssertionError(f"{what} did not happen, and nothing healed for {self._longest:g} s\n{told}") from None

    def status(self, name: str) -> Status:
        return next(one for one in self.ingest.statuses if one.venue == name.upper())

    def struck(self, fault: str) -> int:
        """Return how often a fault struck anywhere."""
        return sum(venue.spells.counts.get(fault, 0) for venue in self.venues.values())

    async def stopped(self, name: str) -> None:
        """Wait until a connection is stopped for good."""

        async def done() -> bool:
            return self.status(name).state is State.STOPPED

        await self._until(done, self._blown, f"the end of {name}")

    async def live(self, name: str) -> None:
        """Wait until trades come, and nothing is missing."""

        async def done() -> bool:
            return self.status(name).state is State.LIVE

        await self._until(done, self._blown, f"{name} live")

    async def begin(self, *names: str) -> None:
        """Wait until tapes have begun: how much of the past a new one gets is no promise."""
        for name in names:
            instrument = self.venues[name].instrument

            async def done(instrument: str = instrument) -> bool:
                return (await self.writer.standing(instrument)).trade_id is not None

            await self._until(done, self._stored, f"the first trade of {name}")

    async def rage(self, seconds: float) -> None:
        """Let things go wrong at the venues for so long."""
        for venue in self.venues.values():
            venue.spells.spared = frozenset()
        await self.blow(seconds)

    async def blow(self, seconds: float) -> None:
        """Wait until so many seconds have passed at the venues."""
        end = self.clock.now() + round(seconds * SECOND)
        while self.clock.now() < end:
            self._look()
            self._blown.clear()
            await self._blown.wait()

    async def calm(self) -> None:
        """Let nothing more go wrong but REST, close the markets, and wait until all is stored, or given up."""
        for venue in self.venues.values():
            venue.spells.spared = _AT_LAST
        await self.blow(_CALM)
        for venue in self.venues.values():
            venue.market.end = venue.server.now()
        for name, venue in self.venues.items():

            async def done(venue: Venue = venue) -> bool:
                return await self._reached(venue)

            await self._until(done, self._blown, f"all of {name}")

    async def _reached(self, venue: Venue) -> bool:
        if self.writer.keeper.facts[venue.instrument].pending and venue.place.feed.contiguous:
            return False
        standing = await self.writer.standing(venue.instrument)
        newest = venue.tape.newest(1)
        if not venue.place.feed.contiguous:
            return standing.ts_event is not None and standing.ts_event // 10**6 >= int(newest.ts_event[0]) // 10**6
        return not standing.missing and standing.trade_id == int(newest.trade_id[0])


def compile_folds(settings: Settings) -> None:
    """Fold a few trades: where nothing is compiled yet this takes longer than a storm waits for anything."""
    for contiguous in (True, False):
        pipeline = Pipeline("BTC-USD.SIM", layout_of(settings, contiguous=contiguous))
        for second in (0, 30, 60):
            trade = {"trade_id": [1 + second], "ts_event": [JANUARY_2024 + second * SECOND]}
            pipeline.feed(Frame.of("BTC-USD.SIM", **trade, price=[1.0], qty=[1.0]))


def _lenient(judge: Callable[[Response], None]) -> Callable[[Response], None]:
    """Return a venue's check of answers, with short bans."""

    def check(response: Response) -> None:
        try:
            judge(response)
        except VenueBusy as busy:
            busy.retry_after = min(busy.retry_after, _BAN)
            raise

    return check


def check(storm: Storm, *, loses: bool = True) -> None:
    """Check what is stored against what truly happened.

    Where ids are not contiguous nobody can tell that a trade was never told (``loses``).
    """
    with DuckDBStore(storm.settings.db, read_only=True) as store:
        for name, venue in storm.venues.items():
            stored, truth = Stored.of(store, venue.instrument, storm.settings.timeframes), venue.truth()
            if venue.place.feed.contiguous:
                wrong = proven_wrong(stored, truth, storm.settings)
            else:
                wrong = unproven_wrong(stored, truth, loses=loses, renames=bool(venue.spells.any_of(["wrong-types"])))
            assert wrong == [], f"{name}: {wrong}"
        assert verify(store, storm.settings).findings == []
