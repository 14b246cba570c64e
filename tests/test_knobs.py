"""Each setting does something that can be seen: here, or in the test that is named for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import MagicMock

import pytest

from tapeline.clock import HOUR, MINUTE, SECOND, ManualClock
from tapeline.config import Settings, load_settings
from tapeline.errors import NotEnoughData
from tapeline.exchanges.base import exchanges
from tapeline.hub import Hub
from tapeline.ingest.base import Delivery
from tapeline.ingest.bounds import Backoff, Bounds
from tapeline.ingest.places import followed, place_of
from tapeline.recorder import Recorder
from tapeline.runners.keeper import Keeper
from tapeline.runners.learner import Learner, Task, tasks_of
from tapeline.runners.monitors import Monitors
from tapeline.runners.writer import Writer
from tapeline.simulator.market import JANUARY_2024
from tapeline.stores.base import Store
from tapeline.stores.memory import MemoryStore
from tapeline.types import Frame

NAME = "BTC-USD.SIM"
LONG = 20.0
SHOWN_BY = {
    "db": "cli/test_up.py::test_the_second_process_is_refused_by_the_name_of_the_first",
    "indicators": "test_config.py::test_own_indicators_and_sets_are_found_by_a_path_in_the_file",
    "sets": "test_config.py::test_own_indicators_and_sets_are_found_by_a_path_in_the_file",
    "models": "testing/test_own_models.py::test_it_passes_the_suite",
    "max_pending": "runners/test_keeper.py::test_too_much_behind_a_gap_gives_it_up",
    "flush_rows": "test_importing.py::test_an_interrupted_import_goes_on_where_the_last_commit_stands",
    "runs": "api/test_runs.py::test_runs_are_listed_the_newest_first",
    "queue": "runners/test_writer.py::test_a_slow_disk_makes_larger_commits_then_waits",
    "state_interval": "runners/test_keeper.py::test_states_are_stored_as_often_as_asked",
    "massive_key": "ingest/test_venues.py::test_a_refused_key_stops_with_the_reason",
    "retrain_cooldown": "runners/test_monitors.py::test_training_is_asked_for_once_in_a_cooldown",
    "shadow": "runners/test_schedule.py::test_what_is_promoted_answers_or_challenges",
    "anomaly_rate": "api/test_reference.py::test_a_rate_rarer_than_the_rows_compared_with_is_not_answered",
    "mlflow_uri": "cli/test_monitors.py::test_a_server_that_is_away_is_told_after_training_and_harms_nothing",
    "host": "api/test_serve.py::test_it_refuses_other_machines_without_a_token",
    "port": "services/test_page_live.py::test_real_process_predicts_scores_and_comes_back",
    "token": "api/test_security.py::test_without_a_token_in_the_settings_nothing_is_written",
    "cors": "api/test_security.py::test_browsers_of_other_origins_may_call_where_the_settings_say_so",
    "sql": "api/test_sql.py::test_it_is_off_unless_asked_for",
    "rate_limit": "api/test_security.py::test_a_client_may_ask_only_so_often",
}
"""What is shown by a test elsewhere; the settings of venues and all others are shown below."""


def settings_of(**asked: Any) -> Settings:
    return load_settings(**({"timeframes": ("1m",), "feature_sets": ("bars",)} | asked))


def recorded(settings: Settings, seconds: list[float], *, contiguous: bool = True, ahead: float = 0.0) -> Store:
    """Store trades of these times, received so long before they are stamped."""
    store, stamps = MemoryStore(), [JANUARY_2024 + round(at * SECOND) for at in seconds]
    recorder, heard = Recorder(store, settings, clock=ManualClock(JANUARY_2024)), round(ahead * SECOND)
    lane = recorder.lane(NAME, contiguous=contiguous)
    for number, at in enumerate(stamps, 1):
        one = Frame.of(NAME, trade_id=[number], ts_event=[at], ts_init=[at - heard], price=[1.0], qty=[1.0])
        with store.transaction():
            recorder.feed(lane, one)
    return store


def count(kind: str, **trades: Any) -> Callable[[Settings], int]:
    return lambda settings: len(recorded(settings, **trades).read(kind))


def bound(name: str) -> Callable[[Settings], float]:
    """Return what ingest makes of a setting; what it does is shown by the tests of ingest."""
    return lambda settings: float(getattr(Bounds.of(settings), name))


def longest_wait(settings: Settings) -> float:
    bounds = Bounds.of(settings)
    backoff = Backoff(bounds.backoff, bounds.backoff_cap, Random(1))
    return round(max(backoff.next() for _ in range(200)))


SEEN: dict[str, tuple[Callable[[Settings], Any], dict[Any, Any]]] = {
    "timeframes": (count("candles", seconds=[0, 600, 1200]), {("1m",): 20, ("10m",): 2, ("1m", "10m"): 22}),
    "feature_sets": (count("features", seconds=[0, 600, 1200]), {("bars",): 20, ("bars", "market"): 40}),
    "reorder_window": (count("late_trades", seconds=[0, 10, 7, 20], contiguous=False), {"1s": 1, "5s": 0}),
    "max_quiet": (count("candles", seconds=[0, 7200]), {"1h": 1, "3h": 120}),
    "max_ahead": (count("dead_letters", seconds=[0, 9], ahead=90.0), {"1m": 2, "2m": 0}),
    "backoff_cap": (longest_wait, {"1s": 1, "10s": 10}),
    "gap_timeout": (bound("gap_timeout"), {"1s": 1.0, "2m": 120.0}),
    "backfill": (bound("backfill"), {"1s": 1.0, "2h": 7200.0}),
    "instruments": (
        followed,
        {("A-B.KRAKEN",): {"KRAKEN": ["A-B.KRAKEN"]}, ("A-B.BINANCE",): {"BINANCE": ["A-B.BINANCE"]}},
    ),
    "predict": (
        lambda settings: [(one.timeframe, one.horizon) for one in tasks_of(settings, [NAME])],
        {("1m/1m",): [("1m", MINUTE)], ("1m/5m", "1m/1h"): [("1m", 5 * MINUTE), ("1m", HOUR)]},
    ),
}
BY_EVENTS = {"quiet_grace", "retrain", "monitor"}


def test_every_setting_is_shown_to_do_something(root: Path) -> None:
    venues = {f"{venue.lower()}_{what}" for venue in exchanges() for what in ("url", "rest_url", "feed")}
    shown = [*SHOWN_BY, *SEEN, *BY_EVENTS, *(venues & Settings.model_fields.keys())]
    assert sorted(shown) == sorted(Settings.model_fields)
    for test in SHOWN_BY.values():
        file, _, name = test.partition("::")
        assert f"def {name}(" in (root / "tests" / file).read_text(), test


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, (_, values) in SEEN.items() for value in values])
def test_what_a_setting_changes(name: str, value: Any) -> None:
    see, expected = SEEN[name]
    assert see(settings_of(**{name: value})) == expected[value]


@pytest.mark.parametrize(
    "venue", sorted({name.removesuffix("_url") for name in Settings.model_fields if "_url" in name})
)
def test_where_a_venue_is_reached_and_by_which_feed(venue: str) -> None:
    venue = venue.removesuffix("_rest")
    feed = exchanges()[venue.upper()].feeds[-1].name
    moved = {f"{venue}_url": "http://a:1", f"{venue}_rest_url": "http://b:2", f"{venue}_feed": feed}
    place = place_of(venue.upper(), load_settings(massive_key="key", **moved))
    assert (place.feed.name, place.rest_url) == (feed, "http://b:2")
    assert place.ws_url.startswith("ws://a:1")


@pytest.mark.parametrize(("grace", "closed"), [("1s", 2), ("30s", 1)])
async def test_quiet_grace(grace: str, closed: int) -> None:
    store, clock = MemoryStore(), ManualClock(JANUARY_2024)
    settings = settings_of(quiet_grace=grace)
    async with Writer(lambda: store, settings, clock=clock, timer=clock.now) as writer:
        stamps = [JANUARY_2024 + at * SECOND for at in (1, 61)]
        await writer.take(
            Delivery((Frame.of(NAME, trade_id=[1, 2], ts_event=stamps, price=[1, 1], qty=[1, 1]),), contiguous=True)
        )
        await writer.standing(NAME)
        clock.advance(70 * SECOND)
        writer.shown("SIM", clock.now())
        writer.live([NAME], 0)
        await writer.call(Keeper.tick)
        assert len(store.read("candles")) == closed


@asynccontextmanager
async def going_on(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        async with asyncio.timeout(LONG):
            yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_retrain(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is trained once for each target at the start, then again and again."""
    learner = Learner(settings_of(retrain="1ms"), lambda: pytest.fail("read"), MagicMock(), clock=ManualClock(0))
    tried = asyncio.Semaphore(0)

    async def learn(task: Task, asked: Any) -> Any:
        tried.release()
        raise NotEnoughData("it", "has no row")

    async def champion(task: Task, target: str) -> str:
        return "huber"

    monkeypatch.setattr(learner, "learn", learn)
    monkeypatch.setattr(learner, "_champion", champion)
    async with going_on(learner.keep_learning([Task(NAME, "1m", MINUTE)], tell=lambda event, **what: None)):
        for _ in range(5):
            await tried.acquire()


async def test_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    monitors = Monitors(settings_of(monitor="1ms"), lambda: pytest.fail("read"), Hub(), clock=ManualClock(0))
    measured = asyncio.Semaphore(0)

    async def measure() -> None:
        measured.release()

    monkeypatch.setattr(monitors, "measure", measure)
    async with going_on(monitors.run()):
        for _ in range(5):
            await measured.acquire()
