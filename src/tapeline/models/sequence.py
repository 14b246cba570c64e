"""Networks that look at the last 30 rows: an LSTM (2 x 128) and a small temporal convolution.

They are trained with PyTorch (the extra ``sequence``) and served by ONNX Runtime alone, one window at a time, so that a
row alone gets the same bits as among others. PyTorch and ONNX Runtime agree to about 1e-5 of a standard deviation.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tapeline.models.base import State
from tapeline.models.linear import Scaler
from tapeline.models.networks import trained, written_out
from tapeline.models.onnx_graph import Graph
from tapeline.models.scored import Lesson, Scored
from tapeline.types import Float

_STEPS = 2_400


class Network:
    """A trained network, and the scaling of its inputs."""

    def __init__(self, scaler: Scaler, graph: Graph, size: int) -> None:
        self.size = size
        self._scaler = scaler
        self._graph = graph

    def scores(self, rows: Float) -> Float:
        """Return what the network adds to the base (n x width), window by window."""
        scaled = self._scaler.apply(rows)
        return np.concatenate([self._graph.run(scaled[row : row + 1]) for row in range(len(scaled))])

    def state(self) -> State:
        """Return graph and scaling."""
        return {**self._scaler.state(), **self._graph.state(), "size": self.size}


class _Sequence(Scored):
    """A network over the last 30 rows; not fitted anew on the last fifth, which would double the time."""

    window = 30
    by_default = False
    extra = "sequence"
    refits = False

    @classmethod
    def largest(cls, rows: int) -> int:
        """Return so many passes that together they are about 2,400 steps of 128 rows, at least 3, at most 40."""
        return min(40, max(3, _STEPS * 128 // rows))

    @classmethod
    def train(cls, early: Lesson, late: Lesson | None, size: int) -> Network:
        """Train on standardised windows."""
        window, inputs = early.rows.shape[1:]
        scaler = Scaler.of(early.rows[:, -1])
        shown = replace(early, rows=scaler.apply(early.rows))
        asked = None if late is None else replace(late, rows=scaler.apply(late.rows))
        weights, passes = trained(cls.name, shown, asked, size)
        raw = written_out(cls.name, weights, window, inputs)
        graph = Graph(f"model {cls.name} ({cls.target})", raw, (window, inputs), len(early.goal.base))
        return Network(scaler, graph, passes)

    @classmethod
    def restore(cls, state: State) -> Network:
        """Read graph and scaling."""
        graph = Graph.from_state(f"model {cls.name} ({cls.target})", state)
        return Network(Scaler.from_state(state), graph, int(state["size"]))


class LSTMReturn(_Sequence):
    """Regress the return."""

    name = "lstm"
    target = "return"


class LSTMDirection(_Sequence):
    """Classify the direction."""

    name = "lstm"
    target = "direction"


class LSTMDirection3(_Sequence):
    """Classify the direction with a dead band."""

    name = "lstm"
    target = "direction3"


class TCNReturn(_Sequence):
    """Regress the return."""

    name = "tcn"
    target = "return"


class TCNDirection(_Sequence):
    """Classify the direction."""

    name = "tcn"
    target = "direction"


class TCNVolatility(_Sequence):
    """Regress the logarithm of the volatility."""

    name = "tcn"
    target = "volatility"
