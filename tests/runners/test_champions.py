"""Champions in the live process: no prediction is missed or made twice when one takes over, wherever it is killed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.test_serving import CLOCK, NAME, TAIL, trained

from tapeline.clock import MINUTE
from tapeline.config import Settings, load_settings
from tapeline.errors import UnknownName
from tapeline.ingest.base import Delivery
from tapeline.learning.fitting import fit
from tapeline.model_rows import dataset_of, learning_set, model_rows
from tapeline.models.base import find_models
from tapeline.registry import Registry
from tapeline.runners.keeper import Keeper
from tapeline.runners.watch import Taken
from tapeline.runs import Run
from tapeline.serving import Champion
from tapeline.stores import rows
from tapeline.stores.memory import MemoryStore
from tapeline.verify import verify


def second(store: MemoryStore, settings: Settings, run: Run) -> tuple[str, str]:
    """Register another model for the same task, and return its name and version."""
    before = next(one for one in run.training.artifacts if one.target == "return")
    data = dataset_of(model_rows(store, settings, NAME, "1m", learning_set("bars", "1m", 5 * MINUTE)), 5 * MINUTE)
    model = fit(find_models()["ridge", "return"], data.for_target("return", 1), seed=1)
    made = replace(before, model="ridge", content=model.dump().decode())
    Registry(store).register(made, now=CLOCK.now())
    return made.name, made.version


@pytest.mark.parametrize("killed", [False, True])
def test_a_champion_takes_over_between_two_candles(tmp_path: Path, killed: bool) -> None:
    settings = load_settings(timeframes=("1m",), feature_sets=("bars",), runs=tmp_path, state_interval="1h")
    store, run = trained(settings, tmp_path)

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


def test_a_refused_promotion_changes_nothing(tmp_path: Path) -> None:
    settings = load_settings(timeframes=("1m",), feature_sets=("bars",), runs=tmp_path)
    keeper = Keeper(MemoryStore, settings, clock=CLOCK, timer=lambda: 0)
    with pytest.raises(UnknownName):
        keeper.change(lambda store: Registry(store).promote("nothing", "1", now=0))
    keeper.commit([Taken(Delivery((TAIL,)), 0)])
    assert keeper.standing(NAME).trade_id == int(TAIL.trade_id[-1])
