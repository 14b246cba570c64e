"""Networks over windows: their form in PyTorch, how they are trained, and the same form in ONNX.

PyTorch is used to train only. The graphs are written out from the weights, so the same weights give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tapeline.models.extras import optional
from tapeline.models.goals import Goal
from tapeline.models.onnx_graph import INPUT, OUTPUT, made
from tapeline.models.scored import Lesson
from tapeline.types import Float

HIDDEN = 128
CHANNELS = 32
DILATIONS = (1, 2, 4, 8)
KERNEL = 3
_BATCH = 128
_PATIENCE = 3
_RATE = 1e-3
_DECAY = 1e-4

Arrays = Mapping[str, np.ndarray[Any, Any]]


def trained(form: str, early: Lesson, late: Lesson | None, passes: int) -> tuple[dict[str, np.ndarray[Any, Any]], int]:
    """Train a network and return its weights and for how many passes.

    With late rows, the weights are those of the pass that was best on them, and training ends 3 passes after it. The
    state of PyTorch's own generator is left as it was.

    Args:
        form: ``lstm`` or ``tcn``.
        early: standardised windows (n x window x k) and what is to be learnt of each.
        late: the same, to stop by.
        passes: at most so many.

    Raises:
        MissingDependency: PyTorch is not installed.
    """
    torch = optional("torch", model=form, extra="sequence")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(early.seed)
        network = _network(torch, form, early.rows.shape[2], len(early.goal.base))
        descent = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
        best, kept, size = math.inf, _weights(network), 0
        for number in range(1, passes + 1):
            _pass(torch, network, descent, early)
            if late is None:
                kept, size = _weights(network), number
                continue
            loss = late.goal.loss(_added(torch, network, late.rows), late.learnt, late.weights)
            if loss < best:
                best, kept, size = loss, _weights(network), number
            elif number - size >= _PATIENCE:
                break
    return kept, size


def _network(torch: Any, form: str, inputs: int, width: int) -> Any:
    nn = torch.nn
    if form == "lstm":
        body = nn.LSTM(inputs, HIDDEN, num_layers=2, batch_first=True)
        return nn.ModuleDict({"body": body, "head": nn.Linear(HIDDEN, width)})
    sizes = [inputs, *[CHANNELS] * (len(DILATIONS) - 1)]
    pairs = zip(sizes, DILATIONS, strict=True)
    body = nn.ModuleList([nn.Conv1d(size, CHANNELS, KERNEL, dilation=dilation) for size, dilation in pairs])
    return nn.ModuleDict({"body": body, "head": nn.Linear(CHANNELS, width)})


def _answer(torch: Any, network: Any, rows: Any) -> Any:
    """Return what the network adds to the base (n x width)."""
    if not isinstance(network["body"], torch.nn.ModuleList):
        return network["head"](network["body"](rows)[0][:, -1])
    series = rows.transpose(1, 2)
    for convolution, dilation in zip(network["body"], DILATIONS, strict=True):
        padded = torch.nn.functional.pad(series, ((KERNEL - 1) * dilation, 0))
        found = torch.relu(convolution(padded))
        series = found + series if found.shape == series.shape else found
    return network["head"](series[:, :, -1])


def _pass(torch: Any, network: Any, descent: Any, lesson: Lesson) -> None:
    order = torch.randperm(len(lesson.rows)).numpy()
    for start in range(0, len(order), _BATCH):
        batch = order[start : start + _BATCH]
        rows = torch.from_numpy(lesson.rows[batch].astype(np.float32))
        learnt = torch.from_numpy(lesson.learnt[batch].astype(np.float32))
        losses = _losses(torch, lesson.goal, _answer(torch, network, rows), learnt)
        if lesson.weights is not None:
            losses = losses * torch.from_numpy(lesson.weights[batch].astype(np.float32))
        descent.zero_grad()
        losses.mean().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        descent.step()


def _losses(torch: Any, goal: Goal, added: Any, learnt: Any) -> Any:
    functional = torch.nn.functional
    if not goal.classes:
        return (added[:, 0] - learnt) ** 2
    scores = added + torch.tensor(goal.base, dtype=torch.float32)
    if goal.classes == 2:
        return functional.binary_cross_entropy_with_logits(scores[:, 0], learnt, reduction="none")
    return functional.cross_entropy(scores, learnt.long(), reduction="none")


def _added(torch: Any, network: Any, rows: Float) -> Float:
    with torch.no_grad():
        parts = [_answer(torch, network, torch.from_numpy(part.astype(np.float32))) for part in _batches(rows)]
        return np.asarray(torch.cat(parts).numpy(), np.float64)


def _batches(rows: Float) -> Iterator[Float]:
    for start in range(0, len(rows), 1024):
        yield rows[start : start + 1024]


def _weights(network: Any) -> dict[str, np.ndarray[Any, Any]]:
    return {name: tensor.detach().numpy().copy() for name, tensor in network.state_dict().items()}


def written_out(form: str, weights: Arrays, window: int, inputs: int) -> bytes:
    """Return the ONNX graph of trained weights: windows (n x window x k) to scores (n x width)."""
    from onnx import helper, numpy_helper

    nodes, numbers, last = (_lstm if form == "lstm" else _tcn)(helper, weights, window)
    head = {"head.weight": weights["head.weight"], "head.bias": weights["head.bias"]}
    nodes.append(helper.make_node("Gemm", [last, *head], [OUTPUT], transB=1))
    tensors = [numpy_helper.from_array(array, name) for name, array in {**numbers, **head}.items()]
    return made(nodes, tensors, (window, inputs), len(head["head.bias"]))


def _lstm(helper: Any, weights: Arrays, window: int) -> tuple[list[Any], dict[str, Any], str]:
    one, zero = np.array([1], np.int64), np.array([0], np.int64)
    numbers: dict[str, Any] = {"one": one, "zero": zero}
    nodes = [helper.make_node("Transpose", [INPUT], ["series_0"], perm=[1, 0, 2])]
    for layer in (0, 1):
        parts = [_gates(weights[f"body.{name}_l{layer}"]) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        named = {f"w{layer}": parts[0][None], f"r{layer}": parts[1][None], f"b{layer}": np.concatenate(parts[2:])[None]}
        numbers |= named
        outputs = [f"all_{layer}", f"last_{layer}"]
        nodes.append(helper.make_node("LSTM", [f"series_{layer}", *named], outputs, hidden_size=HIDDEN))
        nodes.append(helper.make_node("Squeeze", [f"all_{layer}", "one"], [f"series_{layer + 1}"]))
    nodes[-1] = helper.make_node("Squeeze", ["last_1", "zero"], ["end"])
    return nodes, numbers, "end"


def _gates(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return gates in ONNX's order (input, output, forget, cell) from PyTorch's (input, forget, cell, output)."""
    enter, forget, cell, leave = np.split(array, 4)
    return np.concatenate((enter, leave, forget, cell))


def _tcn(helper: Any, weights: Arrays, window: int) -> tuple[list[Any], dict[str, Any], str]:
    numbers: dict[str, Any] = {"newest": np.array(window - 1, np.int64)}
    nodes = [helper.make_node("Transpose", [INPUT], ["series_0"], perm=[0, 2, 1])]
    for layer, dilation in enumerate(DILATIONS):
        kernel, bias = (weights[f"body.{layer}.{name}"] for name in ("weight", "bias"))
        named = {f"w{layer}": kernel, f"b{layer}": bias}
        numbers |= named
        form = {"dilations": [dilation], "kernel_shape": [KERNEL], "pads": [(KERNEL - 1) * dilation, 0]}
        nodes.append(helper.make_node("Conv", [f"series_{layer}", *named], [f"sum_{layer}"], **form))
        nodes.append(helper.make_node("Relu", [f"sum_{layer}"], [f"found_{layer}"]))
        both = [f"found_{layer}", f"series_{layer}"]
        skips = kernel.shape[0] == kernel.shape[1]
        operator, taken = ("Add", both) if skips else ("Reshape", [both[0], "as_it_is"])
        nodes.append(helper.make_node(operator, taken, [f"series_{layer + 1}"]))
    numbers["as_it_is"] = np.array([0, 0, 0], np.int64)
    nodes.append(helper.make_node("Gather", [f"series_{len(DILATIONS)}", "newest"], ["end"], axis=2))
    return nodes, numbers, "end"
