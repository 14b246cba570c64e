from __future__ import annotations

import json

import numpy as np
import pytest

from tapeline.errors import InputError
from tapeline.models.boosting import LightGBMDirection, LightGBMReturn
from tapeline.testing.models import planted


def test_trees_that_fail_on_later_rows_are_not_used() -> None:
    rows = np.random.default_rng(3).normal(size=(400, 1))
    labels = np.sign(rows[:, 0]) * np.where(np.arange(400) < 320, 1, -1)
    model = LightGBMReturn().fit(rows, labels, seed=1)
    assert model.text == ""
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
    assert one.text


@pytest.mark.parametrize("text", ["tree", "tree\nversion=v4\n", "not trees at all"])
def test_a_text_that_is_not_lightgbms_is_refused(text: str) -> None:
    raw = {"model": "lightgbm", "target": "return", "state": {"base": 0, "scale": 1, "trees": text}}
    with pytest.raises(InputError, match="model lightgbm"):
        LightGBMReturn.load(json.dumps(raw).encode())
