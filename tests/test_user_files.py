import os
from pathlib import Path

import pytest

from tapeline.errors import UsageError
from tapeline.indicators.base import names
from tapeline.user_files import user_files


def test_files_and_those_in_folders_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.py", "a.py", "notes.txt"):
        (tmp_path / name).touch()
    monkeypatch.setenv("OWN", os.pathsep.join([str(tmp_path / "notes.txt"), "", str(tmp_path)]))
    assert [file.name for file in user_files("OWN")] == ["notes.txt", "a.py", "b.py"]
    assert user_files("UNSET") == []


def test_a_path_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWN", "/nowhere")
    with pytest.raises(UsageError, match="OWN: names a path that does not exist: expected a file or folder, was"):
        user_files("OWN")


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        ("bad.py", "def f(:", r"^indicator file .*bad.py: cannot be imported: invalid syntax"),
        ("bad.py", "import nowhere_to_be_found", "cannot be imported: No module named"),
        ("bad.txt", "", "is not a Python file: expected the path of a .py file"),
        ("bad.py", "x = 1", "holds no indicator: expected INDICATOR = Indicator"),
        ("bad.py", "INDICATOR = 3", "holds no indicator: expected INDICATOR = Indicator.*, was 3"),
    ],
)
def test_a_mistake_in_a_file_is_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: str, text: str
) -> None:
    (tmp_path / name).write_text(code)
    monkeypatch.setenv("TAPELINE_INDICATORS", str(tmp_path / name))
    with pytest.raises(UsageError, match=text):
        names()


def test_a_folder_may_hold_files_that_are_no_indicators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "helper.py").write_text("x = 1")
    monkeypatch.setenv("TAPELINE_INDICATORS", str(tmp_path))
    assert "helper" not in names()
