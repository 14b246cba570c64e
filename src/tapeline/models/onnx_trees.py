"""Trees of scikit-learn as one ONNX operator (TreeEnsembleRegressor of ai.onnx.ml 3).

scikit-learn compares a 32-bit input with a 64-bit threshold; the operator's thresholds have 32 bits and are rounded
down, which decides every 32-bit input alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapeline.models.onnx_graph import INPUT, OUTPUT, made
from tapeline.types import Float, Int


def mean_of_trees(trees: Sequence[Any], leaves: Sequence[Float], inputs: int) -> bytes:
    """Return the graph of the mean over trees of the numbers in the leaf that a row reaches.

    Args:
        trees: scikit-learn's ``tree_`` objects.
        leaves: for each tree the numbers of its nodes (nodes x width); only those of leaves are read.
        inputs: how many inputs a row has.
    """
    from onnx import helper

    width = leaves[0].shape[1]
    ends = [tree.children_left < 0 for tree in trees]
    counts = [tree.node_count for tree in trees]
    ids = np.repeat(np.arange(len(trees)), counts)
    nodes = np.concatenate([np.arange(count) for count in counts])
    leaf = np.concatenate(ends)
    weights = np.concatenate([values[end] for values, end in zip(leaves, ends, strict=True)])
    node = helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT],
        [OUTPUT],
        domain="ai.onnx.ml",
        aggregate_function="SUM",
        n_targets=width,
        nodes_treeids=ids.tolist(),
        nodes_nodeids=nodes.tolist(),
        nodes_featureids=_joined([tree.feature for tree in trees], leaf),
        nodes_truenodeids=_joined([tree.children_left for tree in trees], leaf),
        nodes_falsenodeids=_joined([tree.children_right for tree in trees], leaf),
        nodes_values=_rounded_down(np.where(leaf, 0.0, np.concatenate([tree.threshold for tree in trees]))),
        nodes_modes=np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        target_treeids=np.repeat(ids[leaf], width).tolist(),
        target_nodeids=np.repeat(nodes[leaf], width).tolist(),
        target_ids=np.tile(np.arange(width), int(leaf.sum())).tolist(),
        target_weights=(weights.reshape(-1) / len(trees)).tolist(),
    )
    return made([node], [], [inputs], width)


def _joined(parts: Sequence[Int], leaf: Any) -> list[int]:
    whole: list[int] = np.where(leaf, 0, np.concatenate(parts)).tolist()
    return whole


def _rounded_down(values: Float) -> list[float]:
    single = values.astype(np.float32)
    below = np.nextafter(single, np.float32(-np.inf))
    rounded: list[float] = np.where(single.astype(np.float64) > values, below, single).tolist()
    return rounded
