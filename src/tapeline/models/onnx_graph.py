"""ONNX graphs as engines: kept as bytes in the model's JSON, checked before they run, served by ONNX Runtime.

A graph holds numbers and names of operators, no code. It is refused by name when its hash is another, when it reads
files, when it uses an operator that none of our models is made of, or when inputs and outputs are not as declared.
ONNX Runtime computes in 32-bit floats; a model always answers through it, before and after saving.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Self

import numpy as np

from tapeline.errors import InputError
from tapeline.models.base import State
from tapeline.types import Float

OPERATORS = frozenset(
    {"TreeEnsembleRegressor", "LSTM", "Conv", "Relu", "Gemm", "Add", "Transpose", "Squeeze", "Pad", "Gather", "Reshape"}
)
"""What our models are made of."""
INPUT, OUTPUT = "rows", "scores"
_LARGEST = float(np.finfo(np.float32).max)


class Graph:
    """One graph: rows (n x ...) as float32 in, scores (n x width) as float32 out.

    Args:
        where: which model it belongs to, for errors.
        raw: the ONNX bytes.
        shape: of one row.
        width: how many scores a row gets.

    Raises:
        InputError: the bytes are no such graph.
    """

    def __init__(self, where: str, raw: bytes, shape: Sequence[int], width: int) -> None:
        self.raw = raw
        self.shape = tuple(shape)
        self.width = width
        _check(where, raw, self.shape, width)
        self._session = _session(where, raw)

    def run(self, rows: Float) -> Float:
        """Return the scores of rows (n x width)."""
        single = np.clip(rows, -_LARGEST, _LARGEST).astype(np.float32)
        (scores,) = self._session.run([OUTPUT], {INPUT: single})
        return np.asarray(scores, np.float64)

    def state(self) -> State:
        """Return the graph as text, with its hash and its form."""
        text = base64.b64encode(self.raw).decode()
        return {"onnx": text, "hash": _hash(self.raw), "shape": list(self.shape), "width": self.width}

    @classmethod
    def from_state(cls, where: str, state: State) -> Self:
        """Make it again from what `state` gave.

        Raises:
            InputError: it was altered, or is no such graph.
        """
        try:
            raw = base64.b64decode(state["onnx"], validate=True)
        except binascii.Error as error:
            raise InputError(where, "holds no ONNX graph", expected="base64", was=str(error)) from error
        if _hash(raw) != state["hash"]:
            raise InputError(where, "holds an altered ONNX graph", expected=f"hash {state['hash']}", was=_hash(raw))
        return cls(where, raw, [int(size) for size in state["shape"]], int(state["width"]))


def _hash(raw: bytes) -> str:
    return blake2b(raw, digest_size=16).hexdigest()


def _check(where: str, raw: bytes, shape: tuple[int, ...], width: int) -> None:
    """Refuse what is not a graph of ours."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(raw)
    except DecodeError as error:
        raise InputError(where, "holds no ONNX graph", expected="an ONNX model", was=raw[:40]) from error
    foreign = sorted({node.op_type for node in model.graph.node} - OPERATORS)
    if foreign or model.functions or not model.graph.node:
        rule = f"operators among {', '.join(sorted(OPERATORS))}"
        raise InputError(where, "holds a foreign ONNX graph", expected=rule, was=", ".join(foreign) or "none of them")
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise InputError(where, "holds an ONNX graph that reads files", expected="all numbers inside", was="a file")
    declared = [[INPUT, *map(str, shape)], [OUTPUT, str(width)]]
    found = [_form(value) for values in (model.graph.input, model.graph.output) for value in values]
    if found != declared:
        raise InputError(where, "holds an ONNX graph of other inputs", expected=str(declared), was=str(found))


def _form(value: Any) -> list[str]:
    """Return name and size of each dimension but the first."""
    sizes = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
    return [value.name, *map(str, sizes[1:])]


def _session(where: str, raw: bytes) -> Any:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    refusals = (errors.Fail, errors.InvalidArgument, errors.InvalidGraph, errors.InvalidProtobuf, errors.NotImplemented)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(raw, options, providers=["CPUExecutionProvider"])
    except (*refusals, errors.RuntimeException) as error:
        raise InputError(where, "holds an ONNX graph that does not run", expected="a whole graph", was=error) from error


def made(nodes: Sequence[Any], numbers: Sequence[Any], shape: Sequence[int], width: int) -> bytes:
    """Return the bytes of a graph of ours: nodes in order, and the tensors they name."""
    import onnx
    from onnx import helper

    rows = helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, ["n", *shape])
    scores = helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, ["n", width])
    graph = helper.make_graph(list(nodes), "tapeline", [rows], [scores], list(numbers))
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    raw: bytes = helper.make_model(graph, opset_imports=versions, ir_version=8).SerializeToString(deterministic=True)
    return raw
