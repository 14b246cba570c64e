"""The user's own Python files, found through a variable of the environment."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from tapeline.errors import UsageError


def paths_in(text: str) -> list[Path]:
    """Return the paths that a text names, separated as in PATH.

    >>> [path.name for path in paths_in(os.pathsep.join(["/a/mine.py", "", "/b/folder"]))]
    ['mine.py', 'folder']
    """
    return [Path(path) for path in text.split(os.pathsep) if path]


def user_files(variable: str) -> list[Path]:
    """Return the files that a variable names, and those in its folders.

    Raises:
        UsageError: it names what does not exist.
    """
    found: list[Path] = []
    for path in paths_in(os.environ.get(variable, "")):
        if not path.exists():
            rule = "a file or folder"
            raise UsageError(variable, "names a path that does not exist", expected=rule, was=str(path))
        found += sorted(path.glob("*.py")) if path.is_dir() else [path]
    return found


def import_file(file: Path, name: str, what: str) -> ModuleType:
    """Import a file as the module ``name``, under which classes of it can go to another process and back.

    Raises:
        UsageError: it is no Python file, or cannot be imported; ``what`` it is says the text.
    """
    where, spec = f"{what} file {file}", importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None or not file.is_file():
        raise UsageError(where, "is not a Python file", expected="the path of a .py file", was=str(file))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError, NameError, AttributeError, TypeError, ValueError) as error:
        raise UsageError(where, f"cannot be imported: {error}") from error
    return module
