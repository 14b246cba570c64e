from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from tapeline.errors import InputError, UnknownName, UsageError
from tapeline.learning.artifact import Artifact, content_hash
from tapeline.models.linear import Huber
from tapeline.registry import Registry
from tapeline.stores.base import KINDS
from tapeline.stores.memory import MemoryStore
from tapeline.testing.models import planted

NAME = "BTC-USD.SIM_1m_3m"
TASK = ("BTC-USD.SIM", "1m", 180_000_000_000)


def artifact(seed: int = 1, **changes: object) -> Artifact:
    data = planted(seed, 300, r2=0.2)
    made = Artifact(
        instrument=data.instrument,
        timeframe=data.timeframe,
        horizon=data.horizon,
        target="return",
        model="huber",
        content=Huber().fit(data.inputs, data.returns, seed=1, overlap=3).dump().decode(),
        columns=data.columns,
        feature_set=data.feature_set,
        feature_version=data.feature_version,
        low=-1e-4,
        high=1e-4,
        coverage=0.8,
        trained_from=0,
        trained_to=1,
        rows=300,
        run="run",
        data_hash=data.digest(),
        seed=1,
        code_version="0",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def statuses(registry: Registry) -> dict[str, str]:
    return {entry.version: entry.status for entry in registry.entries()}


def test_a_registered_model_comes_back_whole(store: MemoryStore) -> None:
    registry, made = Registry(store), artifact()
    version = registry.register(made, now=5, record={"run": "run", "value": 0.5})
    assert registry.load(NAME, version) == made
    entry = registry.entries()[0]
    assert (entry.name, entry.version, entry.status, entry.created_at) == (NAME, version, "candidate", 5)
    assert entry.record["value"] == 0.5
    assert entry.record["history"] == [{"at": "1970-01-01T00:00:00.000000005Z", "event": "registered"}]
    assert registry.champion(*TASK) is None


def test_registering_twice_changes_nothing(store: MemoryStore) -> None:
    registry = Registry(store)
    version = registry.register(artifact(), now=1)
    registry.promote(NAME, version, now=2)
    assert registry.register(artifact(), now=3) == version
    assert statuses(registry) == {version: "champion"}


def test_another_content_is_another_version_and_nothing_else() -> None:
    versions = {artifact().version, artifact(2).version, artifact(low=-2e-4).version}
    assert len(versions) == 3
    assert artifact().version == artifact().version


def test_promotion_retires_the_one_before(store: MemoryStore) -> None:
    registry = Registry(store)
    first, second = (registry.register(artifact(seed), now=seed) for seed in (1, 2))
    registry.promote(NAME, first, now=10)
    registry.promote(NAME, second, now=20)
    assert statuses(registry) == {first: "retired", second: "champion"}
    assert registry.champion(*TASK) == artifact(2)
    registry.promote(NAME, second, now=30)
    assert next(entry for entry in registry.entries() if entry.version == second).promoted_at == 20


def test_a_rollback_goes_back_step_by_step(store: MemoryStore) -> None:
    registry = Registry(store)
    versions = [registry.register(artifact(seed), now=seed) for seed in (1, 2, 3)]
    for now, version in enumerate(versions, start=10):
        registry.promote(NAME, version, now=now)
    assert registry.rollback(NAME, now=20) == versions[1]
    assert registry.rollback(NAME, now=21) == versions[0]
    assert statuses(registry) == {versions[0]: "champion", versions[1]: "rolled_back", versions[2]: "rolled_back"}
    with pytest.raises(UsageError, match=f"model {NAME}: cannot go back: expected an earlier champion"):
        registry.rollback(NAME, now=22)
    events = [event["event"] for entry in registry.entries() for event in entry.record["history"]]
    assert "restored by rollback" in events
    assert f"rolled back to {versions[0]}" in events


def test_targets_have_champions_of_their_own(store: MemoryStore) -> None:
    registry = Registry(store)
    version = registry.register(artifact(), now=1)
    other = artifact(target="direction")
    assert other.name == f"{NAME}_direction"
    registry.register(other, now=1)
    registry.promote(NAME, version, now=2)
    assert registry.champion(*TASK, "direction") is None
    registry.promote(other.name, other.version, now=3)
    assert [found.target for found in registry.champions(*TASK)] == ["return", "direction"]


def test_an_archived_model_stays_away(store: MemoryStore) -> None:
    registry = Registry(store)
    version = registry.register(artifact(), now=1)
    registry.promote(NAME, version, now=2)
    with pytest.raises(UsageError, match="answers: expected another, was 'champion'; promote another first"):
        registry.archive(NAME, version, now=3)
    other = registry.register(artifact(2), now=4)
    registry.archive(NAME, other, now=5)
    with pytest.raises(UsageError, match="is archived"):
        registry.promote(NAME, other, now=6)


def test_unknown_names_list_the_known_ones(store: MemoryStore) -> None:
    registry = Registry(store)
    with pytest.raises(UnknownName, match="expected one that was trained, was 'x'; run tapeline train"):
        registry.rollback("x", now=1)
    version = registry.register(artifact(), now=1)
    with pytest.raises(UnknownName, match=f"model {NAME}: is not registered: expected one of {version}, was 'no'"):
        registry.load(NAME, "no")
    with pytest.raises(UnknownName, match=f"model x: is not registered: expected one of {NAME}, was 'x'"):
        registry.promote("x", version, now=2)


@pytest.mark.parametrize("fault", ["altered", "truncated", "emptied", "replaced"])
def test_bytes_that_are_not_those_registered_are_refused_by_name(store: MemoryStore, fault: str) -> None:
    registry, made = Registry(store), artifact()
    version = registry.register(made, now=1)
    row = store.read("models").to_pylist()[0]
    raw = row["artifact"]
    other = artifact(2).dump()
    row["artifact"] = {
        "altered": raw.replace(b"1", b"2", 1),
        "truncated": raw[:-100],
        "emptied": b"",
        "replaced": other,
    }[fault]
    if fault == "replaced":
        row["artifact_hash"] = content_hash(other)
    store.upsert("models", pa.Table.from_pylist([row], schema=KINDS["models"].schema))
    for ask in (lambda: registry.load(NAME, version), lambda: registry.promote(NAME, version, now=2)):
        with pytest.raises(InputError, match=f"model {NAME}@{version}"):
            ask()


def test_a_champion_of_older_code_does_not_answer_and_gives_way(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, made = Registry(store), artifact()
    version = registry.register(made, now=1)
    registry.promote(NAME, version, now=2)
    assert registry.champion(*TASK) == made
    dump = Artifact.dump
    monkeypatch.setattr(Artifact, "dump", lambda self: dump(self)[:-1] + b', "newer": 0}')
    assert registry.champion(*TASK) is None
    with pytest.raises(InputError, match=r"reads as another model.*train again"):
        registry.load(NAME, version)
    monkeypatch.undo()
    newer = artifact(2)
    registry.promote(NAME, registry.register(newer, now=3), now=4)
    assert registry.champion(*TASK) == newer
    assert statuses(registry)[version] == "retired"


def test_an_artefact_survives_its_json() -> None:
    made = artifact(low=float("nan"), high=float("nan"))
    again = Artifact.load(made.dump())
    assert again.dump() == made.dump()
    assert np.isnan(again.low)
    for raw in (b"", b"{}", b"[1]", made.dump()[:-1], made.dump().replace(b'"rows"', b'"lines"')):
        with pytest.raises(InputError, match="model artefact: cannot be read"):
            Artifact.load(raw)


def test_each_step_tells_who_why_and_on_what_numbers(store: MemoryStore) -> None:
    registry = Registry(store)
    first, second = (registry.register(artifact(seed), now=1) for seed in (1, 2))
    registry.promote(NAME, first, now=2, why="edge found", by="gate", numbers={"gain": 0.5})
    registry.set_aside(NAME, second, "challenger", now=3, why="edge found")
    registry.set_aside(NAME, second, "cut_off", now=4, why="its process died")
    held = {entry.version: entry for entry in registry.entries()}
    assert held[first].record["history"][-1] == {
        "at": "1970-01-01T00:00:00.000000002Z",
        "event": "edge found",
        "by": "gate",
        "numbers": {"gain": 0.5},
    }
    assert [one["event"] for one in held[second].record["history"]] == ["registered", "edge found", "its process died"]
    assert held[second].status == "cut_off"
    with pytest.raises(UsageError, match="answers"):
        registry.set_aside(NAME, first, "refused", now=5, why="x")
