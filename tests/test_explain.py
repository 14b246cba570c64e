"""What any kind of model says can be explained, or it says why not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.learned import HORIZON, NAME, SETTINGS, artifact, candles

from tapeline.cli.commands.explain import _print, _timed
from tapeline.clock import format_time
from tapeline.explain import explain
from tapeline.learning.dataset import Dataset
from tapeline.learning.fitting import fit
from tapeline.model_rows import dataset_of, learning_set, model_rows
from tapeline.models.base import Model, find_models
from tapeline.registry import Registry
from tapeline.serving import Champion
from tapeline.stores import rows
from tapeline.stores.memory import MemoryStore
from tapeline.types import Answer, Prediction

KINDS = {f"{name}-{target}": kind for (name, target), kind in find_models().items()}
SERVED = [pytest.param(kind, id=key, marks=[pytest.mark.services] if kind.extra else []) for key, kind in KINDS.items()]


@pytest.fixture(scope="module")
def imported() -> MemoryStore:
    store = MemoryStore()
    store.append("candles", rows.from_candles(NAME, "1m", candles(700), source="imported"))
    return store


@pytest.fixture(scope="module")
def learnt(imported: MemoryStore) -> Dataset:
    return dataset_of(model_rows(imported, SETTINGS, NAME, "1m", learning_set("bars", "1m", HORIZON)), HORIZON)


def answering(store: MemoryStore, data: Dataset, kind: type[Model]) -> str:
    """Let a model of a kind answer for the newest rows, and return the id of what it said last."""
    target = kind.target
    seen = data.for_target(target, kind.window)
    content = fit(kind, seen, seed=1).dump().decode()
    whole = artifact(store) if target == "return" else replace(artifact(store), target=target)
    made = replace(whole, model=kind.name, content=content)
    parts = [replace(artifact(store)), made] if target == "direction" else [made]
    for part in parts:
        Registry(store).register(part, now=1)
        Registry(store).promote(part.name, part.version, now=1)
    champion = Champion.of(store, parts[0].name)
    found = model_rows(store, SETTINGS, NAME, "1m", champion.features)
    said = champion.predict(NAME, found.rows, found.candles["close"])
    store.append("predictions", rows.from_predictions(one for one in said if isinstance(one, Prediction)))
    store.append("answers", rows.from_answers(one for one in said if isinstance(one, Answer)))
    return said[-1].id


@pytest.mark.parametrize("kind", SERVED)
def test_what_a_model_of_any_kind_said_is_explained(
    imported: MemoryStore, learnt: Dataset, kind: type[Model], capsys: pytest.CaptureFixture[str]
) -> None:
    told = explain(imported, SETTINGS, answering(imported, learnt, kind))
    assert told["matches"], told["differences"]
    found = told["explanation"]["targets"][kind.target]
    assert found["model"] == kind.name
    added = [part["added"] for part in found["contributions"]]
    assert np.isfinite([found["base"], *added]).all()
    if kind.target == "return":
        assert found["base"] + sum(added) == pytest.approx(found["prediction"], rel=1e-9, abs=1e-12)
    shown = _timed(told)["prediction"]
    assert [shown["as_of"], shown["made_at"], shown["horizon"]] == [format_time(told["prediction"]["as_of"])] * 2 + [
        "5m"
    ]
    _print(told)
    assert f"{kind.target}: {kind.name}" in capsys.readouterr().out
