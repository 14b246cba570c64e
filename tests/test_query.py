"""Reading answers with what is stored where that is current, otherwise with a fold, and says whose numbers they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tests.stored import IMPORTED, SETTINGS, START, TRADED, fill, trades

from tapeline import query
from tapeline.clock import MINUTE
from tapeline.errors import UnknownName, UsageError
from tapeline.features import FeatureSet
from tapeline.stores import rows
from tapeline.stores.memory import MemoryStore
from tapeline.types import Decision, DecisionKind


@pytest.fixture(scope="module")
def store() -> MemoryStore:
    store = MemoryStore()
    fill(store)
    return store


def resampled(timeframe: str) -> pd.DataFrame:
    """Candles as pandas makes them of the same trades, without the last one, which is still running."""
    frame = trades()
    times = pd.to_datetime(frame.ts_event)
    prices = pd.Series(frame.price, index=times).resample(timeframe)
    volume = pd.Series(frame.qty, index=times).resample(timeframe).sum()
    made = prices.ohlc()
    close = made["close"].ffill()
    quiet: pd.DataFrame = made.apply(lambda column: column.fillna(close))
    whole: pd.DataFrame = quiet.assign(volume=volume, trades=prices.count())
    return whole.iloc[:-1]


@pytest.mark.parametrize(("timeframe", "rule", "stored"), [("1m", "1min", True), ("2m", "2min", False)])
def test_candles_are_those_of_pandas_stored_or_folded(
    store: MemoryStore, timeframe: str, rule: str, stored: bool
) -> None:
    found = query.candles(store, SETTINGS, TRADED, timeframe)
    expected = resampled(rule)
    assert (found.source, found.stored, found.note) == ("trades", stored, "")
    assert found.records["open_time"].tolist() == expected.index.astype("int64").tolist()
    for name in ("open", "high", "low", "close", "trades"):
        assert found.records[name].tolist() == expected[name].tolist()
    np.testing.assert_allclose(found.records["volume"], expected["volume"], rtol=1e-12)


@pytest.mark.parametrize("timeframe", ["1m", "2m"])
def test_times_are_half_open_and_the_limit_takes_the_last(store: MemoryStore, timeframe: str) -> None:
    everything = query.candles(store, SETTINGS, TRADED, timeframe).records["open_time"]
    start, end = int(everything[1]), int(everything[4])
    cut = query.candles(store, SETTINGS, TRADED, timeframe, start, end)
    assert cut.records["open_time"].tolist() == everything[1:4].tolist()
    last = query.candles(store, SETTINGS, TRADED, timeframe, start, end, limit=2)
    assert last.records["open_time"].tolist() == everything[2:4].tolist()


def test_stored_features_are_those_folded_for_the_answer(store: MemoryStore) -> None:
    stored = query.features(store, SETTINGS, TRADED, "1m", "bars")
    folded = query.features(store, SETTINGS.model_copy(update={"max_quiet": "1d"}), TRADED, "1m", "bars")
    assert (stored.stored, folded.stored) == (True, False)
    assert len(stored.rows) == len(resampled("1min"))
    np.testing.assert_array_equal(stored.rows.values, folded.rows.values)
    np.testing.assert_array_equal(stored.rows.as_of, folded.rows.as_of)
    np.testing.assert_array_equal(stored.rows.complete, folded.rows.complete)
    ma_5 = query.candles(store, SETTINGS, TRADED, "1m").records["close"][-5:].mean()
    table = stored.table()
    assert table["ma_5"][-1].as_py() == pytest.approx(ma_5, rel=1e-12)
    assert table["ma_5"].null_count == 4
    assert table.schema.field("as_of").type == pa.timestamp("ns", "UTC")


def test_feature_rows_are_cut_by_as_of(store: MemoryStore) -> None:
    as_of = query.features(store, SETTINGS, TRADED, "2m", "bars").rows.as_of
    cut = query.features(store, SETTINGS, TRADED, "2m", "bars", int(as_of[1]), int(as_of[4]), limit=2)
    assert cut.rows.as_of.tolist() == as_of[2:4].tolist()


@pytest.mark.parametrize("mark", ["stale: earlier trades were added", "folding: earlier trades were added"])
def test_what_is_marked_stale_is_folded_and_says_so(mark: str) -> None:
    store = MemoryStore()
    fill(store)
    whole = query.candles(store, SETTINGS, TRADED, "1m").table()
    state = store.read("states").to_pylist()[0]
    store.upsert("states", rows.from_dicts("states", state | {"layout": mark + state["layout"]}))
    store.delete("candles", TRADED, end=START + 3 * MINUTE)
    found = query.candles(store, SETTINGS, TRADED, "1m")
    assert not found.stored
    assert found.note == (
        f"{TRADED}: what is stored is not current ({mark}): folded anew; next: tapeline rebuild {TRADED}"
    )
    assert found.table().equals(whole)
    assert query.features(store, SETTINGS, TRADED, "1m", "bars").note == found.note


def test_numbers_of_other_settings_are_not_given(store: MemoryStore) -> None:
    other = SETTINGS.model_copy(update={"max_quiet": "1d"})
    found = query.candles(store, other, TRADED, "1m")
    assert not found.stored
    assert "the settings or the code of a feature changed" in found.note


@pytest.mark.parametrize("chosen", [{"timeframes": ("1h",)}, {"feature_sets": ()}])
def test_what_is_stored_is_current_whatever_the_reader_would_store(store: MemoryStore, chosen: dict[str, Any]) -> None:
    reader = SETTINGS.model_copy(update=chosen)
    for timeframe in ("1m", "5m"):
        found = query.candles(store, reader, TRADED, timeframe)
        assert (found.stored, found.note) == (True, "")
        made = query.features(store, reader, TRADED, timeframe, "bars")
        assert (made.stored, made.note) == (True, "")
    other = query.candles(store, reader, TRADED, "1h")
    assert (other.stored, other.note) == (False, "")


def test_a_stored_set_that_is_not_known_here_makes_all_be_folded(store: MemoryStore) -> None:
    state = store.read("states").to_pylist()[0]
    copy = MemoryStore()
    fill(copy)
    snapshot = state["snapshot"].replace(b'"bars"', b'"mine"')
    copy.upsert("states", rows.from_dicts("states", state | {"snapshot": snapshot}))
    found = query.candles(copy, SETTINGS, TRADED, "1m")
    assert not found.stored
    assert "mine" in found.note


def test_a_damaged_state_makes_all_be_folded() -> None:
    store = MemoryStore()
    fill(store)
    whole = query.candles(store, SETTINGS, TRADED, "1m").table()
    store.upsert("states", rows.from_dicts("states", store.read("states").to_pylist()[0] | {"snapshot": b"rubbish"}))
    found = query.candles(store, SETTINGS, TRADED, "1m")
    assert not found.stored
    assert "is no snapshot of a pipeline" in found.note
    assert found.table().equals(whole)


def test_a_fold_for_an_answer_takes_the_decisions_on_the_tape() -> None:
    frame = trades()
    store = MemoryStore()
    fill(store, frame.take(frame.trade_id != 1000))
    give_up = Decision(TRADED, DecisionKind.GIVE_UP, 999, 1000)
    store.append("decisions", rows.from_decisions([give_up], first_seq=1))
    store.append("trades", rows.from_frame(frame.take(frame.trade_id > 1000)))
    found = query.candles(store, SETTINGS, TRADED, "2m").records
    assert len(found) == len(resampled("2min"))
    lost = int(frame.ts_event[999])
    held = (found["open_time"] <= lost) & (lost < found["close_time"])
    assert not found["complete"][held].any()
    assert found["complete"][~held][1:].all()


def test_imported_candles_answer_alone_and_say_so(store: MemoryStore) -> None:
    found = query.candles(store, SETTINGS, IMPORTED, "60s", START + MINUTE)
    assert (found.source, found.timeframe, found.records["close"].tolist()) == ("imported", "1m", [11.0, 12.0, 13.0])
    table = found.table()
    assert table["trades"].to_pylist() == table["vwap"].to_pylist() == [None] * 3
    assert table["source"].to_pylist() == ["imported"] * 3
    made = query.features(store, SETTINGS, IMPORTED, "1m", FeatureSet.of(["sma(2)"]))
    assert (made.source, made.rows.complete.tolist()) == ("imported", [False, True, True, False])


def test_imported_candles_are_not_mixed_with_our_own() -> None:
    store = MemoryStore()
    fill(store)
    foreign = rows.to_candles(store.read("candles", instrument=IMPORTED))
    store.append("candles", rows.from_candles(TRADED, "1m", foreign, source="imported"))
    for timeframe in ("1m", "2m"):
        assert query.candles(store, SETTINGS, TRADED, timeframe).source == "trades"
        assert not np.isin(query.candles(store, SETTINGS, TRADED, timeframe).records["close"], [10.0, 11.0]).any()


def test_refusals_name_what_there_is(store: MemoryStore) -> None:
    with pytest.raises(UnknownName, match=rf"^instrument X\.Y: is not in this database: .* {TRADED}, was 'X\.Y'; "):
        query.candles(store, SETTINGS, "X.Y", "1m")
    with pytest.raises(UsageError, match=r"^ETH-USD\.SIM 5m: cannot .* expected the timeframe imported: 1m, was '5m'"):
        query.candles(store, SETTINGS, IMPORTED, "5m")
    with pytest.raises(UsageError, match=r"^timeframe 7m: is not a timeframe"):
        query.candles(store, SETTINGS, TRADED, "7m")
    with pytest.raises(UnknownName, match=r"^feature set nope: is not known: expected one of bars, "):
        query.features(store, SETTINGS, TRADED, "1m", "nope")
    with pytest.raises(UsageError, match=r"^times: are empty: expected start before end, was '2024-01-01T00:01:00Z to"):
        query.candles(store, SETTINGS, TRADED, "1m", START + MINUTE, START)
    with pytest.raises(UnknownName, match="one of: nothing imported yet"):
        query.known(MemoryStore(), TRADED)
