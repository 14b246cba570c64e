"""How much each row counts in training, where outcomes of neighbours overlap."""

from __future__ import annotations

import numpy as np

from tapeline.types import Float, Int


def uniqueness(as_of: Int, known_at: Int) -> Float:
    """Return how much each label counts when overlapping ones share their weight (n, mean 1).

    The mean over a label's life [as_of, known_at) of 1 / (labels alive at that instant), over its mean.

    Args:
        as_of: when each row was known, ns UTC, rising (n).
        known_at: when its label was known, ns UTC (n).

    Source: Lopez de Prado (2018), section 4.3.

    >>> uniqueness(np.array([0, 1, 10]), np.array([2, 3, 12])).round(3).tolist()
    [0.9, 0.9, 1.2]
    """
    instants = np.unique(np.concatenate((as_of, known_at)))
    begins, ends = np.searchsorted(instants, as_of), np.searchsorted(instants, known_at)
    alive = np.zeros(len(instants) + 1)
    np.add.at(alive, begins, 1.0)
    np.add.at(alive, ends, -1.0)
    shared = np.diff(instants) / np.maximum(np.cumsum(alive)[: len(instants) - 1], 1.0)
    total = np.concatenate(([0.0], np.cumsum(shared)))
    weights = (total[ends] - total[begins]) / (known_at - as_of)
    return np.asarray(weights / weights.mean(), np.float64)
