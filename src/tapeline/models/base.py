"""The contract of a model, how models are found, and what they share.

A model is one class in one file of this folder, in a module that an installed package names under the entry point
group ``tapeline.models``, or in a Python file of the user, found through the paths in ``TAPELINE_MODELS`` (separated as
in PATH). Its key is (name, target).
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import math
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Self

import numpy as np

from tapeline.errors import InputError, UnknownName, UsageError
from tapeline.models.targets import TARGETS
from tapeline.types import Float
from tapeline.user_files import import_file, user_files

State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What each input added to a prediction.

    ``base`` and the ``contributions`` (one per column) add up to the prediction in ``unit``: the log return itself, or
    the log odds of going up. Where there are several classes, it is the log odds of the one said to be likeliest.
    """

    base: float
    contributions: tuple[float, ...]
    unit: str


@dataclass(frozen=True, slots=True)
class Range:
    """What a number of a model may be when it is tuned; ``usual`` is what it is otherwise."""

    low: float
    high: float
    usual: float
    log: bool = False
    whole: bool = False


class Model(ABC):
    """Learn from rows, answer for each row, and be saved as JSON.

    Attributes:
        name: the family, such as ``huber``.
        target: what it answers, one of `TARGETS`, which says what its numbers mean and where they lie.
        baseline: whether it is what others must beat.
        window: how many consecutive rows it looks at. With 1 a row is k numbers; with more it is window x k, the
            oldest first, never across a gap or an incomplete candle.
        timed: whether the time of day (share of the UTC day, 0 to 1) is added as last input.
        by_default: whether a training run tries it without being asked for it by name.
        extra: the extra of this package it needs, if any.
        alone: whether nothing else may be fitted in this process meanwhile, as where a generator of random numbers is
            used that others use too.
        space: what may be tuned, by name.
        quick: numbers that make a fit cheaper while others are searched, by name.
        chosen: what was chosen by tuning, by name.

    A model carries its own preprocessing, learns the same from the same rows and seed, and predicts a row to the same
    bits alone and among others. It keeps nothing between two calls: what it must remember stands in its window.
    """

    name: ClassVar[str]
    target: ClassVar[str]
    baseline: ClassVar[bool] = False
    window: ClassVar[int] = 1
    timed: ClassVar[bool] = False
    by_default: ClassVar[bool] = True
    extra: ClassVar[str] = ""
    alone: ClassVar[bool] = True
    space: ClassVar[Mapping[str, Range]] = {}
    quick: ClassVar[Mapping[str, float]] = {}
    chosen: ClassVar[Mapping[str, float]] = {}

    @property
    def reads(self) -> Sequence[int] | None:
        """Return the places of the inputs that its answers rest on: the others may be unknown; None: all of them."""
        return None

    @abstractmethod
    def fit(
        self,
        rows: Float,
        labels: Float,
        *,
        seed: int,
        overlap: int = 1,
        past: int = -1,
        weights: Float | None = None,
    ) -> Self:
        """Learn, and return itself.

        Args:
            rows: finite inputs in order of time (n x k, or n x window x k).
            labels: outcomes (n); not looked at where the target has none.
            seed: of all randomness.
            overlap: how many consecutive rows share a part of their outcome: what an inner split by time leaves out.
            past: the column with the return over the horizon before the row.
            weights: how much each row counts (n, mean 1); without them all count the same.
        """

    @abstractmethod
    def predict(self, rows: Float) -> Float:
        """Return what the target asks of each row: one number (n), or one per class (n x classes)."""

    @abstractmethod
    def explain(self, row: Float) -> Explanation:
        """Return what each of the k inputs of one row added to its prediction."""

    @abstractmethod
    def state(self) -> State:
        """Return everything learnt, as plain JSON values."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: State) -> Self:
        """Make the model again from what `state` gave."""

    def dump(self) -> bytes:
        """Save as JSON; the same model gives the same bytes."""
        content = {"model": self.name, "target": self.target, "state": self.state()}
        return json.dumps(content, sort_keys=True, allow_nan=False).encode()

    @classmethod
    def load(cls, raw: bytes) -> Self:
        """Read what `dump` gave; runs no code of the artefact.

        Raises:
            InputError: the bytes are not such a model.
        """
        where = f"model {cls.name} ({cls.target})"
        try:
            content = json.loads(raw)
            found = (content["model"], content["target"])
            made = cls.from_state(content["state"]) if found == (cls.name, cls.target) else None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(where, "cannot be read", expected="the JSON of such a model", was=raw[:40]) from error
        if made is None:
            was = " ".join(map(str, found))
            raise InputError(where, "is another model", expected=f"{cls.name} ({cls.target})", was=was)
        return made


class Online(Model):
    """A model that goes on learning one row at a time after `fit`, and can be saved and loaded in between."""

    @abstractmethod
    def learn_one(self, row: Float, label: float) -> None:
        """Learn from the next row (k) and its outcome; the outcome is not looked at where the target has none."""


def find_models(paths: Sequence[str | Path] = ()) -> dict[tuple[str, str], type[Model]]:
    """Return every model by (name, target): ours, those of entry points, those in the user's files and those given.

    Baselines come first, by module and in the order in which they stand there; then the rest by name.

    Raises:
        UsageError: a file does not exist or cannot be imported, or two models have one key.
    """
    found: dict[tuple[str, str], type[Model]] = {}
    for module in _modules(paths):
        for kind in _models_in(module):
            key = (kind.name, kind.target)
            other = found.setdefault(key, kind)
            if other is not kind:
                rule = "one class for each name and target"
                raise UsageError(f"model {kind.name}", "exists twice", expected=rule, was=f"{other} and {kind}")
    candidates = sorted(key for key, kind in found.items() if not kind.baseline)
    return {key: found[key] for key in (*(key for key in found if found[key].baseline), *candidates)}


def model_class(name: str, target: str, paths: Sequence[str | Path] = ()) -> type[Model]:
    """Return the model of a name and target: ours without a look at what else is installed, for that takes its time.

    Raises:
        UnknownName: there is none; the text lists those there are.
    """
    ours = (kind for module in _ours() for kind in _models_in(module) if (kind.name, kind.target) == (name, target))
    if kind := next(ours, None):
        return kind
    found = find_models(paths)
    if (name, target) not in found:
        rule = f"one of {', '.join(sorted({known for known, _ in found}))}"
        step = "if it is your own, name its file in TAPELINE_MODELS"
        raise UnknownName(f"model {name} ({target})", "is not known", expected=rule, was=name, next_step=step)
    return found[name, target]


def own_files(paths: Sequence[str | Path] = ()) -> list[Path]:
    """Return the files of the user's own models, each once: those of ``TAPELINE_MODELS``, and those given.

    Raises:
        UsageError: the variable names what does not exist.
    """
    return list(dict.fromkeys(Path(path).absolute() for path in (*user_files("TAPELINE_MODELS"), *paths)))


def _ours() -> Iterator[ModuleType]:
    package = importlib.import_module("tapeline.models")
    for info in pkgutil.iter_modules(package.__path__):
        yield importlib.import_module(f"{package.__name__}.{info.name}")


def _modules(paths: Sequence[str | Path]) -> Iterator[ModuleType]:
    yield from _ours()
    for entry in entry_points(group="tapeline.models"):
        yield _from_entry(entry)
    for path in own_files(paths):
        yield _imported(path, path.read_bytes() if path.is_file() else b"")


def _from_entry(entry: EntryPoint) -> ModuleType:
    try:
        loaded = entry.load()
    except (ImportError, AttributeError) as error:
        step = "install what it needs, or remove the package that names it"
        raise UsageError(f"models of {entry.value}", f"cannot be imported: {error}", next_step=step) from error
    return loaded if inspect.ismodule(loaded) else importlib.import_module(loaded.__module__)


@cache
def _imported(path: Path, code: bytes) -> ModuleType:
    """Return the module in a file; the same one until its code changes."""
    del code
    return import_file(path, f"tapeline_user_models_{path.stem}", "models")


def _models_in(module: ModuleType) -> Iterator[type[Model]]:
    for kind in vars(module).values():
        ours = inspect.isclass(kind) and issubclass(kind, Model) and kind.__module__ == module.__name__
        if ours and not inspect.isabstract(kind) and hasattr(kind, "name") and hasattr(kind, "target"):
            if kind.target not in TARGETS:
                rule = " or ".join(TARGETS)
                raise UsageError(f"model {kind.name}", "has no such target", expected=rule, was=kind.target)
            yield kind


def share_up(labels: Float) -> float:
    """Return Laplace's estimate (ups + 1) / (n + 2): never 0 or 1, so that no log loss is infinite."""
    return (float(labels.sum()) + 1) / (len(labels) + 2)


def log_odds(p: float) -> float:
    """Return ln(p / (1 - p))."""
    return math.log(p / (1 - p))


def probability(scores: Float) -> Float:
    """Turn log odds (n) into probabilities, held inside [1e-9, 1 - 1e-9].

    One number at a time by libm: vectorised exponentials may round a row differently alone and among others.
    """
    return np.array([1 / (1 + math.exp(-min(max(score, -20.7), 20.7))) for score in scores.tolist()])


def inner_split(rows: int, overlap: int, share: float = 0.2) -> tuple[slice, slice]:
    """Split training rows by time: the last ``share`` to choose by, the earlier ones less ``overlap`` to learn from."""
    cut = rows - max(1, round(rows * share))
    return slice(0, max(1, cut - overlap)), slice(cut, rows)
