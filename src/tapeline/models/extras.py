"""Optional libraries: imported where a model needs them, and named where they are absent."""

from __future__ import annotations

import importlib
from typing import Any

from tapeline.errors import MissingDependency


def optional(library: str, *, model: str, extra: str) -> Any:
    """Import a library that an extra of this package brings.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        return importlib.import_module(library)
    except ImportError as error:
        step = f'run: pip install "tapeline[{extra}]"'
        raise MissingDependency(f"model {model}", f"needs {library}, which is not installed", next_step=step) from error
