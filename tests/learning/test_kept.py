from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tapeline.learning.kept import InFolder, InMemory, Kept


@pytest.fixture(params=["memory", "folder"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    return InMemory() if request.param == "memory" else InFolder(tmp_path / "work")


def test_what_is_kept_comes_back_to_the_bit(kept: Kept) -> None:
    said = np.random.default_rng(1).normal(size=(7, 3))
    assert kept.get("a") is None
    kept.put("a", said)
    kept.put("a", said + 1)
    found = kept.get("a")
    assert found is not None
    assert found.tobytes() == (said + 1).tobytes()


@pytest.mark.parametrize("cut", [0, 5, 60, 100])
def test_a_file_that_a_kill_cut_off_is_nothing(cut: int, tmp_path: Path) -> None:
    kept = InFolder(tmp_path)
    kept.put("a", np.arange(10.0))
    path = tmp_path / "a.npy"
    path.write_bytes(path.read_bytes()[:cut])
    assert kept.get("a") is None


def test_objects_are_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"code": 1}], dtype=object), allow_pickle=True)
    assert InFolder(tmp_path).get("a") is None
