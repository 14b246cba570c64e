import os
from pathlib import Path

import pytest

from tapeline.errors import UsageError
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
