"""The user's own Python files, found through a variable of the environment."""

from __future__ import annotations

import os
from pathlib import Path

from tapeline.errors import UsageError


def user_files(variable: str) -> list[Path]:
    """Return the files that a variable names, and those in its folders; paths are separated as in PATH.

    Raises:
        UsageError: it names what does not exist.
    """
    found: list[Path] = []
    for path in map(Path, filter(None, os.environ.get(variable, "").split(os.pathsep))):
        if not path.exists():
            rule = "a file or folder"
            raise UsageError(variable, "names a path that does not exist", expected=rule, was=str(path))
        found += sorted(path.glob("*.py")) if path.is_dir() else [path]
    return found
