"""A graph inside a model is checked before it runs."""

from __future__ import annotations

import base64
import json
from hashlib import blake2b
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tapeline.errors import InputError
from tapeline.models.forest import ForestReturn
from tapeline.models.onnx_graph import INPUT, OUTPUT, Graph, made
from tapeline.testing.models import planted


def gemm(inputs: int = 3, width: int = 1) -> bytes:
    weights = numpy_helper.from_array(np.ones((inputs, width), np.float32), "weights")
    return made([helper.make_node("Gemm", [INPUT, "weights"], [OUTPUT])], [weights], [inputs], width)


def test_a_graph_runs_and_comes_back_from_its_state() -> None:
    graph = Graph("model mine", gemm(), [3], 1)
    again = Graph.from_state("model mine", json.loads(json.dumps(graph.state())))
    rows = np.arange(6.0).reshape(2, 3)
    assert graph.run(rows).tolist() == again.run(rows).tolist() == [[3.0], [12.0]]
    assert again.raw == graph.raw


def test_numbers_too_large_for_32_bits_stay_numbers() -> None:
    assert np.isfinite(Graph("model mine", gemm(), [3], 1).run(np.array([[1e300, 0.0, 0.0]]))).all()


@pytest.mark.parametrize(("shape", "width"), [([4], 1), ([3], 2), ([3, 1], 1)])
def test_a_graph_of_other_inputs_is_refused(shape: list[int], width: int) -> None:
    with pytest.raises(InputError, match="model mine: holds an ONNX graph of other inputs: expected"):
        Graph("model mine", gemm(), shape, width)


def test_a_foreign_graph_is_refused() -> None:
    raw = made([helper.make_node("Tanh", [INPUT], [OUTPUT])], [], [1], 1)
    with pytest.raises(InputError, match=r"model mine: holds a foreign ONNX graph: expected .*, was 'Tanh'"):
        Graph("model mine", raw, [1], 1)
    loaded = onnx.load_model_from_string(gemm())
    loaded.graph.node[0].domain = "some.custom.library"
    with pytest.raises(InputError, match="model mine: holds a"):
        Graph("model mine", loaded.SerializeToString(), [3], 1)


def test_a_graph_that_reads_files_is_refused() -> None:
    loaded = onnx.load_model_from_string(gemm())
    tensor = loaded.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    with pytest.raises(InputError, match="holds an ONNX graph that reads files"):
        Graph("model mine", loaded.SerializeToString(), [3], 1)


@pytest.mark.parametrize("raw", [b"", b"\x00" * 40, b"not onnx at all", gemm()[: len(gemm()) // 2]])
def test_bytes_that_are_no_graph_are_refused(raw: bytes) -> None:
    with pytest.raises(InputError, match="model mine: holds "):
        Graph("model mine", raw, [3], 1)


def test_a_graph_that_cannot_run_is_refused() -> None:
    raw = made([helper.make_node("Gemm", [INPUT, "nowhere"], [OUTPUT])], [], [3], 1)
    with pytest.raises(InputError, match="model mine: holds an ONNX graph that does not run"):
        Graph("model mine", raw, [3], 1)


def forest() -> dict[str, Any]:
    data = planted(1, 400, r2=0.4)
    content: dict[str, Any] = json.loads(ForestReturn().fit(data.inputs, data.returns, seed=1).dump())
    return content


def test_an_altered_artefact_is_refused_by_its_hash() -> None:
    saved = forest()
    raw = bytearray(base64.b64decode(saved["state"]["engine"]["onnx"]))
    raw[len(raw) // 2] ^= 1
    saved["state"]["engine"]["onnx"] = base64.b64encode(bytes(raw)).decode()
    with pytest.raises(InputError, match=r"model forest \(return\): holds an altered ONNX graph: expected hash"):
        ForestReturn.load(json.dumps(saved).encode())


def test_a_whole_graph_of_another_model_is_refused() -> None:
    saved, other = forest(), gemm(5, 2)
    changed = {"onnx": base64.b64encode(other).decode(), "hash": blake2b(other, digest_size=16).hexdigest()}
    saved["state"]["engine"] |= changed
    with pytest.raises(InputError, match=r"model forest \(return\): holds an ONNX graph of other inputs"):
        ForestReturn.load(json.dumps(saved).encode())
