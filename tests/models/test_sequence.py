"""Networks: trained with PyTorch, served without it."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tapeline.errors import MissingDependency
from tapeline.learning.fitting import fit
from tapeline.models.networks import DILATIONS, HIDDEN, written_out
from tapeline.models.onnx_graph import Graph
from tapeline.models.sequence import LSTMReturn, TCNReturn, _Sequence
from tapeline.testing.models import planted


@pytest.fixture
def no_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> ModuleType:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)


@pytest.mark.usefixtures("no_extras")
@pytest.mark.parametrize("kind", [LSTMReturn, TCNReturn])
def test_without_the_extra_it_is_named(kind: type[_Sequence]) -> None:
    data = planted(1, 100).for_target("return", 30)
    text = rf'model {kind.name}: needs torch, which is not installed; run: pip install "tapeline\[sequence\]"'
    with pytest.raises(MissingDependency, match=text):
        fit(kind, data, seed=1)


def small(form: str) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    head = {"head.weight": draw.normal(size=(1, HIDDEN if form == "lstm" else 32)), "head.bias": np.zeros(1)}
    if form == "tcn":
        sizes = [5, 32, 32, 32]
        named = {f"body.{k}.weight": draw.normal(size=(32, size, 3)) / 10 for k, size in enumerate(sizes)}
        named |= {f"body.{k}.bias": np.zeros(32) for k in range(len(DILATIONS))}
    else:
        named = {}
        for layer, size in enumerate((5, HIDDEN)):
            named |= {f"body.weight_ih_l{layer}": draw.normal(size=(4 * HIDDEN, size)) / 10}
            named |= {f"body.weight_hh_l{layer}": draw.normal(size=(4 * HIDDEN, HIDDEN)) / 10}
            named |= {f"body.bias_{name}_l{layer}": draw.normal(size=4 * HIDDEN) / 10 for name in ("ih", "hh")}
    return {name: array.astype(np.float32) for name, array in (named | head).items()}


@pytest.mark.parametrize("form", ["lstm", "tcn"])
def test_every_row_of_the_window_and_no_other_is_used(form: str) -> None:
    graph = Graph("network", written_out(form, small(form), 30, 5), [30, 5], 1)
    window = np.random.default_rng(1).normal(size=(1, 30, 5))
    said = graph.run(window)
    changed = np.repeat(window, 30, axis=0)
    changed[np.arange(30), np.arange(30)] += 3.0
    assert all(abs(graph.run(other[None]) - said)[0, 0] > 1e-7 for other in changed)


@pytest.mark.services
@pytest.mark.parametrize("form", ["lstm", "tcn"])
@pytest.mark.parametrize("width", [1, 3])
def test_onnx_runtime_says_what_pytorch_says(form: str, width: int) -> None:
    import torch

    from tapeline.models.networks import _answer, _network, _weights

    torch.manual_seed(3)
    network = _network(torch, form, 7, width)
    graph = Graph("network", written_out(form, _weights(network), 30, 7), [30, 7], width)
    rows = np.random.default_rng(2).normal(size=(200, 30, 7)).astype(np.float32)
    with torch.no_grad():
        wanted = _answer(torch, network, torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(graph.run(rows.astype(np.float64)), wanted, atol=1e-5)


@pytest.mark.services
def test_training_leaves_pytorchs_own_randomness_alone() -> None:
    import torch

    data = planted(1, 150).for_target("return", 30)
    torch.manual_seed(5)
    wanted = torch.rand(3).tolist()
    torch.manual_seed(5)
    fit(TCNReturn, data, seed=1)
    assert torch.rand(3).tolist() == wanted


@pytest.mark.services
def test_serving_needs_no_pytorch(tmp_path: Path) -> None:
    data = planted(1, 400, r2=0.3).for_target("return", 30)
    model = fit(TCNReturn, data, seed=1)
    (tmp_path / "model.json").write_bytes(model.dump())
    np.save(tmp_path / "rows.npy", data.shown(TCNReturn))
    code = (
        "import sys, numpy as np; sys.modules['torch'] = None\n"
        "from tapeline.models.sequence import TCNReturn\n"
        "model = TCNReturn.load(open('model.json', 'rb').read())\n"
        "sys.stdout.buffer.write(model.predict(np.load('rows.npy')).tobytes())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout == model.predict(data.shown(TCNReturn)).tobytes()
