from __future__ import annotations

import textwrap
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from tapeline.errors import UnknownName, UsageError
from tapeline.models import base
from tapeline.models.base import find_models, inner_split, log_odds, model_class, probability, share_up

MINE = textwrap.dedent('''
    from tapeline.models.naive import LastPrice

    class Mine(LastPrice):
        """A user's own."""
        name = "{name}"
        target = "{target}"
        baseline = False
''')


def write(folder: Path, name: str = "mine", target: str = "return") -> Path:
    path = folder / "my_models.py"
    path.write_text(MINE.format(name=name, target=target))
    return path


def test_a_model_in_a_file_of_the_user_is_found(tmp_path: Path) -> None:
    found = find_models([write(tmp_path)])
    assert found["mine", "return"].name == "mine"
    assert ("mine", "return") not in find_models()


def test_files_and_folders_of_the_user_are_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path)
    for named in (file, tmp_path):
        monkeypatch.setenv("TAPELINE_MODELS", str(named))
        found = find_models()["mine", "return"]
        assert found is find_models([file])["mine", "return"] is model_class("mine", "return")
        assert __import__(found.__module__).Mine is found  # as a process does that is sent one
    file.write_text(file.read_text() + "    quick = {'a': 1}\n")
    assert find_models()["mine", "return"].quick == {"a": 1}
    monkeypatch.setenv("TAPELINE_MODELS", str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="TAPELINE_MODELS: names a path that does not exist: expected a file or fold"):
        find_models()


def test_a_model_under_an_entry_point_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("theirs", "tapeline.models.naive:LastPrice", "tapeline.models")
    monkeypatch.setattr(base, "entry_points", lambda group: [entry] if group == "tapeline.models" else [])
    assert find_models()["last_price", "return"].__module__ == "tapeline.models.naive"


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="model huber: exists twice: expected one class for each name and target"):
        find_models([write(tmp_path, "huber")])


def test_an_unknown_target_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"has no such target: expected return or direction or direction3 or .*, was 'colour'"
    ):
        find_models([write(tmp_path, target="colour")])


@pytest.mark.parametrize("content", ["this is not python", "import nothing_of_this_name", "raise ValueError(1)"])
def test_a_file_that_cannot_be_imported_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"models file .*broken\.py: cannot be imported"):
        find_models([path])


@pytest.mark.parametrize("name", ["absent.py", "text.txt"])
def test_a_path_that_is_no_python_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is not a Python file"):
        find_models([tmp_path / name])


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        UnknownName,
        match=r"model oracle \(return\): is not known: expected one of .*huber, isolation_forest, last_price",
    ):
        model_class("oracle", "return")
    with pytest.raises(UnknownName, match=r"model huber \(direction\)"):
        model_class("huber", "direction")


def test_shares_and_odds() -> None:
    assert share_up(np.ones(8)) == pytest.approx(0.9)
    assert share_up(np.zeros(8)) == pytest.approx(0.1)
    assert log_odds(0.5) == 0.0
    extremes = probability(np.array([-1e9, 0.0, 1e9]))
    assert extremes[1] == 0.5
    assert 0 < extremes[0] < 1e-8 < 1 - 1e-8 < extremes[2] < 1


@pytest.mark.parametrize(("rows", "overlap"), [(100, 5), (2, 50), (1, 1), (30, 30)])
def test_inner_split_never_lets_outcomes_overlap(rows: int, overlap: int) -> None:
    learn, choose = inner_split(rows, overlap)
    assert learn.stop >= 1
    assert choose.stop == rows
    assert choose.start - learn.stop >= overlap or learn == slice(0, 1)
