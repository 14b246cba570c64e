from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor

from tapeline.models.forest import ForestDirection3, ForestReturn
from tapeline.models.onnx_graph import Graph
from tapeline.models.onnx_trees import mean_of_trees
from tapeline.testing.models import planted
from tapeline.types import Float


@pytest.mark.parametrize("width", [1, 3])
def test_the_graph_says_what_scikit_learn_says(width: int) -> None:
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(600, 6))
    wanted = rows[:, :width] ** 2 + draw.normal(size=(600, width))
    peer = RandomForestRegressor(30, min_samples_leaf=3, random_state=1).fit(
        rows, wanted if width > 1 else wanted[:, 0]
    )
    trees = [tree.tree_ for tree in peer.estimators_]
    graph = Graph("peer", mean_of_trees(trees, [tree.value[:, :, 0] for tree in trees], 6), [6], width)
    unseen: Float = np.vstack((draw.normal(size=(2000, 6)), rows, rows.astype(np.float32)))
    np.testing.assert_allclose(graph.run(unseen), peer.predict(unseen).reshape(-1, width), rtol=1e-5, atol=1e-5)


def test_a_row_on_a_threshold_goes_the_way_it_goes_in_scikit_learn() -> None:
    draw = np.random.default_rng(1)
    rows = np.float32(draw.normal(size=(300, 2))).astype(np.float64)
    peer = RandomForestRegressor(20, random_state=1).fit(rows, draw.normal(size=300))
    trees = [tree.tree_ for tree in peer.estimators_]
    graph = Graph("peer", mean_of_trees(trees, [tree.value[:, :, 0] for tree in trees], 2), [2], 1)
    cuts = np.concatenate([tree.threshold[tree.feature >= 0] for tree in trees])
    near = np.float32(cuts)
    beside = np.concatenate((np.nextafter(near, np.float32(-9)), near, np.nextafter(near, np.float32(9))))
    unseen = np.stack((beside, beside), axis=1).astype(np.float64)
    np.testing.assert_allclose(graph.run(unseen)[:, 0], peer.predict(unseen), rtol=1e-5, atol=1e-5)


def test_rows_that_count_nothing_teach_nothing() -> None:
    data = planted(1, 1500, r2=0.4)
    labels = np.where(np.arange(1500) % 2, data.returns, -5 * data.returns)
    model = ForestReturn().fit(data.inputs, labels, seed=1, weights=np.tile([0.0, 2.0], 750))
    assert np.corrcoef(model.predict(data.inputs), data.inputs[:, 0])[0, 1] > 0.7


def test_a_class_that_never_came_stays_unlikely() -> None:
    data = planted(1, 600, r2=0.4)
    labels = np.where(data.inputs[:, 0] > 0, 2.0, 1.0)
    said = ForestDirection3().fit(data.inputs, labels, seed=1).predict(data.inputs)
    assert (said[:, 0] < 0.02).all()
    assert (said.argmax(axis=1) == labels).mean() > 0.95
