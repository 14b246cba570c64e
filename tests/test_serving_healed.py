"""Trades that come late for a gap change what intervals followed: that is said, and everything else still proven."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.test_serving import CLOCK, HEAD, NAME, TAIL, trained

from tapeline.clock import MINUTE
from tapeline.config import Settings, load_settings
from tapeline.explain import explain, recompute
from tapeline.importing import import_files
from tapeline.lane import STALE
from tapeline.learning.artifact import model_name
from tapeline.recorder import Recorder
from tapeline.refold import refold
from tapeline.serving import Champion, champion_loader
from tapeline.stores import rows
from tapeline.stores.base import KINDS
from tapeline.stores.memory import MemoryStore
from tapeline.types import Decision, DecisionKind, Prediction
from tapeline.verify import verify

FIRST, LAST, END = 200, 215, 700
MISSING = TAIL.take(slice(FIRST, LAST))


def predictions(store: MemoryStore) -> list[Prediction]:
    return rows.to_predictions(store.read("predictions"))


def differing(store: MemoryStore, settings: Settings) -> list[str]:
    return [finding.field for findings, *_ in recompute(store, settings) for finding in findings]


def test_a_gap_that_is_healed_later_leaves_intervals_unproven(tmp_path: Path) -> None:
    settings = load_settings(timeframes=("1m",), feature_sets=("bars",), runs=tmp_path / "runs")
    store, _ = trained(settings, tmp_path, models=())
    recorder = Recorder(store, settings, clock=CLOCK, load_model=champion_loader(store))
    lane = recorder.lane(NAME)
    champion = Champion.of(store, model_name(NAME, "1m", 5 * MINUTE))
    closed = int(lane.pipeline.running()["1m"]["open_time"][0])
    position = lane.pipeline.ledger.next_id - 1
    with store.transaction():
        recorder.feed(lane, Decision(NAME, DecisionKind.MODEL, position, closed, champion.key))
        recorder.feed(lane, TAIL.take(slice(0, FIRST)))
        recorder.feed(lane, TAIL.take(slice(LAST, 300)))
        last = int(MISSING.trade_id[-1])
        recorder.feed(lane, Decision(NAME, DecisionKind.GIVE_UP, int(MISSING.trade_id[0]) - 1, last))
        recorder.feed(lane, TAIL.take(slice(300, END)))
        recorder.write_state(lane)
    before = predictions(store)
    altered = replace(before[-1], high=before[-1].high + 1e-15)
    assert differing(store, settings) == []
    store.upsert("predictions", rows.from_predictions([altered]))
    assert differing(store, settings) == ["high"]
    store.upsert("predictions", rows.from_predictions([before[-1]]))

    file = tmp_path / "late.parquet"
    schema = KINDS["trades"].schema.with_metadata({"tapeline": "1"})
    pq.write_table(pa.table(rows.from_frame(MISSING)).cast(schema), file)
    import_files([file], store, settings, clock=CLOCK)
    after = [one for one in before if one.as_of > int(MISSING.ts_event[-1])]
    report = verify(store, settings)
    assert report.findings == []
    (told,) = report.unproven
    assert f"predictions of {champion.key}: made before a gap was healed: the interval followed other candles" in told
    assert 0 < int(told.split()[0]) <= len(after)
    assert report.checked["predictions"] == len(predictions(store)) - int(told.split()[0])
    why = explain(store, settings, after[-1].id)
    assert not why["matches"]
    assert {one["field"] for one in why["differences"]} <= {"low", "high"}
    assert "before a gap was healed" in why["recomputed"]
    store.upsert("predictions", rows.from_predictions([replace(before[-1], value=1.0)]))
    assert "value" in differing(store, settings)


@pytest.mark.services
def test_trades_that_came_late_leave_what_was_said_before_them_unproven(tmp_path: Path) -> None:
    """A candle is closed by the clock, then trades of it come: they join it when the tape is folded anew."""
    settings = load_settings(timeframes=("1m",), feature_sets=("bars",), runs=tmp_path / "runs")
    store, _ = trained(settings, tmp_path, models=())
    recorder = Recorder(store, settings, clock=CLOCK, load_model=champion_loader(store))
    lane = recorder.lane(NAME)
    champion = Champion.of(store, model_name(NAME, "1m", 5 * MINUTE))
    minute = TAIL.ts_event // MINUTE
    at = next(at for at in range(FIRST, END) if minute[at - 1] == minute[at])
    late = minute[at:] == minute[at - 1]
    rest = replace(TAIL.take(slice(at, END)), ts_init=np.where(late, CLOCK.now() + 1, TAIL.ts_init[at:])[: END - at])
    position, closed = int(TAIL.trade_id[0]) - 1, int(lane.pipeline.running()["1m"]["open_time"][0])
    with store.transaction():
        recorder.feed(lane, Decision(NAME, DecisionKind.MODEL, position, closed, champion.key))
        recorder.feed(lane, TAIL.take(slice(0, at)))
        until = int(minute[at] + 1) * MINUTE
        recorder.feed(lane, Decision(NAME, DecisionKind.CLOCK, int(TAIL.trade_id[at - 1]), until))
        recorder.feed(lane, rest)
        recorder.write_state(lane)
    assert verify(store, settings).clean
    lane.stale = f"{STALE}a test"
    assert sum(refold(recorder, lane)) == len(HEAD) + END
    report = verify(store, settings)
    assert report.findings == []
    (told,) = report.unproven
    assert f"predictions of {champion.key}: made before trades of its past came" in told
    assert 0 < int(told.split()[0]) == report.unproven_predictions < len(predictions(store))
    changed = next(one for one in predictions(store) if not explain(store, settings, one.id)["matches"])
    assert "before trades of its past came" in explain(store, settings, changed.id)["recomputed"]
    untouched = next(one for one in predictions(store) if one.as_of < until)
    store.upsert("predictions", rows.from_predictions([replace(untouched, value=1.0)]))
    assert differing(store, settings) == ["value"]
