"""What models said, fold by fold, kept while a run is under way: a run that was killed goes on where it was."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from tapeline.types import Float


class Kept(Protocol):
    """Keep arrays by name, and what they cost."""

    def get(self, name: str) -> Float | None:
        """Return what was kept under a name, None where nothing was."""

    def put(self, name: str, said: Float, seconds: float = 0.0) -> None:
        """Keep an array, and how many seconds of processor time it took."""

    def seconds(self) -> dict[str, float]:
        """Return the seconds by name."""


def seconds_by_model(seconds: Mapping[str, float], target: str) -> dict[str, float]:
    """Return what each model of a target cost in all folds together, the dearest first.

    >>> seconds_by_model({"return-huber-0": 1.0, "return-huber-1": 2.0, "direction-huber-0": 9.0}, "return")
    {'huber': 3.0}
    """
    total: dict[str, float] = {}
    for name, cost in seconds.items():
        of, _, rest = name.partition("-")
        if of == target:
            model = rest.rpartition("-")[0]
            total[model] = total.get(model, 0.0) + cost
    return dict(sorted(total.items(), key=lambda one: -one[1]))


class InMemory:
    """Keep them as long as the process lives.

    >>> kept = InMemory()
    >>> kept.put("a", np.zeros(2), 1.5)
    >>> kept.get("a"), kept.get("b"), kept.seconds()
    (array([0., 0.]), None, {'a': 1.5})
    """

    def __init__(self) -> None:
        self._said: dict[str, Float] = {}
        self._seconds: dict[str, float] = {}

    def get(self, name: str) -> Float | None:
        """Return what was kept under a name, None where nothing was."""
        return self._said.get(name)

    def put(self, name: str, said: Float, seconds: float = 0.0) -> None:
        """Keep an array, and how many seconds of processor time it took."""
        self._said[name] = said
        self._seconds[name] = seconds

    def seconds(self) -> dict[str, float]:
        """Return the seconds by name."""
        return dict(self._seconds)


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

    def put(self, name: str, said: Float, seconds: float = 0.0) -> None:
        """Keep an array, and how many seconds of processor time it took."""
        self.folder.mkdir(parents=True, exist_ok=True)
        scratch = self._path(name).with_suffix(".tmp")
        with scratch.open("wb") as file:
            np.save(file, said, allow_pickle=False)
        scratch.replace(self._path(name))
        with (self.folder / "seconds.csv").open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow((name, f"{seconds:.3f}"))

    def seconds(self) -> dict[str, float]:
        """Return the seconds by name; a line that a kill cut off is left out."""
        return dict(self._lines())

    def _lines(self) -> Iterator[tuple[str, float]]:
        path = self.folder / "seconds.csv"
        if not path.exists():
            return
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.reader(file):
                try:
                    name, seconds = row
                    yield name, float(seconds)
                except ValueError:
                    continue
