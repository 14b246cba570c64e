"""Trades that come late for a gap change what intervals followed: that is said, and everything else still proven."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tests.test_serving import CLOCK, NAME, TAIL, trained

from tapeline.clock import MINUTE
from tapeline.config import Settings, load_settings
from tapeline.explain import explain, recompute
from tapeline.importing import import_files
from tapeline.learning.artifact import model_name
from tapeline.recorder import Recorder
from tapeline.serving import Champion, champion_loader
from tapeline.stores import rows
from tapeline.stores.base import KINDS
from tapeline.stores.memory import MemoryStore
from tapeline.types import Decision, DecisionKind, Prediction
from tapeline.verify import verify

FIRST, LAST, END = 200, 215, 700


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
    missing = TAIL.take(slice(FIRST, LAST))
    with store.transaction():
        recorder.feed(lane, Decision(NAME, DecisionKind.MODEL, position, closed, champion.key))
        recorder.feed(lane, TAIL.take(slice(0, FIRST)))
        recorder.feed(lane, TAIL.take(slice(LAST, 300)))
        last = int(missing.trade_id[-1])
        recorder.feed(lane, Decision(NAME, DecisionKind.GIVE_UP, int(missing.trade_id[0]) - 1, last))
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
    pq.write_table(pa.table(rows.from_frame(missing)).cast(schema), file)
    import_files([file], store, settings, clock=CLOCK)
    after = [one for one in before if one.as_of > int(missing.ts_event[-1])]
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
