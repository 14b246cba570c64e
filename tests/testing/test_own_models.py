"""The model that the page shows passes the suite that finds it, is trained and answers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.learned import NAME, SETTINGS, store_with_champion

from tapeline.clock import MINUTE, ManualClock
from tapeline.config import load_settings
from tapeline.explain import explain
from tapeline.learning.artifact import Artifact
from tapeline.learning.fitting import fit
from tapeline.model_rows import dataset_of, learning_set, model_rows
from tapeline.models.base import find_models
from tapeline.registry import Registry
from tapeline.serving import predict_latest
from tapeline.simulator.market import JANUARY_2024
from tapeline.testing.own_models import suites

CLOCK = ManualClock(JANUARY_2024)


@pytest.fixture
def shown(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    match = re.search(r"```python\n(.*?)```", (root / "docs/add-a-model.md").read_text(encoding="utf-8"), re.DOTALL)
    assert match
    file = tmp_path / "my_model.py"
    file.write_text(match[1], encoding="utf-8")
    monkeypatch.setenv("TAPELINE_MODELS", "")
    load_settings(models=str(file))
    return file


@pytest.mark.usefixtures("shown")
def test_it_passes_the_suite() -> None:
    (suite,) = suites([find_models()["plain", "return"]]).values()
    checks = [name for name in dir(suite) if name.startswith("test_")]
    assert len(checks) >= 12
    for name in checks:
        check = getattr(suite(), name)
        marks = [mark for mark in getattr(check, "pytestmark", []) if mark.name == "parametrize"]
        for value in marks[0].args[1] if marks else [None]:
            check(**({} if value is None else {marks[0].args[0]: value}))


@pytest.mark.usefixtures("shown")
def test_it_answers_and_is_explained() -> None:
    store = store_with_champion()
    features = learning_set("bars", "1m", 5 * MINUTE)
    data = dataset_of(model_rows(store, SETTINGS, NAME, "1m", features), 5 * MINUTE).for_target("return", 1)
    content = fit(find_models()["plain", "return"], data, seed=1).dump().decode()
    task = (NAME, "1m", 5 * MINUTE, "return", "plain", content, data.columns, features.name, features.version)
    first, last = int(data.as_of[0]), int(data.known_at[-1])
    made = Artifact(*task, -0.001, 0.001, 0.8, first, last, len(data), "run", data.digest(), 1, "test")
    Registry(store).register(made, now=CLOCK.now())
    Registry(store).promote(made.name, made.version, now=CLOCK.now())
    (said,) = predict_latest(store, SETTINGS, NAME, clock=CLOCK)
    assert said.model == "plain"
    assert explain(store, SETTINGS, said.id)["matches"]
