"""Simulated venues with faults, the whole way into a database behind them, and what must be there afterwards.

Time is the test's own: venues go on by `Storm.blow`, far faster than the clock on the wall; only waits for sockets,
REST and the disk are real, and those are tiny.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from tests.ingest.fakes import BOUNDS, FREE

from tapeline.clock import SECOND, ManualClock
from tapeline.compare import same_bits
from tapeline.config import Settings, load_settings
from tapeline.exchanges.base import Limits
from tapeline.ingest.base import Place, State, Status
from tapeline.ingest.places import place_of
from tapeline.ingest.venues import Ingest
from tapeline.pipeline import Pipeline
from tapeline.recorder import layout_of
from tapeline.runners.writer import Writer
from tapeline.simulator.faults import FAULTS, Faults, Per
from tapeline.simulator.market import JANUARY_2024
from tapeline.simulator.server import Server, serve
from tapeline.stores import rows
from tapeline.stores.duckdb import DuckDBStore
from tapeline.types import CANDLE, Frame
from tapeline.verify import verify

PAIRS = {"kraken": "BTC-USD", "coinbase": "BTC-USD", "binance": "BTC-USDT", "massive": "BTC-USD"}
STEP = SECOND // 10
PACE = 0.002
QUICK = replace(BOUNDS, rest=0.3, answer=0.5, backfill=10.0, gap_timeout=20.0)
_CALM = 3.0
_LONG = 60.0
_AT_LAST = frozenset({Per.SECOND, Per.BATCH, Per.MESSAGE})
_AT_FIRST = _AT_LAST | {Per.REQUEST}


class Spells(Faults):
    """Faults that begin and cease when told to, but for what is drawn once for a connection or a venue."""

    spared: Set[Per] = _AT_FIRST

    def strikes(self, name: str, now: int, **where: Any) -> bool:
        return FAULTS[name][0] not in self.spared and super().strikes(name, now, **where)


@dataclass(slots=True)
class Venue:
    """A simulated venue, what goes wrong there, and where ingest finds it."""

    server: Server
    spells: Spells
    place: Place
    instrument: str

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
    """

    def __init__(
        self, folder: Path, chances: Mapping[str, float], seed: int, venues: Sequence[str] = (), *, rate: float = 40.0
    ) -> None:
        self.clock = ManualClock(JANUARY_2024)
        self.seed = seed
        self.settings = load_settings(
            db=folder / "storm.duckdb",
            timeframes=("1s", "10s"),
            feature_sets=("bars",),
            state_interval="50ms",
            quiet_grace="1h",  # time here runs too fast for silence to tell anything
        )
        self.venues = {name: self._venue(name, chances, rate) for name in venues or PAIRS}
        self._stack = AsyncExitStack()

    def _venue(self, name: str, chances: Mapping[str, float], rate: float) -> Venue:
        spells = Spells(chances, seed=self.seed)
        server = serve(
            name,
            [PAIRS[name]],
            seed=self.seed,
            rate=rate,
            steady=True,
            history=20 * SECOND,
            clock=self.clock,
            faults=spells,
            every=None,
            limited=False,
        )
        instrument = f"{PAIRS[name]}.{name.upper()}"
        return Venue(server, spells, _place(name, self.settings, "http://127.0.0.1:1"), instrument)

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        for name, venue in self.venues.items():
            await self._stack.enter_async_context(venue.server)
            venue.place = _place(name, self.settings, venue.server.rest_url)
        self.writer = Writer(lambda: DuckDBStore(self.settings.db), self.settings, clock=self.clock)
        await self._stack.enter_async_context(self.writer)
        followed = [(venue.place, [venue.instrument]) for venue in self.venues.values()]
        self.ingest = Ingest(
            followed, self.writer, clock=self.clock, bounds=QUICK, seed=self.seed, live=self.writer.live
        )
        self._following = asyncio.create_task(self.ingest.run())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)
        await self._stack.aclose()

    def status(self, name: str) -> Status:
        return next(one for one in self.ingest.statuses if one.venue == name.upper())

    async def stopped(self, *names: str) -> None:
        """Wait until connections are stopped for good."""
        async with asyncio.timeout(_LONG):
            while any(self.status(name).state is not State.STOPPED for name in names):
                await self.blow(STEP / SECOND)

    def struck(self, fault: str) -> int:
        """Return how often a fault struck anywhere."""
        return sum(venue.spells.counts.get(fault, 0) for venue in self.venues.values())

    async def begin(self, *names: str) -> None:
        """Wait until the tapes (all) have begun: how much of the past a new one gets is no promise."""
        async with asyncio.timeout(_LONG):
            for venue in [self.venues[name] for name in names or self.venues]:
                while (await self.writer.standing(venue.instrument)).trade_id is None:
                    await self.blow(STEP / SECOND)

    async def rage(self, seconds: float) -> None:
        """Let time pass at the venues, and things go wrong."""
        for venue in self.venues.values():
            venue.spells.spared = frozenset()
        await self.blow(seconds)

    async def blow(self, seconds: float) -> None:
        """Let time pass at the venues."""
        for _ in range(round(seconds * SECOND / STEP)):
            self.clock.advance(STEP)
            for venue in self.venues.values():
                venue.server.pump()
            await asyncio.sleep(PACE)

    async def calm(self) -> None:
        """Let nothing more go wrong but REST, and wait until everything that happened is stored, or given up."""
        for venue in self.venues.values():
            venue.spells.spared = _AT_LAST
        await self.blow(_CALM)
        async with asyncio.timeout(_LONG):
            for venue in self.venues.values():
                while not await self._reached(venue):
                    venue.server.pump()
                    await asyncio.sleep(0.01)

    async def _reached(self, venue: Venue) -> bool:
        if self._following.done():
            self._following.result()
        standing = await self.writer.standing(venue.instrument)
        newest = venue.truth().take(slice(-1, None))
        if not venue.place.feed.contiguous:
            return standing.ts_event is not None and standing.ts_event // 10**6 >= int(newest.ts_event[0]) // 10**6
        return not standing.missing and standing.trade_id == int(newest.trade_id[0])


def _place(name: str, settings: Settings, url: str) -> Place:
    names: dict[str, Any] = {f"{name}_url": url, "massive_key": "secret", "massive_feed": "crypto"}
    place = place_of(name.upper(), settings.model_copy(update=names | {"massive_key": _secret(settings)}))
    return replace(place, feed=replace(place.feed, limits=Limits(FREE, FREE, FREE), silence=1.0))


def _secret(settings: Settings) -> Any:
    return type(settings.massive_key)("secret")


def content(frame: Frame) -> dict[int, tuple[Any, ...]]:
    """Return the trades of a tape by id, without when they were received."""
    names = (frame.trade_id, frame.ts_event, frame.price, frame.qty, frame.side)
    return {row[0]: row[1:] for row in zip(*(column.tolist() for column in names), strict=True)}


class Stored:
    """What a database holds of an instrument after a storm."""

    def __init__(self, store: DuckDBStore, instrument: str) -> None:
        self.instrument = instrument
        self.frame = rows.to_frame(instrument, store.read("trades", instrument=instrument))
        self.late = store.read("late_trades", instrument=instrument).column("trade_id").to_pylist()
        self.gaps = store.read("gaps", instrument=instrument).to_pylist()
        self.store = store

    @property
    def named(self) -> set[int]:
        """Return the ids that are said to be missing for ever."""
        return {
            number
            for gap in self.gaps
            if gap["status"] == "unhealable"
            for number in range(gap["first_missing"], gap["last_missing"] + 1)
        }

    def candles_differ(self, truth: Frame, settings: Settings) -> list[str]:
        """Return where the stored candles are not those of a fold over the true tape."""
        layout = layout_of(settings, contiguous=True)
        outputs = Pipeline(self.instrument, layout).feed(truth)
        wrong = []
        for timeframe, true in outputs.candles.items():
            table = self.store.read("candles", instrument=self.instrument, timeframe=timeframe)
            mine = rows.to_candles(table)
            if not np.array_equal(mine["open_time"], true["open_time"]):
                wrong.append(f"{timeframe}: {len(mine)} candles stored, {len(true)} in truth")
                continue
            wrong += [
                f"{timeframe} {name}" for name in CANDLE.names or () if not same_bits(mine[name], true[name]).all()
            ]
        return wrong


def check(storm: Storm, name: str, *, lies: bool = False, loses: bool = False) -> None:
    """Check what is stored of a venue against what truly happened there.

    Where ids are not contiguous nobody can tell a lie about them (``lies``), nor that a trade was never told
    (``loses``).
    """
    venue = storm.venues[name]
    with DuckDBStore(storm.settings.db, read_only=True) as store:
        stored = Stored(store, venue.instrument)
        if venue.place.feed.contiguous:
            check_proven(storm, stored, venue.truth())
        elif not lies:
            check_unproven(stored, venue.truth(), loses=loses)


def check_proven(storm: Storm, stored: Stored, truth: Frame) -> None:
    """Check that the true tape is the stored one, in ids, content and candles, but for ids that are said to miss."""
    kept, true = content(stored.frame), content(truth)
    assert len(kept) == len(stored.frame), "an id is stored twice"
    first = min(kept)
    absent = {number for number in true if number >= first} - kept.keys()
    assert absent == stored.named, f"{sorted(absent ^ stored.named)[:20]} miss, late {stored.late}, {stored.gaps}"
    false = {number: (row, true.get(number)) for number, row in kept.items() if true.get(number) != row}
    assert false == {}, false
    assert {gap["status"] for gap in stored.gaps} <= {"healed", "unhealable"}
    if not stored.named:
        wrong = stored.candles_differ(truth.take(truth.trade_id >= first), storm.settings)
        assert wrong == [], wrong


def check_unproven(stored: Stored, truth: Frame, *, loses: bool) -> None:
    """Check that nothing false and nothing twice is stored, and that nothing told is lost."""
    kept, true = _told(stored.frame), _told(truth)
    assert kept - true == Counter(), kept - true
    since = int(stored.frame.ts_event.min()) // 10**6
    lost = Counter({row: count for row, count in (true - kept).items() if row[0] > since})
    assert loses or lost.total() == len(stored.late), f"{lost.total()} lost, {len(stored.late)} late"


def _told(frame: Frame) -> Counter[tuple[Any, ...]]:
    """Count trades as the venue tells them: in ms, and under ids of its own."""
    return Counter(zip((frame.ts_event // 10**6).tolist(), frame.price.tolist(), frame.qty.tolist(), strict=True))


def check_verified(storm: Storm) -> None:
    """Check that what is stored is what the stored tape gives, however it is cut."""
    with DuckDBStore(storm.settings.db, read_only=True) as store:
        assert verify(store, storm.settings).findings == []
