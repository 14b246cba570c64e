"""What a model meets in service is what it met in training; a stored prediction can be recomputed to the bit."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.windowed import Windowed

from tapeline.clock import DAY, MINUTE, ManualClock
from tapeline.config import Settings, load_settings
from tapeline.errors import NotEnoughData, UnknownName, UsageError
from tapeline.explain import explain, recompute
from tapeline.importing import import_files
from tapeline.learning.artifact import model_name
from tapeline.learning.fitting import fit
from tapeline.learning.folds import WalkForward
from tapeline.model_rows import dataset_of, leaks_of, learning_set, model_rows
from tapeline.models import base
from tapeline.pipeline import Pipeline
from tapeline.recorder import Recorder
from tapeline.registry import Registry
from tapeline.runs import Run, train_instrument
from tapeline.serving import Champion, champion_loader, predict_latest
from tapeline.simulator.market import JANUARY_2024, Market
from tapeline.stores import rows
from tapeline.stores.base import KINDS
from tapeline.stores.memory import MemoryStore
from tapeline.train import TrainSettings
from tapeline.types import Decision, DecisionKind, Frame, Prediction
from tapeline.verify import verify

NAME = "BTC-USD.SIM"
CLOCK = ManualClock(JANUARY_2024 + 10 * DAY)
TAPE = Frame.concat(list(Market(3, trades_per_second=0.2, edge=0.2, edge_horizon=5 * MINUTE).frames(trades=9000)))
HEAD, TAIL = TAPE.take(slice(0, 8000)), TAPE.take(slice(8000, None))


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(timeframes=("1m",), feature_sets=("bars",), runs=tmp_path_factory.mktemp("runs"))


def trained(settings: Settings, folder: Path, **asked: object) -> tuple[MemoryStore, Run]:
    store = MemoryStore()
    file = folder / "a.parquet"
    schema = KINDS["trades"].schema.with_metadata({"tapeline": "1"})
    pq.write_table(pa.table(rows.from_frame(HEAD)).cast(schema), file)
    import_files([file], store, settings, clock=CLOCK)
    plan = TrainSettings(models=("huber", "logistic"), plan=WalkForward(folds=3), resamples=200, seed=1)
    run = train_instrument(
        store,
        settings,
        NAME,
        timeframe="1m",
        horizon=5 * MINUTE,
        feature_set="bars",
        asked=replace(plan, **asked),  # type: ignore[arg-type]
        clock=CLOCK,
    )
    return store, run


@pytest.fixture(scope="module")
def champion_of(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[MemoryStore, Run]:
    return trained(settings, tmp_path_factory.mktemp("data"))


def newest(store: MemoryStore, settings: Settings, clock: ManualClock = CLOCK) -> Prediction:
    """Return what the only champions say of the newest row."""
    (made,) = predict_latest(store, settings, NAME, clock=clock)
    assert isinstance(made, Prediction)
    return made


def test_a_run_is_written_and_its_champion_registered(champion_of: tuple[MemoryStore, Run]) -> None:
    store, run = champion_of
    kept = {"report.html", "report.json", "settings.json", "folds.csv", "errors.png", "work"}
    assert {file.name for file in run.folder.iterdir()} == kept
    entries = {entry.target: entry for entry in Registry(store).entries(NAME)}
    assert {entry.status for entry in entries.values()} == {"champion"}
    report = run.training.report
    assert entries["return"].model == report["champion"]
    assert entries["return"].version == report["targets"]["return"]["version"]


def test_no_input_knows_the_future(champion_of: tuple[MemoryStore, Run], settings: Settings) -> None:
    store, _ = champion_of
    data = model_rows(store, settings, NAME, "1m", learning_set("technical", "1m", 5 * MINUTE))
    assert leaks_of(data) == []


def test_the_newest_row_is_predicted_once(champion_of: tuple[MemoryStore, Run], settings: Settings) -> None:
    store, run = champion_of
    first = newest(store, settings)
    again = newest(store, settings, ManualClock(CLOCK.now() + 1))
    assert first == again
    assert first.made_at == CLOCK.now()
    assert first.target_time == first.as_of + 5 * MINUTE
    assert first.model.split("+")[0] == run.training.report["champion"]
    assert first.low <= first.value <= first.high
    assert predict_latest(store, settings, NAME, clock=CLOCK, timeframe="1m", horizon="5m") == [first]


def test_an_explanation_recomputes_the_same_bits(champion_of: tuple[MemoryStore, Run], settings: Settings) -> None:
    store, _ = champion_of
    made = newest(store, settings)
    told = explain(store, settings, made.id[:10])
    assert told["matches"]
    assert told["candle"]["close_time"] == made.as_of
    found = told["explanation"]["targets"]["return"]
    assert found["base"] + sum(part["added"] for part in found["contributions"]) == pytest.approx(made.value)


def test_a_tampered_prediction_is_found(champion_of: tuple[MemoryStore, Run], settings: Settings) -> None:
    store, _ = champion_of
    made = newest(store, settings)
    store.upsert("predictions", rows.from_predictions([replace(made, value=made.value + 1e-12)]))
    findings = [finding for found, *_ in recompute(store, settings) for finding in found]
    assert [(finding.table, finding.key, finding.field) for finding in findings] == [("predictions", made.id, "value")]
    assert not explain(store, settings, made.id)["matches"]
    store.upsert("predictions", rows.from_predictions([made]))


def look_back(store: MemoryStore, settings: Settings, run: Run) -> None:
    """Let a model answer that looks at the last 7 rows."""
    before = next(one for one in run.training.artifacts if one.target == "return")
    data = dataset_of(model_rows(store, settings, NAME, "1m", learning_set("bars", "1m", 5 * MINUTE)), 5 * MINUTE)
    model = fit(Windowed, data.for_target("return", Windowed.window), seed=1)
    made = replace(before, model="windowed", content=model.dump().decode())
    Registry(store).register(made, now=CLOCK.now())
    Registry(store).promote(made.name, made.version, now=CLOCK.now())


@pytest.mark.parametrize("window", [1, 7])
def test_live_predictions_are_those_of_training_rows_and_of_a_replay(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    entry = EntryPoint("theirs", "tests.windowed", "tapeline.models")
    monkeypatch.setattr(base, "entry_points", lambda group: [entry])
    store, run = trained(settings, tmp_path, models=("huber", "logistic"))
    if window > 1:
        look_back(store, settings, run)
    recorder = Recorder(store, settings, clock=CLOCK, load_model=champion_loader(store))
    lane = recorder.lane(NAME)
    champion = Champion.of(store, model_name(NAME, "1m", 5 * MINUTE))
    assert champion.predictor.window == window
    closed = int(lane.pipeline.running()["1m"]["open_time"][0])
    position = lane.pipeline.ledger.next_id - 1
    with store.transaction():
        recorder.feed(lane, Decision(NAME, DecisionKind.MODEL, position, closed, champion.key))
        recorder.write_state(lane)
    for at in range(0, len(TAIL), 130):
        restarted = Recorder(store, settings, clock=CLOCK, load_model=champion_loader(store))
        lane = restarted.lane(NAME)
        with store.transaction():
            restarted.feed(lane, TAIL.take(slice(at, at + 130)))
            restarted.write_state(lane)
    live = rows.to_predictions(store.read("predictions"))
    data = model_rows(store, settings, NAME, "1m", champion.features)
    known = np.isfinite(data.inputs).all(axis=1) & data.rows.complete & (data.rows.as_of > closed)
    assert [one.as_of for one in live] == data.rows.as_of[known].tolist()
    assert len(live) > 50
    report = verify(store, settings)
    assert report.findings == []
    assert report.checked["predictions"] == len(live)
    told = explain(store, settings, live[len(live) // 2].id)
    assert told["matches"], told["differences"]
    (newest,) = predict_latest(store, settings, NAME, clock=CLOCK)
    assert newest == live[-1]
    store.delete("predictions", NAME)
    (again,) = predict_latest(store, settings, NAME, clock=CLOCK)
    assert replace(again, made_at=newest.made_at) == newest
    ends_that_follow(store, champion, live)


def ends_that_follow(store: MemoryStore, champion: Champion, live: list[Prediction]) -> None:
    """Look whether intervals moved, and whether a model loaded now stands where the one that answered stands."""
    ours = champion.predictor.artifact
    assert 0 < ours.interval_rate < 0.1
    ratio = {round((one.high - one.value) / (one.value - one.low), 6) for one in live}
    assert len(ratio) > len(live) // 3
    load = champion_loader(store)
    _, early = load(champion.key, live[len(live) // 2].as_of)
    loaded, late = load(champion.key, live[-1].as_of)
    candles = rows.to_candles(store.read("candles", instrument=NAME, timeframe="1m", source="trades"))
    between = candles["close_time"] > live[len(live) // 2].as_of
    between &= candles["close_time"] <= live[-1].as_of
    answering, fold = load(champion.key, 0)
    fold.restore(early.snapshot())
    said = answering.predict(NAME, fold.feed(candles[between]), candles["close"][between])
    assert [replace(one, made_at=0) for one in said] == [replace(one, made_at=0) for one in live[len(live) // 2 + 1 :]]
    assert fold.snapshot() == late.snapshot()
    assert loaded.key == champion.key


def test_a_model_without_a_loader_is_refused(settings: Settings) -> None:
    from tapeline.errors import BrokenInvariant
    from tapeline.recorder import layout_of

    pipeline = Pipeline(NAME, layout_of(settings, contiguous=True))
    with pytest.raises(BrokenInvariant, match="has no way to load it"):
        pipeline.feed(Decision(NAME, DecisionKind.MODEL, 0, 0, "x@1"))


def test_a_run_without_an_edge_keeps_the_baseline(settings: Settings, tmp_path: Path) -> None:
    store, run = trained(settings, tmp_path, models=())
    assert run.training.report["champion"] in {"last_price", "drift", "momentum", "mean_reversion", "seasonal"}
    assert not run.training.report["promoted"]
    (made,) = predict_latest(store, settings, NAME, clock=CLOCK)
    assert explain(store, settings, made.id)["matches"]


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        ({"instrument": "ETH-USD.SIM"}, "instrument ETH-USD.SIM: is not in this database"),
        ({"horizon": 90_000_000_000}, "horizon"),
        ({"feature_set": "nosuch"}, "feature set nosuch: is not known: expected one of bars, market, technical"),
        ({"timeframe": "7m"}, "timeframe 7m: is not a timeframe"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    champion_of: tuple[MemoryStore, Run], settings: Settings, ask: dict[str, object], text: str
) -> None:
    store, _ = champion_of
    given = {"instrument": NAME, "timeframe": "1m", "horizon": 5 * MINUTE, "feature_set": "bars"} | ask
    with pytest.raises(UsageError, match=text):
        train_instrument(
            store,
            settings,
            str(given.pop("instrument")),
            asked=TrainSettings(),
            clock=CLOCK,
            **given,  # type: ignore[arg-type]
        )


def test_what_was_never_trained_or_predicted_is_said(settings: Settings) -> None:
    store = MemoryStore()
    with pytest.raises(UnknownName, match="nothing imported yet"):
        predict_latest(store, settings, NAME, clock=CLOCK)
    with pytest.raises(UnknownName, match="prediction abc: is not stored"):
        explain(store, settings, "abc")
    with pytest.raises((UnknownName, NotEnoughData)):
        model_rows(store, settings, NAME, "1m", learning_set("bars", "1m", MINUTE))
