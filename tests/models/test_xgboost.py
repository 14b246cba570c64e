from __future__ import annotations

import importlib
import json
from types import ModuleType

import numpy as np
import pytest

from tapeline.errors import InputError, MissingDependency
from tapeline.models.xgboost import XGBoostReturn
from tapeline.testing.models import planted


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> ModuleType:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    data = planted(1, 100)
    text = r'model xgboost: needs xgboost, which is not installed; run: pip install "tapeline\[xgboost\]"'
    with pytest.raises(MissingDependency, match=text):
        XGBoostReturn().fit(data.inputs, data.returns, seed=1)


@pytest.mark.services
def test_trees_find_what_no_line_can() -> None:
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(3000, 2))
    labels = 1e-4 * (np.sign(rows[:, 0] * rows[:, 1]) + draw.normal(size=3000))
    said = XGBoostReturn().fit(rows[:2000], labels[:2000], seed=1).predict(rows[2000:])
    assert np.corrcoef(said, labels[2000:])[0, 1] > 0.5


@pytest.mark.services
@pytest.mark.parametrize("text", ["tree", "{}", "[1, 2"])
def test_a_text_that_is_not_xgboosts_is_refused(text: str) -> None:
    data = planted(1, 800, r2=0.3)
    saved = json.loads(XGBoostReturn().fit(data.inputs, data.returns, seed=1).dump())
    saved["state"]["engine"]["trees"] = text
    with pytest.raises(InputError, match="model xgboost"):
        XGBoostReturn.load(json.dumps(saved).encode())
