"""A live process from its parts: venues (or the simulated one), the writer, the page and the API, a screen, learning.

Here and nowhere else concrete parts are chosen: which database, which venues, which screen.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NoReturn

from tapeline.cli.invocation import Invocation
from tapeline.cli.screen import Screen, screen
from tapeline.clock import SystemClock
from tapeline.config import Settings
from tapeline.errors import StoreLocked, VenueError, VenueRefused
from tapeline.features import FeatureSet
from tapeline.importing import import_files
from tapeline.ingest.base import Place
from tapeline.ingest.bounds import Bounds
from tapeline.ingest.places import check_venues, followed, place_of, prepared, usual
from tapeline.ingest.reach import why_not
from tapeline.ingest.rest import Rest, new_client
from tapeline.runners.embedded import Embedded
from tapeline.runners.learner import Learner, tasks_of
from tapeline.runners.live_view import LiveView
from tapeline.runners.monitors import Monitors
from tapeline.runners.owner import told
from tapeline.runners.shadow import Shadow
from tapeline.runners.simulated import SPEAKS, Simulation
from tapeline.runners.unawaited import Unawaited
from tapeline.simulator.faults import Faults
from tapeline.simulator.server import Server
from tapeline.simulator.venue import find_venue
from tapeline.stores.duckdb import DuckDBStore

SIMULATED = {"timeframes": ("10s", "1m", "5m", "1h"), "predict": ("10s/1m", "1m/5m")}
"""What is computed of a simulated market, unless the settings say otherwise: something moves while a person looks."""
FAULTS = {"disconnect": 0.004, "drop": 0.01, "duplicate": 0.02, "reorder": 0.01, "malformed": 0.005}
"""What goes wrong there, so that healing is seen."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asked for; see `tapeline up --help`."""

    demo: bool = False
    demo_if_offline: bool = False
    seed: int | None = None
    edge: float | None = None
    headless: bool = False
    seconds: float | None = None


def refuse_unusable(settings: Settings, *, simulated: bool) -> None:
    """Refuse settings with which nothing could be followed or served: what can be known before anything is begun.

    Raises:
        UsageError: one cannot be used; an `UnknownName` where it names what there is not.
    """
    from tapeline.api.security import check_binding

    if not simulated:
        _places(settings, simulated=False)
    for name in settings.feature_sets:
        FeatureSet.load(name)
    check_binding(settings)


def run(invocation: Invocation, settings: Settings, asked: Asked) -> NoReturn:
    """Run until a signal, or until the time asked for is over, and end the process."""
    threads = Unawaited()
    asyncio.run(_run(invocation, settings, asked, threads))
    threads.leave(0)


async def _run(invocation: Invocation, settings: Settings, asked: Asked, threads: Unawaited) -> None:
    """Live until it is asked to stop; what has begun by then ends in order, also in the middle of a start."""
    asyncio.get_running_loop().set_default_executor(threads)
    stop = _asked_to_stop()
    stopping = asyncio.create_task(stop.wait())
    living = asyncio.create_task(_live(invocation, settings, asked, stop))
    await asyncio.wait([living, stopping], return_when=asyncio.FIRST_COMPLETED)
    for task in (living, stopping):
        task.cancel()
    await asyncio.wait([living, stopping])
    if not living.cancelled():
        living.result()


async def _live(invocation: Invocation, settings: Settings, asked: Asked, stop: asyncio.Event) -> None:
    """Start all parts, and live until cancelled."""
    clock = SystemClock()
    settings = settings.model_copy(update={"instruments": usual(settings.instruments, settings)})
    simulated = asked.demo or (asked.demo_if_offline and await _offline(invocation, settings, clock))
    async with AsyncExitStack() as stack:
        if simulated:
            settings = await stack.enter_async_context(_simulated(invocation, settings, asked, clock))
        names = FeatureSet.load("technical").names if "technical" in settings.feature_sets else []
        view = LiveView(settings.timeframes[0], names, clock=clock)
        shown = stack.enter_context(screen(view, headless=asked.headless, quiet=invocation.quiet, clock=clock))
        places = [(await _prepared(place, shown), names) for place, names in _places(settings, simulated=simulated)]
        live = Embedded(settings, places, clock=clock, watcher=shown.take)
        await stack.enter_async_context(live)
        following = await stack.enter_async_context(_following(live))
        view.address = await stack.enter_async_context(await asyncio.to_thread(_served, live))
        live.announce(view.address)
        shown.tell("serving", address=view.address, database=str(settings.db))
        waiting = live.hub.untrained
        learner = stack.enter_context(Learner(settings, live.reader, live.writer, clock=clock, waiting=waiting))
        stack.enter_context(_spared())
        if asked.seconds is not None:
            asyncio.get_running_loop().call_later(asked.seconds, stop.set)
        await _follow(live, following, learner, shown)


def _asked_to_stop() -> asyncio.Event:
    """Return what a signal sets: from here on one ends the process in order."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


@contextmanager
def _spared() -> Iterator[None]:
    """Spare the collector what a start has made: it stays, and looking through it would stop all else for long."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@asynccontextmanager
async def _following(live: Embedded) -> AsyncIterator[asyncio.Task[None]]:
    """Follow the venues inside; give the task that does."""
    task = asyncio.create_task(live.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


def _served(live: Embedded) -> AbstractAsyncContextManager[str]:
    """Return what serves the page and the API; called in a thread, for importing them takes longer than a reconnect."""
    from tapeline.api.app import create_app
    from tapeline.api.server import listen, serving

    settings = live.settings
    app = create_app(live.reader, live.hub, live, settings, clock=live.clock, owner_key=live.key)
    return serving(app, listen(settings.host, settings.port))


def _places(settings: Settings, *, simulated: bool) -> list[tuple[Place, Sequence[str]]]:
    if not simulated:
        check_venues(settings)
    by_venue = followed(settings, simulated=SPEAKS if simulated else "")
    return [(place_of(venue, settings, simulated=simulated), names) for venue, names in by_venue.items()]


async def _prepared(place: Place, shown: Screen) -> Place:
    """Ask a venue what its messages mean; where it does not answer every trade counts, and that is told."""
    async with new_client() as client:
        try:
            return await prepared(place, Rest(place, bounds=Bounds(), random=Random(0), client=client))
        except VenueError as error:
            shown.tell("every trade counts, whatever its conditions", venue=place.venue, reason=str(error))
            return place


async def _offline(invocation: Invocation, settings: Settings, clock: SystemClock) -> bool:
    """Return whether none of the venues asked for can be reached."""
    reasons = [await why_not(place, clock=clock) for place, _ in _places(settings, simulated=False)]
    if not all(reasons):
        return False
    for reason in reasons:
        invocation.note(reason)
    invocation.note("no venue can be reached: the simulated market takes their place, everything below is SIMULATED")
    return True


@asynccontextmanager
async def _simulated(
    invocation: Invocation, settings: Settings, asked: Asked, clock: SystemClock
) -> AsyncIterator[Settings]:
    """Serve the simulated venue inside, and give the settings that lead there; its past is imported once."""
    simulation = Simulation.beside(settings.db, now=clock.now(), seed=asked.seed, edge=asked.edge)
    chosen = {name: value for name, value in SIMULATED.items() if name not in settings.model_fields_set}
    settings = settings.model_copy(update=chosen | {"instruments": simulation.instruments})
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # a thread that nobody waits for may write there yet
        await asyncio.to_thread(_import_past, invocation, settings, simulation, clock, Path(folder))
    faults = Faults(FAULTS, seed=simulation.seed)
    async with Server(find_venue(SPEAKS.lower()), simulation.sources(), clock=clock, faults=faults) as server:
        yield settings.model_copy(update={"kraken_url": server.rest_url, "kraken_rest_url": "", "kraken_feed": ""})


def _import_past(
    invocation: Invocation, settings: Settings, simulation: Simulation, clock: SystemClock, folder: Path
) -> None:
    """Import what happened at the simulated venue before it was first opened, as a user would import a recording."""
    try:
        store = DuckDBStore(settings.db)
    except StoreLocked as error:
        raise told(settings.db, error) from error
    with closing(store):
        if store.read("trades", instrument=simulation.instruments[-1], limit=1).num_rows:
            return
        invocation.note("importing the past of the simulated market")
        files = simulation.record(folder)
        report = import_files(files, store, settings, clock=clock)
        invocation.note(f"{sum(file.new for file in report.files):,} SIMULATED trades imported")


async def _follow(live: Embedded, following: asyncio.Task[None], learner: Learner, shown: Screen) -> None:
    """Follow, learn and show until cancelled.

    Raises:
        VenueRefused: every connection was refused.
    """
    settings, clock = live.settings, live.clock
    monitors = Monitors(settings, live.reader, live.hub, clock=clock, wanted=learner.want, tell=shown.tell)
    shadow = Shadow(settings, live.reader, live.writer, clock=clock, tell=shown.tell)
    beside = [
        asyncio.create_task(learner.keep_learning(tasks_of(settings), tell=shown.tell)),
        asyncio.create_task(monitors.run()),
        asyncio.create_task(shadow.run()),
        asyncio.create_task(_refresh(live, shown)),
    ]
    try:
        done, _ = await asyncio.wait([following, *beside], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (following, *beside):
            task.cancel()
        await asyncio.gather(following, *beside, return_exceptions=True)
    for task in done:
        task.result()
    reasons = "; ".join(one.reason or str(one.refused) for one in live.ingest.statuses)
    raise VenueRefused("up", f"every connection was refused: {reasons}", next_step="correct the settings")


async def _refresh(live: Embedded, shown: Screen) -> None:
    """Show how the process is, about once a second."""
    while True:
        shown.refresh(live.status(), live.ingest.statuses)
        await asyncio.sleep(1)
