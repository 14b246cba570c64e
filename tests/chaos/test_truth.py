"""The checks of the storms can fail: whatever is planted in what is stored is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from tests.chaos.truth import Stored, proven_wrong, unproven_wrong

from tapeline.clock import SECOND, ManualClock
from tapeline.config import load_settings
from tapeline.ingest.base import Delivery, Missing
from tapeline.runners.keeper import Keeper
from tapeline.runners.watch import Taken
from tapeline.simulator.market import JANUARY_2024, Market
from tapeline.stores.memory import MemoryStore
from tapeline.types import Frame

NAME = "BTC-USD.SIM"
SETTINGS = load_settings(timeframes=("1s", "10s"), feature_sets=("bars",))
TRUTH = Frame.concat(list(Market(5, instrument=NAME, trades_per_second=2.0).frames(trades=300)))
LOST = (200, 204)


@pytest.fixture(scope="module")
def stored() -> Stored:
    """Return what a keeper stores of the truth, less some trades that were given up."""
    store, clock = MemoryStore(), ManualClock(JANUARY_2024)
    keeper = Keeper(lambda: store, SETTINGS, clock=clock, timer=clock.now)
    told = TRUTH.take((TRUTH.trade_id < LOST[0]) | (TRUTH.trade_id > LOST[1]))
    keeper.commit([Taken(Delivery((told,)), clock.now())])
    keeper.give_up(Missing(NAME, *LOST, 0, 0))
    clock.advance(60 * SECOND)
    keeper.live([NAME], clock.now())
    keeper.tick()
    return Stored.of(store, NAME, SETTINGS.timeframes)


def test_what_is_true_is_not_blamed(stored: Stored) -> None:
    assert stored.named.tolist() == list(range(LOST[0], LOST[1] + 1))
    assert proven_wrong(stored, TRUTH, SETTINGS) == []
    assert unproven_wrong(stored, TRUTH, loses=True) == []


def without(frame: Frame, row: int) -> Frame:
    return frame.take(np.arange(len(frame)) != row)


def doubled(frame: Frame, row: int) -> Frame:
    return Frame.concat([frame, frame.take(slice(row, row + 1))])


def altered(frame: Frame, row: int, column: str = "price") -> Frame:
    changed = frame.take(slice(None, None))
    values = getattr(changed, column).copy()
    values[row] += 1
    return replace(changed, **{column: values})


def renumbered(frame: Frame, row: int) -> Frame:
    return replace(frame, trade_id=np.where(frame.trade_id == frame.trade_id[row], 10**9, frame.trade_id))


@pytest.mark.parametrize(
    ("plant", "named"),
    [
        (lambda frame: without(frame, 50), r"1 ids missing, and not named: \[51\]"),
        (lambda frame: without(frame, -1 % len(frame)), r"missing, and not named: \[300\]"),
        (lambda frame: doubled(frame, 50), r"1 ids stored twice: \[51\]"),
        (lambda frame: altered(frame, 50), "trade 51 price"),
        (lambda frame: altered(frame, 50, "ts_event"), "trade 51 ts_event"),
        (lambda frame: altered(frame, 50, "side"), "trade 51 side"),
        (lambda frame: renumbered(frame, 50), "never happened: .1000000000"),
    ],
)
def test_a_false_trade_is_named(stored: Stored, plant: Callable[[Frame], Frame], named: str) -> None:
    wrong = proven_wrong(replace(stored, frame=plant(stored.frame)), TRUTH, SETTINGS)
    with pytest.raises(AssertionError, match=named):
        assert not wrong, wrong


def test_a_trade_is_not_named_as_missing_and_stored(stored: Stored) -> None:
    frame = Frame.concat([stored.frame, TRUTH.take(TRUTH.trade_id == LOST[0])])
    assert "said to miss, and stored: [200]" in proven_wrong(replace(stored, frame=frame), TRUTH, SETTINGS)[0]


def test_an_open_gap_is_named(stored: Stored) -> None:
    gaps = [*stored.gaps, {"first_missing": 1, "last_missing": 1, "status": "open"}]
    assert "neither healed nor named" in proven_wrong(replace(stored, gaps=gaps), TRUTH, SETTINGS)[0]


@pytest.mark.parametrize("column", ["close", "volume", "trades", "complete"])
def test_a_false_candle_is_named(stored: Stored, column: str) -> None:
    candles = stored.candles["1s"].copy()
    candles[column][7] = not candles[column][7] if column == "complete" else candles[column][7] + 1
    wrong = proven_wrong(replace(stored, candles={**stored.candles, "1s": candles}), TRUTH, SETTINGS)
    assert len(wrong) == 1
    assert f"{candles['open_time'][7]} {column}: stored" in wrong[0]


def test_a_missing_candle_is_named(stored: Stored) -> None:
    candles = {**stored.candles, "10s": np.delete(stored.candles["10s"], 3)}
    assert "10s: " in proven_wrong(replace(stored, candles=candles), TRUTH, SETTINGS)[0]


@pytest.mark.parametrize(
    ("plant", "named"),
    [
        (lambda frame: without(frame, 50), "1 trades missing, 0 late"),
        (lambda frame: doubled(frame, 50), "stored twice"),
        (lambda frame: altered(frame, 50), "never happened"),
    ],
)
def test_where_ids_prove_nothing_content_does(stored: Stored, plant: Callable[[Frame], Frame], named: str) -> None:
    told = TRUTH.take(np.isin(TRUTH.trade_id, stored.frame.trade_id))
    assert unproven_wrong(stored, told) == []
    assert named in unproven_wrong(replace(stored, frame=plant(stored.frame)), told)[0]
