"""How long a trade takes from the venue's socket into the database, with its candles, features and predictions.

A simulated Kraken runs in a process of its own; another follows it as ``tapeline up`` does, with a model that answers
for each instrument. Times are taken from the instant at which a trade was to be sent, whenever it really was: a sender
that is held up makes times longer, it leaves none out. A prediction counts from the trade that closed its candle. How
late the venue itself was is told beside: it shares the machine. ``--search`` does something else: in less than five
minutes it looks for the highest rate that keeps the budget of latency. What each stage costs of a processor is told by
`live_stages.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from hdrh.histogram import HdrHistogram

from results import record
from tapeline.clock import SECOND, SystemClock
from tapeline.config import Settings, load_settings
from tapeline.ingest.places import place_of
from tapeline.learning.artifact import Artifact
from tapeline.learning.fitting import fit
from tapeline.model_rows import dataset_of, learning_set, model_rows
from tapeline.models.base import model_class
from tapeline.registry import Registry
from tapeline.runners.embedded import Embedded
from tapeline.runners.latency import Histogram
from tapeline.runners.writer import STAGES
from tapeline.serving import keep_definition
from tapeline.simulator.server import serve
from tapeline.stores import rows
from tapeline.stores.duckdb import DuckDBStore
from tapeline.types import CANDLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapeline.hub import Committed
    from tapeline.types import Frame

COMMAND = "python bench/live.py"
BUDGET_MS = {"p50": 5.0, "p99": 25.0}
PARTS = ("stored", "predicted")
TIMEFRAMES = ("1s", "1m")
HORIZON = 5 * SECOND
LONGEST_WARM_UP = 200.0
"""Seconds: predictions begin when the seam to the past is closed and a window of candles is complete behind it."""
RATES = (5_000.0, 10_000.0, 20_000.0, 30_000.0, 40_000.0, 50_000.0)
"""Among these the search looks, by halves."""
SEARCHED = 15.0
"""Seconds that a search measures each of them."""
SEARCH_WARM_UP = 45.0
LAST_BEGIN = 220 * SECOND
"""A search that has lasted so long begins no further run."""
LEAST = 10.0
"""A shorter run is not worth the warm-up."""
PAST = 3_000
GRAIN = 10_000
"""Times are counted in steps of so many ns."""
LONGEST = 60 * SECOND
CLOCK = SystemClock()


class Times:
    """Count times (ns) while it matters, and put them into an HdrHistogram when there is time for it."""

    def __init__(self) -> None:
        self._counts = np.zeros(LONGEST // GRAIN + 1, np.int64)

    def add(self, times: Any) -> None:
        """Count times."""
        places = np.clip(np.atleast_1d(times), 0, LONGEST) // GRAIN
        first = int(places.min())
        counts = np.bincount(places - first)
        self._counts[first : first + len(counts)] += counts

    def histogram(self) -> HdrHistogram:
        """Return them with three digits."""
        histogram = HdrHistogram(1, LONGEST, 3)
        for place in np.flatnonzero(self._counts).tolist():
            histogram.record_value(max(place * GRAIN, 1), int(self._counts[place]))
        return histogram

    def to_json(self) -> dict[str, float]:
        """Return how long most of them are (ms), and how many there are."""
        histogram = self.histogram()
        shares = {"p50": 50, "p99": 99, "p999": 99.9, "max": 100}
        told = {name: histogram.get_value_at_percentile(share) / 1e6 for name, share in shares.items()}
        return told | {"count": int(self._counts.sum())}


@dataclass
class Watch:
    """Take note of what was committed, once it is warm."""

    warm: bool = False
    received: Times = field(default_factory=Times)
    stored: Times = field(default_factory=Times)
    told: Times = field(default_factory=Times)
    predicted: Times = field(default_factory=Times)
    trades: int = 0
    answering: set[str] = field(default_factory=set)

    def take(self, committed: Committed) -> None:
        """Take what was committed."""
        accepted = committed.outputs.admission.accepted
        if committed.outputs.predictions:
            self.answering.add(committed.instrument)
        if not self.warm or not len(accepted):
            return
        self.trades += len(accepted)
        self.received.add(accepted.ts_init - accepted.ts_event)
        self.stored.add(committed.stored - accepted.ts_event)
        self.told.add(CLOCK.now() - accepted.ts_event)
        for prediction in committed.outputs.predictions:
            after = accepted.ts_event[accepted.ts_event >= prediction.as_of]
            self.predicted.add(committed.stored - (int(after.min()) if len(after) else prediction.as_of))


def names_of(count: int) -> list[str]:
    return [f"C{number}-USD.KRAKEN" for number in range(count)]


def put_models(db: Path, settings: Settings, names: list[str]) -> None:
    """Store a past of candles, and a model that answers for each instrument; all answer alike."""
    candles = np.zeros(PAST, CANDLE)
    candles["open_time"] = CLOCK.now() // SECOND * SECOND - SECOND * np.arange(PAST + 3600, 3600, -1)
    candles["close_time"] = candles["open_time"] + SECOND
    walk = np.random.default_rng(1).normal(0, 1e-4, PAST)
    for name in ("open", "high", "low", "close", "vwap"):
        candles[name] = 10.0 * np.exp(np.cumsum(walk))
    for name in ("volume", "quote_volume", "buy_volume"):
        candles[name] = 1.0
    candles["complete"] = True
    past, nan = "C-USD.SIM", float("nan")
    with DuckDBStore(db) as store:
        store.append("candles", rows.from_candles(past, "1s", candles, source="imported"))
        features = learning_set("bars", "1s", HORIZON)
        data = dataset_of(model_rows(store, settings, past, "1s", features), HORIZON)
        text = fit(model_class("ridge", "return"), data.for_target("return", 1), seed=1).dump().decode()
        keep_definition(store, features)
        for name in names:
            task = (name, "1s", HORIZON, "return", "ridge", text, data.columns, features.name, features.version)
            times = (int(candles["open_time"][0]), int(candles["open_time"][-1]))
            artifact = Artifact(*task, nan, nan, 0.9, *times, PAST, "bench", "0" * 32, 1, "bench")
            Registry(store).register(artifact, now=CLOCK.now())
            Registry(store).promote(artifact.name, artifact.version, now=CLOCK.now())


async def serve_venue(instruments: int, rate: float) -> None:
    """Serve the venue, looking for what is due every millisecond, until told to end; then tell how late it looked."""
    names, late, done = names_of(instruments), Times(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, done.set)
    counted = CLOCK.now() + SECOND

    def note(frame: Frame) -> None:
        if frame.instrument == names[0] and frame.ts_event[0] > counted:
            late.add(CLOCK.now() - frame.ts_event)

    async with serve(
        "kraken",
        names,
        rate=rate / instruments,
        steady=True,
        history=SECOND,
        every=0.001,
        limited=False,
        on_trades=note,
    ) as server:
        print(server.rest_url, flush=True)
        await done.wait()
    print(json.dumps(late.to_json()), flush=True)


async def follow(db: Path, url: str, instruments: int, seconds: float, warm_up: float) -> None:
    """Follow the venue, and print what was measured from the first predictions on."""
    settings = load_settings(db=db, timeframes=TIMEFRAMES, kraken_url=url, backfill="1ms")
    names = names_of(instruments)
    put_models(db, settings, names)
    watch, process, memory = Watch(), psutil.Process(), []
    async with Embedded(settings, [(place_of("KRAKEN", settings), names)], watcher=watch.take) as live:
        gc.freeze()  # as tapeline up does
        following = asyncio.create_task(live.run())
        until = CLOCK.now() + (warm_up if seconds >= LEAST else seconds) * SECOND
        while CLOCK.now() < until and len(watch.answering) < instruments:
            await asyncio.sleep(1.0)
        watch.warm = True
        live.writer.latency.update({stage: Histogram() for stage in STAGES})
        begun, busy = CLOCK.now(), process.cpu_times()
        while CLOCK.now() - begun < seconds * SECOND:
            await asyncio.sleep(1.0)
            memory.append(process.memory_info().rss / 1e6)
        passed, used = (CLOCK.now() - begun) / SECOND, process.cpu_times()
        status = live.status()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    told = {
        "rate": watch.trades / passed,
        "received": watch.received.to_json(),
        "stored": watch.stored.to_json(),
        "told": watch.told.to_json(),
        "predicted": watch.predicted.to_json(),
        "stages": status["latency_ms"],
        "cores": (used.user + used.system - busy.user - busy.system) / passed,
        "memory": memory,
        "connects": [one["connects"] for one in status["venues"]],
        "gaps": sum(sum(one["gaps"].values()) for one in status["instruments"]),
        "late": sum(one["late"] for one in status["instruments"]),
    }
    print(json.dumps(told), flush=True)


@contextmanager
def child(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def run(instruments: int, rate: float, seconds: float, warm_up: float = LONGEST_WARM_UP) -> dict[str, Any]:
    asked = ["--instruments", str(instruments), "--rate", str(rate), "--seconds", str(seconds)]
    asked += ["--warm-up", str(warm_up)]
    with tempfile.TemporaryDirectory() as folder, child("--child", "serve", *asked) as venue:
        url = line_of(venue)
        with child("--child", "follow", *asked, "--url", url, "--db", str(Path(folder) / "a.duckdb")) as follower:
            told: dict[str, Any] = json.loads(line_of(follower))
        used, begun = psutil.Process(venue.pid).cpu_times(), psutil.Process(venue.pid).create_time()
        venue.terminate()
        told["venue_late"] = json.loads(line_of(venue))
    return told | {"venue_cores": (used.user + used.system) / (CLOCK.now() / SECOND - begun)}


def kept(told: dict[str, Any]) -> set[str]:
    """Return what keeps the budget of latency."""
    return {
        what
        for what in PARTS
        if told[what]["count"] and all(told[what][share] < most for share, most in BUDGET_MS.items())
    }


def search(instruments: int, seconds: float) -> None:
    """Record the highest of the rates that keeps the budget of latency, of what is stored and of predictions."""
    begun, told = CLOCK.now(), dict[float, dict[str, Any]]()
    for what in PARTS:
        best, beyond = -1, len(RATES)
        while beyond - best > 1:
            middle = (best + beyond) // 2
            if RATES[middle] not in told:
                if CLOCK.now() - begun > LAST_BEGIN:
                    print("  no time is left for another rate")
                    break
                told[RATES[middle]] = tried(instruments, RATES[middle], seconds)
            best, beyond = (middle, beyond) if what in kept(told[RATES[middle]]) else (best, middle)
        if best >= 0:
            rate = told[RATES[best]]["rate"]
            record(f"live_{what}_rate_within_budget", rate, "trades/s", None, None, f"{COMMAND} --search")
        else:
            print(f"  {what}: no rate that was tried keeps the budget of latency")


def tried(instruments: int, rate: float, seconds: float) -> dict[str, Any]:
    told = run(instruments, rate, seconds, SEARCH_WARM_UP)
    parts = [what for what in PARTS if told[what]["count"]]
    times = (f"{what} {told[what]['p50']:.1f} / {told[what]['p99']:.1f} ms" for what in parts)
    each = 1e6 * told["cores"] / max(told["rate"], 1.0)
    print(
        f"  at {rate:,.0f} trades/s: {', '.join(times)} (p50 / p99), {told['cores']:.2f} cores, {each:.1f} us a trade"
    )
    return told


def tell(told: dict[str, Any]) -> None:
    record("live_rate", told["rate"], "trades/s", None, None, COMMAND)
    for what in PARTS:
        if not told[what]["count"]:
            print(f"  {what}: none in so short a time")
            continue
        for share in ("p50", "p99"):
            value = told[what][share]
            record(f"live_{what}_{share}", value, "ms", None, None, COMMAND)
            print(f"  {'within' if value < BUDGET_MS[share] else 'OVER'} the budget of {BUDGET_MS[share]:g} ms")
        print(f"  p99.9 {told[what]['p999']:.1f} ms, longest {told[what]['max']:.1f} ms, of {told[what]['count']:,}")
    for part, what in (("received", "here"), ("told", "told to subscribers")):
        print(f"  {what} after: p50 {told[part]['p50']:.1f} ms, p99 {told[part]['p99']:.1f} ms")
    for stage, times in told["stages"].items():
        print(f"  {stage}: p50 {times['p50']} ms, p99 {times['p99']} ms")
    half = len(told["memory"]) // 2
    growth = max(told["memory"][half:]) / max(told["memory"][: half or 1])
    record("live_memory_growth", growth, "times, second half / first half", None, None, COMMAND)
    cores, each = told["cores"], 1e6 * told["cores"] / told["rate"]
    print(f"  {cores:.2f} cores ({each:.1f} us a trade), the venue {told['venue_cores']:.2f}")
    late = told["venue_late"]
    shares = ", ".join(f"{late[share]:.1f} ms ({share})" for share in ("p50", "p99", "p999", "max"))
    print(f"  the venue looked for what is due so late: {shares}")
    print(f"  {told['memory'][-1]:.0f} MB, connections opened {told['connects']}")
    print(f"  {told['gaps']} gaps, {told['late']} late trades")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=50_000, help="trades a second of all instruments together")
    parser.add_argument("--instruments", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--search", action="store_true", help="only look for the highest rate that keeps the budget")
    parser.add_argument("--warm-up", type=float, default=LONGEST_WARM_UP, help=argparse.SUPPRESS)
    parser.add_argument("--smoke", action="store_true", help="few trades for a short time: only that it works")
    parser.add_argument("--child", choices=["serve", "follow"], help=argparse.SUPPRESS)
    parser.add_argument("--url", default="", help=argparse.SUPPRESS)
    parser.add_argument("--db", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child == "serve":
        asyncio.run(serve_venue(options.instruments, options.rate))
    elif options.child == "follow":
        asyncio.run(follow(options.db, options.url, options.instruments, options.seconds, options.warm_up))
    elif options.search:
        search(options.instruments, min(options.seconds, SEARCHED))
    else:
        rate, seconds = (1_000.0, 3.0) if options.smoke else (options.rate, options.seconds)
        tell(run(2 if options.smoke else options.instruments, rate, seconds))


if __name__ == "__main__":
    main()
