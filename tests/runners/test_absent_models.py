"""A model that cannot be had keeps no instrument from being followed, folded anew, imported or verified."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.test_serving import CLOCK, NAME, TAPE
from tests.windowed import Windowed

from tapeline.clock import MINUTE
from tapeline.config import Settings, load_settings
from tapeline.errors import UsageError
from tapeline.explain import recompute
from tapeline.importing import import_files
from tapeline.ingest.base import Delivery
from tapeline.lane import STALE
from tapeline.learning.artifact import Artifact
from tapeline.learning.fitting import fit
from tapeline.model_rows import dataset_of, learning_set, model_rows
from tapeline.models import base
from tapeline.models.base import find_models
from tapeline.models.extras import optional
from tapeline.recorder import Recorder
from tapeline.refold import refold
from tapeline.registry import Registry
from tapeline.runners.keeper import Keeper
from tapeline.runners.watch import Taken
from tapeline.serving import champion_loader, keep_definition
from tapeline.stores import rows
from tapeline.stores.base import KINDS
from tapeline.stores.memory import MemoryStore
from tapeline.types import Frame, Prediction
from tapeline.verify import verify

ENTRIES = [EntryPoint("theirs", "tests.windowed", "tapeline.models")]
HEAD, TAIL = TAPE.take(slice(0, 1600)), TAPE.take(slice(1600, 2600))
HALF, MOST = len(TAIL) // 2, 3 * len(TAIL) // 4


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    runs = tmp_path_factory.mktemp("runs")
    return load_settings(timeframes=("1m",), feature_sets=("bars",), runs=runs, state_interval="1h")


@pytest.fixture(scope="module")
def learnt(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> MemoryStore:
    """Keep the beginning of a tape and two models: ridge, and after it one of a user as champion."""
    store, file = MemoryStore(), tmp_path_factory.mktemp("data") / "head.parquet"
    write(file, HEAD)
    import_files([file], store, settings, clock=CLOCK)
    features = learning_set("bars", "1m", 5 * MINUTE)
    keep_definition(store, features)
    data = dataset_of(model_rows(store, settings, NAME, "1m", features), 5 * MINUTE)
    for kind in (find_models()["ridge", "return"], Windowed):
        model = fit(kind, data.for_target("return", kind.window), seed=1)
        made = Artifact(
            instrument=NAME,
            timeframe="1m",
            horizon=5 * MINUTE,
            target="return",
            model=kind.name,
            content=model.dump().decode(),
            columns=data.columns,
            feature_set=features.name,
            feature_version=features.version,
            low=-0.01,
            high=0.01,
            coverage=0.9,
            trained_from=0,
            trained_to=1,
            rows=len(data),
            run="by hand",
            data_hash="",
            seed=1,
            code_version="",
            interval_rate=0.02,
        )
        Registry(store).register(made, now=CLOCK.now())
        Registry(store).promote(made.name, made.version, now=CLOCK.now())
    return store


def write(file: Path, frame: Frame) -> None:
    schema = KINDS["trades"].schema.with_metadata({"tapeline": "1"})
    pq.write_table(pa.table(rows.from_frame(frame)).cast(schema), file)


def keeper(store: MemoryStore, settings: Settings) -> Keeper:
    return Keeper(lambda: store, settings, clock=CLOCK, timer=lambda: 0)


def follow(store: MemoryStore, settings: Settings, first: int, last: int) -> str:
    """Follow a part of the tape in a process of its own, and return its note."""
    live = keeper(store, settings)
    for at in range(first, last, 150):
        live.commit([Taken(Delivery((TAIL.take(slice(at, min(at + 150, last))),)), 0)])
    live.close()
    return live.facts[NAME].note


@pytest.fixture(scope="module")
def whole(settings: Settings, learnt: MemoryStore) -> MemoryStore:
    """Follow the whole tape with the model always at hand."""
    store = copy.deepcopy(learnt)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "entry_points", lambda group: ENTRIES)
        assert follow(store, settings, 0, len(TAIL)) == ""
    return store


def predictions(store: MemoryStore) -> list[Prediction]:
    return rows.to_predictions(store.read("predictions"))


def change(store: MemoryStore, kind: str, **values: Any) -> pa.Table:
    """Change all rows of a kind that has few, and return what they were."""
    before = store.read(kind)
    changed = [row | values for row in before.to_pylist()]
    store.upsert(kind, pa.Table.from_pylist(changed, schema=KINDS[kind].schema))
    return before


@dataclass(frozen=True)
class Broken:
    """What takes the model away, what the note says of it; it comes back with the store's rows and the patches."""

    take: Callable[[MemoryStore, pytest.MonkeyPatch], None]
    says: str


def features_gone(store: MemoryStore, patch: pytest.MonkeyPatch) -> None:
    change(store, "feature_sets", definition='{"name": "bars", "features": ["sma(3)"], "learning": []}')


def indicator_gone(store: MemoryStore, patch: pytest.MonkeyPatch) -> None:
    change(store, "feature_sets", definition='{"name": "bars", "features": ["nosuch(3)"], "learning": []}')


def code_gone(store: MemoryStore, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(base, "entry_points", lambda group: [])


def code_broken(store: MemoryStore, patch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("theirs", "tests.nosuchmodule", "tapeline.models")
    patch.setattr(base, "entry_points", lambda group: [entry])


def extra_gone(store: MemoryStore, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Windowed, "from_state", lambda state: optional("nosuchlibrary", model="windowed", extra="theirs"))


def damaged(store: MemoryStore, patch: pytest.MonkeyPatch) -> None:
    change(store, "models", artifact=b"{")


def stored_by_older_code(store: MemoryStore, patch: pytest.MonkeyPatch) -> None:
    """Let artefacts have a field more from now on: those that are stored are of older code."""
    dump = Artifact.dump
    patch.setattr(Artifact, "dump", lambda self: dump(self)[:-1] + b', "newer": 0}')


WAYS = {
    "older code": Broken(stored_by_older_code, "reads as another model"),
    "features": Broken(features_gone, "cannot be made any more"),
    "indicator": Broken(indicator_gone, "nosuch"),
    "code": Broken(code_gone, "model windowed (return): is not known"),
    "entry point": Broken(code_broken, "models of tests.nosuchmodule: cannot be imported"),
    "extra": Broken(extra_gone, "needs nosuchlibrary, which is not installed"),
    "artefact": Broken(damaged, "was altered or truncated"),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_tape_goes_on_without_a_model_and_it_comes_back(
    settings: Settings, learnt: MemoryStore, whole: MemoryStore, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "entry_points", lambda group: ENTRIES)
    store = copy.deepcopy(learnt)
    assert follow(store, settings, 0, HALF) == ""
    present = predictions(store)
    kept = {kind: store.read(kind) for kind in ("feature_sets", "models")}
    with monkeypatch.context() as patch:
        WAYS[way].take(store, patch)
        note = follow(store, settings, HALF, MOST)
        assert note.startswith(f"no predictions of {NAME}_1m_5m: ")
        assert WAYS[way].says in note
        assert predictions(store) == present
        ((findings, checked, missing, unproven),) = recompute(store, settings)
        assert (findings, checked, unproven) == ([], 0, len(present))
        assert missing.startswith(f"{len(present)} predictions of {NAME}_1m_5m@")
    for kind, table in kept.items():
        store.upsert(kind, table)
    assert follow(store, settings, MOST, len(TAIL)) == ""
    resumed = [one for one in predictions(store) if one not in present]
    assert len(resumed) > 10
    assert resumed == [one for one in predictions(whole) if one.as_of >= resumed[0].as_of]
    assert store.read("states").to_pylist() == whole.read("states").to_pylist()


def test_it_is_folded_anew_and_imported_without_a_model(
    settings: Settings, learnt: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "entry_points", lambda group: ENTRIES)
    store = copy.deepcopy(learnt)
    follow(store, settings, 0, HALF)
    monkeypatch.setattr(base, "entry_points", lambda group: [])
    recorder = Recorder(store, settings, clock=CLOCK, load_model=champion_loader(store))
    lane = recorder.lane(NAME)
    lane.stale = STALE
    assert sum(refold(recorder, lane)) == len(HEAD) + HALF
    file = tmp_path / "rest.parquet"
    write(file, TAIL.take(slice(HALF, None)))
    assert import_files([file], store, settings, clock=CLOCK).problems == []
    absent = verify(store, settings)
    assert absent.findings == []
    assert [text.partition(": ")[2] for text in absent.unproven] != []
    monkeypatch.setattr(base, "entry_points", lambda group: ENTRIES)
    back = verify(store, settings)
    assert (back.findings, back.unproven) == ([], [])


def test_the_next_champion_takes_over(settings: Settings, learnt: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "entry_points", lambda group: ENTRIES)
    store = copy.deepcopy(learnt)
    follow(store, settings, 0, HALF)
    before = len(predictions(store))
    monkeypatch.setattr(base, "entry_points", lambda group: [])
    live = keeper(store, settings)
    live.commit([Taken(Delivery((TAIL.take(slice(HALF, MOST)),)), 0)])
    assert live.facts[NAME].note
    assert len(predictions(store)) == before
    other = next(one for one in Registry(store).entries(NAME) if one.target == "return" and one.status == "retired")
    live.change(lambda store: Registry(store).promote(other.name, other.version, now=CLOCK.now()))
    live.commit([Taken(Delivery((TAIL.take(slice(MOST, None)),)), 0)])
    assert live.facts[NAME].note == ""
    assert {one.model_version.split("+")[0] for one in predictions(store)[before:]} == {other.version}
    live.close()
    assert verify(store, settings).findings == []


def test_a_champion_that_is_back_answers_from_the_next_change_on(
    settings: Settings, learnt: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "entry_points", lambda group: ENTRIES)
    store = copy.deepcopy(learnt)
    follow(store, settings, 0, HALF)
    before = len(predictions(store))
    monkeypatch.setattr(base, "entry_points", lambda group: [])
    live = keeper(store, settings)
    live.commit([Taken(Delivery((TAIL.take(slice(HALF, MOST)),)), 0)])
    monkeypatch.setattr(base, "entry_points", lambda group: ENTRIES)
    live.change(lambda store: None)
    live.commit([Taken(Delivery((TAIL.take(slice(MOST, None)),)), 0)])
    live.close()
    assert live.facts[NAME].note == ""
    assert len(predictions(store)) > before + 10
    assert verify(store, settings).findings == []


def test_a_broken_package_of_models_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("theirs", "tests.nosuchmodule", "tapeline.models")
    monkeypatch.setattr(base, "entry_points", lambda group: [entry])
    with pytest.raises(UsageError, match=r"models of tests\.nosuchmodule: cannot be imported"):
        base.find_models()
