from __future__ import annotations

import json

import numpy as np
import pytest

from tapeline.errors import InputError
from tapeline.models.boosting import LightGBMDirection, LightGBMDirection3, LightGBMReturn
from tapeline.testing.models import planted


def test_trees_that_fail_on_later_rows_are_not_used() -> None:
    rows = np.random.default_rng(3).normal(size=(400, 1))
    labels = np.sign(rows[:, 0]) * np.where(np.arange(400) < 320, 1, -1)
    model = LightGBMReturn().fit(rows, labels, seed=1)
    assert model.engine is None
    assert (model.predict(rows) == 0).all()
    assert model.explain(rows[0]).contributions == (0.0,)


def test_trees_find_what_no_line_can() -> None:
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(3000, 2))
    labels = 1e-4 * (np.sign(rows[:, 0] * rows[:, 1]) + draw.normal(size=3000))
    model = LightGBMReturn().fit(rows[:2000], labels[:2000], seed=1)
    said = model.predict(rows[2000:])
    assert np.corrcoef(said, labels[2000:])[0, 1] > 0.5


def test_another_seed_is_another_model() -> None:
    data = planted(1, 800, r2=0.3)
    labels = data.labels("direction")
    one = LightGBMDirection().fit(data.inputs, labels, seed=1)
    other = LightGBMDirection().fit(data.inputs, labels, seed=2)
    assert one.dump() != other.dump()
    assert one.engine is not None


@pytest.mark.parametrize("text", ["tree", "tree\nversion=v4\n", "not trees at all"])
def test_a_text_that_is_not_lightgbms_is_refused(text: str) -> None:
    data = planted(1, 800, r2=0.3)
    saved = json.loads(LightGBMReturn().fit(data.inputs, data.returns, seed=1).dump())
    saved["state"]["engine"]["trees"] = text
    with pytest.raises(InputError, match="model lightgbm"):
        LightGBMReturn.load(json.dumps(saved).encode())


def test_its_contributions_are_lightgbms_shap_values() -> None:
    data = planted(1, 800, r2=0.3)
    model = LightGBMReturn().fit(data.inputs, data.returns, seed=1)
    told = model.explain(np.array([2.0, 0.0, 0.0, 0.0, 0.0]))
    assert told.unit == "log return"
    assert told.contributions[0] == max(told.contributions, key=abs) > 0
    wild = LightGBMDirection3().fit(data.inputs, data.labels("direction3"), seed=1)
    assert wild.explain(np.array([2.0, 0.0, 0.0, 0.0, 0.0])).contributions[0] > 0


def test_rows_that_count_nothing_teach_nothing() -> None:
    data = planted(1, 1500, r2=0.4)
    labels = data.returns.copy()
    labels[::2] = 50 * labels[1::2].std()  # every other row is nonsense
    weights = np.tile([0.0, 2.0], 750)
    said = LightGBMReturn().fit(data.inputs, labels, seed=1, weights=weights).predict(data.inputs)
    assert np.corrcoef(said, data.inputs[:, 0])[0, 1] > 0.8
    assert abs(said.mean()) < labels[1::2].std()
