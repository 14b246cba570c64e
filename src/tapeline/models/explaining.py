"""Explaining a prediction of a model that is no sum of its inputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tapeline.models.base import Explanation
from tapeline.types import Float


def reference(rows: Float) -> Float:
    """Return the row that stands for "nothing is known": the median of each input (n x k, or n x window x k -> k)."""
    flat = rows if rows.ndim == 2 else rows[:, -1]
    middle: Float = np.median(flat, axis=0)
    return middle


def attribute(score: Callable[[Float], Float], usual: Float, row: Float, unit: str) -> Explanation:
    """Share a score out among the inputs: what changes when each is put in place of its usual value.

    The inputs are put in place one after the other, once from the first to the last and once the other way round; the
    mean of both is the contribution. Together they are exactly the score less that of the usual row.

    Args:
        score: rows (n x k, or n x window x k) to one number each (n).
        usual: the usual value of each input (k).
        row: the row to explain (k, or window x k); an input is put in place in the whole window.
        unit: of the score.

    Source: Castro, Gomez and Tejada (2009), Polynomial calculation of the Shapley value based on sampling.
    """
    columns = row.shape[-1]
    place = np.arange(columns)
    forward = np.array([place < count for count in range(columns + 1)])
    backward = np.array([place >= columns - count for count in range(columns + 1)])
    masks = np.concatenate((forward, backward)).reshape(2 * (columns + 1), *(1,) * (row.ndim - 1), columns)
    scores = score(np.where(masks, row, usual))
    up, down = np.diff(scores[: columns + 1]), np.diff(scores[columns + 1 :])[::-1]
    return Explanation(float(scores[0]), tuple(((up + down) / 2).tolist()), unit)
