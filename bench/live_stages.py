"""What a live trade costs: us of CPU by stage, from the bytes on the wire to what is published.

The trades of a simulated Kraken go through the parts of the live process one after another, in one thread and without
waiting, so many milliseconds of the market a commit. CPU time is not wall time: what the disk takes, and what waiting
for turns takes, is in `live.py`. A model answers for each instrument; commits that close candles are told apart.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from websockets.client import ClientProtocol
from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

import live
from results import record
from tapeline.clock import SECOND, ManualClock
from tapeline.config import load_settings
from tapeline.hub import Hub
from tapeline.ingest.base import Delivery
from tapeline.ingest.frames import QuickConnection
from tapeline.ingest.hearing import Hearing
from tapeline.ingest.places import place_of
from tapeline.ingest.sieve import Sieve
from tapeline.ingest.socket import Received
from tapeline.recorder import Recorder
from tapeline.runners.embedded import open_database
from tapeline.runners.keeper import Keeper
from tapeline.runners.watch import Taken
from tapeline.simulator.sources import MarketSource
from tapeline.simulator.tape import Tape
from tapeline.simulator.venue import Request, find_venue
from tapeline.stores._commit_log import CommitLog
from tapeline.stores.logged import PAUSE, LoggedStore
from tapeline.stores.outbox import Outbox
from tapeline.types import Frame

COMMAND = "python bench/live_stages.py"
STEP = SECOND // 1000
WARM = 60
"""Seconds of a slow market before what is measured: then all windows are complete."""
START = 1_790_000_000 * SECOND


class Stages:
    """CPU time (s) of this thread by stage; of stages inside others the inner one counts."""

    def __init__(self) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)
        self._inner: list[float] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what is done inside."""
        self._inner.append(0.0)
        begun = time.thread_time()
        try:
            yield
        finally:
            passed = time.thread_time() - begun
            self.spent[name] += passed - self._inner.pop()
            if self._inner:
                self._inner[-1] += passed

    def wrap(self, owner: type, name: str, stage: Callable[..., str]) -> None:
        """Count each call of a method; ``stage`` names it by the arguments."""
        method = getattr(owner, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            with self.stage(stage(*arguments)):
                return method(*arguments, **options)

        setattr(owner, name, counted)


def markets(names: list[str], rate: float, begin: int) -> list[MarketSource]:
    return [MarketSource(name, 1, now=begin, history=1, rate=rate, steady=True, resolution=1000) for name in names]


def slow_past(names: list[str]) -> list[Frame]:
    return [market.until(START + WARM * SECOND) for market in markets(names, 20.0, START)]


def on_the_wire(names: list[str], past: list[Frame], rate: float, seconds: float) -> list[tuple[int, bytes]]:
    """Return what the venue says: bytes by the instant (ns UTC), every millisecond."""
    kind, begin = find_venue("kraken"), START + WARM * SECOND
    sources = markets(names, rate / len(names), begin)
    tapes = {source.listing.instrument: Tape(source.listing) for source in sources}
    session: Any = kind(tapes, limited=False).open(Request("/v2"), 1, begin)
    said = []
    for at in range(begin, begin + round(seconds * SECOND), STEP):
        messages: list[bytes] = []
        for source, before in zip(sources, past, strict=True):
            frame = source.until(at)
            if len(frame):
                ids = frame.trade_id + before.trade_id[-1]
                messages += session.trades(Frame(frame.instrument, ids, *frame.columns()[1:]), at)
        said.append((at, b"".join(WireFrame(Opcode.TEXT, one).serialize(mask=False) for one in messages)))
    return said


class Live:
    """The parts of a live process, one after another."""

    def __init__(self, db: Path, names: list[str]) -> None:
        settings = load_settings(db=db, timeframes=live.TIMEFRAMES, kraken_url="http://127.0.0.1:1")
        live.put_models(db, settings, names)
        self.stages, self.now = Stages(), START
        self.keeper = Keeper(
            lambda: open_database(db, pause=None), settings, clock=ManualClock(START), timer=lambda: self.now - START
        )
        self.keeper.open()
        self.hub, place = Hub(), place_of("KRAKEN", settings)
        self.hearing, self.sieve = Hearing(place, names), Sieve({}, 60 * SECOND)
        protocol = ClientProtocol(parse_uri("ws://venue/"), max_size=8 << 20)
        protocol.state = State.OPEN
        self.connection = QuickConnection(protocol, max_queue=1 << 30)
        self.connection._parted = True
        self.trades = self.predictions = 0

    def keep(self, *deliveries: Delivery) -> bool:
        """Commit and publish; return whether candles were closed."""
        with self.stages.stage("commit: the rest"):
            self.keeper.commit([Taken(one, self.now - START) for one in deliveries])
        made = self.keeper.telling.take()
        with self.stages.stage("publish"):
            for one in made:
                self.hub.publish(one)
        self.trades += sum(len(one.outputs.admission.accepted) for one in made)
        self.predictions += sum(len(one.outputs.predictions) for one in made)
        return any(one.outputs.candles for one in made)

    async def take(self, said: list[tuple[int, bytes]]) -> bool:
        """Take what the venue said, as one batch; return whether candles were closed."""
        self.now, received = said[-1][0], []
        for at, data in said:
            with self.stages.stage("WebSocket"):
                self.connection.data_received(data)
            received += [Received(raw, at + STEP) for raw in await self.connection.messages()]
        with self.stages.stage("decode and judge"):
            delivery = self.hearing.plain(received)
        assert delivery is not None
        with self.stages.stage("sieve"):
            frames = tuple(self.sieve.sift(frame)[0] for frame in delivery.frames)
        return self.keep(replace(delivery, frames=frames))


def split_commits(stages: Stages) -> None:
    """Tell the parts of a commit apart."""
    stages.wrap(Recorder, "fold", lambda *_: "commit: fold")
    stages.wrap(LoggedStore, "append", lambda store, kind, rows: f"commit: {kind} judged")
    stages.wrap(Outbox, "flush", lambda *_: "commit: rows made")
    stages.wrap(CommitLog, "add", lambda *_: "commit: log")
    stages.wrap(LoggedStore, "settle", lambda *_: "merge into DuckDB")


async def measure(folder: Path, rate: float, seconds: float, together: int) -> None:
    names = live.names_of(10)
    past = slow_past(names)
    said = on_the_wire(names, past, rate, seconds)
    path = Live(folder / "a.duckdb", names)
    path.keep(*(Delivery((frame,)) for frame in past))
    store = path.keeper.recorder.store
    assert isinstance(store, LoggedStore)
    split_commits(path.stages)
    path.stages.spent.clear()
    path.trades = path.predictions = 0
    commits: dict[bool, list[float]] = {False: [], True: []}
    merged = said[0][0]
    for at in range(0, len(said), together):
        begun = time.thread_time()
        closed = await path.take(said[at : at + together])
        commits[closed].append(1e3 * (time.thread_time() - begun))
        if said[at][0] - merged >= PAUSE * SECOND:  # a thread of its own does it, in a live process
            store.settle()
            merged = said[at][0]
    tell(path, commits, together)


def tell(path: Live, commits: dict[bool, list[float]], together: int) -> None:
    count = sum(map(len, commits.values()))
    print(f"{path.trades:,} trades, {path.trades / count:.0f} a commit ({together} ms), {path.predictions} predictions")
    for name, spent in sorted(path.stages.spent.items(), key=lambda one: -one[1]):
        print(f"  {name:28s} {1e6 * spent / path.trades:7.2f} us a trade {1e3 * spent / count:7.3f} ms a commit")
    for closed, times in commits.items():
        if times:
            what = "closing candles" if closed else "of trades alone"
            shares = f"p50 {np.median(times):.2f} ms, p99 {np.quantile(times, 0.99):.2f} ms"
            print(f"  {len(times)} batches {what}: {shares} of CPU each")
    total = sum(path.stages.spent.values())
    record("live_cpu", 1e6 * total / path.trades, "us of CPU a trade", None, None, f"{COMMAND} --together {together}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=50_000, help="trades a second of ten instruments together")
    parser.add_argument("--seconds", type=float, default=10, help="of the market")
    parser.add_argument("--together", type=int, default=5, help="milliseconds of the market that one commit takes")
    parser.add_argument("--smoke", action="store_true", help="a moment of the market: only that it works")
    options = parser.parse_args()
    seconds = 0.2 if options.smoke else options.seconds
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), options.rate, seconds, options.together))


if __name__ == "__main__":
    main()
