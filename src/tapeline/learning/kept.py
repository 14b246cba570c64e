"""What models said, fold by fold, kept while a run is under way: a run that was killed goes on where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from tapeline.types import Float


class Kept(Protocol):
    """Keep arrays by name."""

    def get(self, name: str) -> Float | None:
        """Return what was kept under a name, None where nothing was."""

    def put(self, name: str, said: Float) -> None:
        """Keep an array."""


class InMemory:
    """Keep them as long as the process lives.

    >>> kept = InMemory()
    >>> kept.put("a", np.zeros(2))
    >>> kept.get("a"), kept.get("b")
    (array([0., 0.]), None)
    """

    def __init__(self) -> None:
        self._said: dict[str, Float] = {}

    def get(self, name: str) -> Float | None:
        """Return what was kept under a name, None where nothing was."""
        return self._said.get(name)

    def put(self, name: str, said: Float) -> None:
        """Keep an array."""
        self._said[name] = said


class InFolder:
    """Keep them as one file each; what a kill left half-written is made again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npy"

    def get(self, name: str) -> Float | None:
        """Return what was kept under a name, None where nothing was or it cannot be read."""
        try:
            said: Float = np.load(self._path(name), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        return said

    def put(self, name: str, said: Float) -> None:
        """Keep an array."""
        self.folder.mkdir(parents=True, exist_ok=True)
        scratch = self._path(name).with_suffix(".tmp")
        with scratch.open("wb") as file:
            np.save(file, said, allow_pickle=False)
        scratch.replace(self._path(name))
