"""Simulated venues with faults, the whole way into a database behind them, and what must be there afterwards.

Time is the test's own: venues go on by `Storm.blow`, far faster than the clock on the wall; only waits for sockets,
REST and the disk are real, and those are tiny.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
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
from tapeline.ingest.base import Place, Status
from tapeline.ingest.places import place_of
from tapeline.ingest.venues import Ingest
from tapeline.pipeline import Pipeline
from tapeline.recorder import layout_of
from tapeline.runners.writer import Writer
from tapeline.simulator.faults import Faults
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
_CALM = 5


class Spells(Faults):
    """Faults that cease when told to."""

    calm = False

    def strikes(self, name: str, now: int, **where: Any) -> bool:
        return not self.calm and super().strikes(name, now, **where)


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
            db=folder / "storm.duckdb", timeframes=("1s", "10s"), feature_sets=("bars",), state_interval="50ms"
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

    def struck(self, fault: str) -> int:
        """Return how often a fault struck anywhere."""
        return sum(venue.spells.counts.get(fault, 0) for venue in self.venues.values())

    async def blow(self, seconds: float) -> None:
        """Let time pass at the venues."""
        for _ in range(round(seconds * SECOND / STEP)):
            self.clock.advance(STEP)
            for venue in self.venues.values():
                venue.server.pump()
            await asyncio.sleep(PACE)

    async def calm(self, seconds: float = 30.0) -> None:
        """Let nothing go wrong any more, and wait until everything that happened is stored, or given up."""
        for venue in self.venues.values():
            venue.spells.calm = True
        await self.blow(_CALM)
        async with asyncio.timeout(seconds):
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
    return replace(place, feed=replace(place.feed, limits=Limits(FREE, FREE, FREE), silence=0.5))


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


def check_proven(storm: Storm, name: str) -> Stored:
    """Check a venue with contiguous ids: the true tape is the stored one, in ids, content and candles."""
    venue = storm.venues[name]
    truth = venue.truth()
    with DuckDBStore(storm.settings.db, read_only=True) as store:
        stored = Stored(store, venue.instrument)
        kept, true = content(stored.frame), content(truth)
        assert len(kept) == len(stored.frame), "an id is stored twice"
        first = min(kept)
        assert truth.ts_event[truth.trade_id == first] <= JANUARY_2024, "the tape begins too late"
        since = {number for number in true if number >= first}
        assert since - kept.keys() == stored.named, "a missing id is not named"
        assert {number: row for number, row in kept.items() if true.get(number) != row} == {}
        assert {gap["status"] for gap in stored.gaps} <= {"healed", "unhealable"}
        if not stored.named:
            assert stored.late == []
            assert stored.candles_differ(truth.take(truth.trade_id >= first), storm.settings) == []
    return stored


def check_verified(storm: Storm) -> None:
    """Check that what is stored is what the stored tape gives, however it is cut."""
    with DuckDBStore(storm.settings.db, read_only=True) as store:
        assert verify(store, storm.settings).findings == []
