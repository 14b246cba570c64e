"""Champions in the live process: no prediction is missed or made twice when one takes over, wherever it is killed."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.test_serving import CLOCK, NAME, TAIL, trained

from tapeline.clock import MINUTE
from tapeline.config import Settings, load_settings
from tapeline.errors import UnknownName
from tapeline.explain import explain, recompute
from tapeline.ingest.base import Delivery
from tapeline.learning.fitting import fit
from tapeline.model_rows import dataset_of, learning_set, model_rows
from tapeline.models.base import find_models
from tapeline.registry import Registry
from tapeline.runners.keeper import Keeper
from tapeline.runners.watch import Taken
from tapeline.runs import Run
from tapeline.serving import Champion, keep_definition, newest_said, predict_latest
from tapeline.stores import rows
from tapeline.stores.base import KINDS
from tapeline.stores.memory import MemoryStore
from tapeline.types import Answer, Prediction
from tapeline.verify import verify

Followed = tuple[MemoryStore, Settings, Run]


def followed(folder: Path, **asked: object) -> Followed:
    """Return a store whose champions were trained on the head of the tape, its settings, and their run."""
    settings = load_settings(timeframes=("1m",), feature_sets=("bars",), runs=folder, state_interval="1h")
    store, run = trained(settings, folder, **asked)
    return store, settings, run


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    return followed(tmp_path_factory.mktemp("learned"))


@pytest.fixture(scope="module")
def baselines(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    return followed(tmp_path_factory.mktemp("baselines"), models=())


def second(store: MemoryStore, settings: Settings, run: Run) -> tuple[str, str]:
    """Register another model for the same task, and return its name and version."""
    before = next(one for one in run.training.artifacts if one.target == "return")
    data = dataset_of(model_rows(store, settings, NAME, "1m", learning_set("bars", "1m", 5 * MINUTE)), 5 * MINUTE)
    model = fit(find_models()["ridge", "return"], data.for_target("return", 1), seed=1)
    made = replace(before, model="ridge", content=model.dump().decode())
    Registry(store).register(made, now=CLOCK.now())
    return made.name, made.version


@pytest.mark.parametrize("killed", [False, True])
def test_a_champion_takes_over_between_two_candles(learned: Followed, killed: bool) -> None:
    store, settings, run = copy.deepcopy(learned[0]), *learned[1:]

    def started() -> Keeper:
        return Keeper(lambda: store, settings, clock=CLOCK, timer=lambda: 0)

    keeper = started()
    closed = store.read("candles").num_rows
    name, version = second(store, settings, run)
    for number, at in enumerate(range(0, len(TAIL), 100)):
        if number == 5:
            keeper.change(lambda store: Registry(store).promote(name, version, now=CLOCK.now()))
        if killed:
            keeper = started()
        keeper.commit([Taken(Delivery((TAIL.take(slice(at, at + 100)),)), 0)])
    keeper.close()
    made = rows.to_predictions(store.read("predictions"))
    data = model_rows(store, settings, NAME, "1m", Champion.of(store, name).features)
    known = np.isfinite(data.inputs).all(axis=1) & data.rows.complete
    assert [one.as_of for one in made] == data.rows.as_of[closed:][known[closed:]].tolist()
    versions = [one.model_version for one in made]
    assert len(set(versions)) == 2
    assert sum(a != b for a, b in pairwise(versions)) == 1
    assert verify(store, settings).findings == []


def describe(store: MemoryStore, settings: Settings, run: Run) -> dict[str, str]:
    """Let models of every other target answer, whatever the gate would say; return their names by target."""
    before = next(one for one in run.training.artifacts if one.target == "return")
    data = dataset_of(model_rows(store, settings, NAME, "1m", learning_set("bars", "1m", 5 * MINUTE)), 5 * MINUTE)
    names = {}
    for model, target in (("hmm", "regime"), ("hmm", "trend"), ("isolation_forest", "anomaly"), ("har", "volatility")):
        kind = find_models()[model, target]
        content = fit(kind, data.for_target(target, kind.window), seed=1).dump().decode()
        made = replace(before, model=model, target=target, content=content)
        Registry(store).register(made, now=CLOCK.now())
        Registry(store).promote(made.name, made.version, now=CLOCK.now())
        names[target] = made.name
    return names


Described = tuple[MemoryStore, Settings, dict[str, str]]


@pytest.fixture(scope="module")
def champions(baselines: Followed) -> Described:
    """Return a store with champions of several targets, their settings, and their names by target."""
    store, settings, run = copy.deepcopy(baselines[0]), *baselines[1:]
    return store, settings, describe(store, settings, run)


def asked_live(champions: Described, *, killed: bool) -> Described:
    """Follow the rest of the tape with champions of several targets."""
    store, settings, names = copy.deepcopy(champions)
    keeper = Keeper(lambda: store, settings, clock=CLOCK, timer=lambda: 0)
    for at in range(0, len(TAIL), 100):
        if killed:
            keeper = Keeper(lambda: store, settings, clock=CLOCK, timer=lambda: 0)
        keeper.commit([Taken(Delivery((TAIL.take(slice(at, at + 100)),)), 0)])
    keeper.close()
    return store, settings, names


def test_every_target_is_answered_live_and_stored_like_a_prediction(champions: Described) -> None:
    store, settings, names = asked_live(champions, killed=False)
    again, _, _ = asked_live(champions, killed=True)
    stored = rows.to_answers(store.read("answers"))
    assert stored == rows.to_answers(again.read("answers"))
    times = {one.as_of for one in rows.to_predictions(store.read("predictions"))}
    assert len(times) > 50
    for target, name in names.items():
        ours = [one for one in stored if one.target == target]
        assert {one.as_of for one in ours} == times
        champion = Champion.of(store, name)
        assert {one.model_version for one in ours} == {champion.predictor.version}
        assert newest_said(store, champion.predictor.artifact) == (
            [list(ours[-1].said)] if len(ours[-1].said) > 1 else list(ours[-1].said),
            ours[-1].as_of,
        )
        told = explain(store, settings, ours[len(ours) // 2].id)
        assert told["matches"], told["differences"]
        assert told["explanation"]["targets"][target]["contributions"]
        quick = explain(store, settings, ours[len(ours) // 2].id, whole=False)
        told.pop("recomputed"), quick.pop("recomputed")
        assert repr(quick) == repr(told)
    report = verify(store, settings)
    assert report.findings == []
    assert report.checked["predictions"] == len(stored) + len(times)


def apart(store: MemoryStore, settings: Settings, run: Run) -> str:
    """Let a direction answer that looks at other features than the return's; return its version."""
    before = next(one for one in run.training.artifacts if one.target == "direction")
    features = learning_set("market", "1m", 5 * MINUTE)
    keep_definition(store, features)
    data = dataset_of(model_rows(store, settings, NAME, "1m", features), 5 * MINUTE)
    content = fit(find_models()["logistic", "direction"], data.for_target("direction", 1), seed=1).dump().decode()
    before = replace(before, feature_set=features.name, feature_version=features.version, columns=data.columns)
    made = replace(before, model="logistic", content=content)
    Registry(store).register(made, now=CLOCK.now())
    Registry(store).promote(made.name, made.version, now=CLOCK.now())
    return made.version


def test_predict_asks_every_champion_and_keeps_what_they_say(champions: Described) -> None:
    store, settings, names = copy.deepcopy(champions)
    told: list[str] = []
    first, *rest = predict_latest(store, settings, NAME, clock=CLOCK, tell=told.append)
    others = [one for one in rest if isinstance(one, Answer)]
    assert isinstance(first, Prediction)
    assert {one.target for one in others} == set(names)
    assert len(others) == len(rest)
    assert rows.to_answers(store.read("answers", instrument=NAME)) == sorted(others, key=lambda one: one.id)
    assert predict_latest(store, settings, NAME, clock=CLOCK) == [first, *others]
    for one in others:
        assert explain(store, settings, one.id)["matches"]
        assert newest_said(store, Champion.of(store, names[one.target]).predictor.artifact) is not None
    assert told == []


def test_a_champion_that_cannot_answer_is_told_and_the_others_do(champions: Described) -> None:
    store, settings, names = copy.deepcopy(champions)
    (row,) = store.read("models", name=names["regime"]).to_pylist()
    store.upsert("models", pa.Table.from_pylist([row | {"artifact": row["artifact"][:-1]}], KINDS["models"].schema))
    told: list[str] = []
    made = predict_latest(store, settings, NAME, clock=CLOCK, tell=told.append)
    assert [getattr(one, "target", "return") for one in made] == ["return", "volatility", "trend", "anomaly"]
    (why,) = told
    assert why.startswith(f"no answer: model {names['regime']}@")


def test_a_direction_of_other_features_answers_apart(baselines: Followed) -> None:
    store, settings, run = copy.deepcopy(baselines[0]), *baselines[1:]
    version = apart(store, settings, run)
    first, answer = predict_latest(store, settings, NAME, clock=CLOCK)
    assert isinstance(first, Prediction)
    assert isinstance(answer, Answer)
    assert np.isnan(first.p_up)
    assert (answer.target, answer.feature_set, answer.model_version) == ("direction", "market", version)
    assert explain(store, settings, answer.id)["matches"]
    keeper = Keeper(lambda: store, settings, clock=CLOCK, timer=lambda: 0)
    keeper.commit([Taken(Delivery((TAIL,)), 0)])
    keeper.close()
    said = {one.as_of for one in rows.to_answers(store.read("answers")) if one.model_version == version}
    assert len(said) > 50
    assert newest_said(store, Registry(store).load(answer_name(), version)) is not None
    assert verify(store, settings).clean


def answer_name() -> str:
    return f"{NAME}_1m_5m_direction"


def test_an_altered_answer_is_found(champions: Described) -> None:
    store, settings, _ = asked_live(champions, killed=False)
    one = rows.to_answers(store.read("answers"))[7]
    store.upsert("answers", rows.from_answers([replace(one, said=(one.said[0] + 1e-15, *one.said[1:]))]))
    told = [finding for found, *_ in recompute(store, settings) for finding in found]
    assert [(finding.table, finding.key, finding.field) for finding in told] == [("answers", one.id, "said")]
    assert not explain(store, settings, one.id)["matches"]


@pytest.mark.parametrize("name", ["close", "volume", "vwap", "trades"])
def test_an_altered_candle_is_found_by_its_trades_alone(champions: Described, name: str) -> None:
    store, settings, _ = copy.deepcopy(champions)
    made = predict_latest(store, settings, NAME, clock=CLOCK)[0]
    assert explain(store, settings, made.id, whole=False)["matches"]
    kept = rows.to_candles(store.read("candles", instrument=NAME, timeframe="1m", source="trades"))
    one = kept[kept["close_time"] == made.as_of]
    one[name] = np.nextafter(one[name], np.inf) if name != "trades" else one[name] + 1
    store.upsert("candles", rows.from_candles(NAME, "1m", one))
    found = explain(store, settings, made.id, whole=False)["differences"]
    assert ("candles", name) in [(finding["table"], finding["field"]) for finding in found]


def test_a_refused_promotion_changes_nothing(tmp_path: Path) -> None:
    settings = load_settings(timeframes=("1m",), feature_sets=("bars",), runs=tmp_path)
    keeper = Keeper(MemoryStore, settings, clock=CLOCK, timer=lambda: 0)
    with pytest.raises(UnknownName):
        keeper.change(lambda store: Registry(store).promote("nothing", "1", now=0))
    keeper.commit([Taken(Delivery((TAIL,)), 0)])
    assert keeper.standing(NAME).trade_id == int(TAIL.trade_id[-1])
