"""The contract of an indicator, and how indicators are found.

An indicator is a module whose name is its key and which holds ``INDICATOR``. Its ``update(state, candle, ...)`` is a
plain function that reads like the formula: it changes the state and returns the value for this candle, NaN until it
is warm. The framework compiles it (`tapeline.kernel`), snapshots its state, and calls it live and in batch.

Modules are looked for in this package, in the entry points of the group ``tapeline.indicators``, and in the files or
folders of ``TAPELINE_INDICATORS`` (several separated as in PATH).
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import pkgutil
import tokenize
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tapeline.errors import UnknownName, UsageError
from tapeline.user_files import import_file, paths_in, user_files

_VARIABLE = "TAPELINE_INDICATORS"

Fields = Mapping[str, type[float] | type[int] | tuple[type[float] | type[int], int]]
"""The fields of a state: numbers or rows of numbers, ``float``, ``int`` or ``(float, length)``; all begin as zeros."""

State = Any
"""A record with the fields of the state as attributes."""

Candle = Any
"""A record with the fields of `tapeline.types.CANDLE` as attributes."""


class Unit(StrEnum):
    """What an output measures; it decides how a model sees it (`tapeline.features.FeatureSet.inputs`)."""

    PRICE = "price"
    """A price level; a model sees its ratio to close, less one."""
    PRICE_CHANGE = "price_change"
    """A difference of prices; a model sees its ratio to close."""
    QUANTITY = "quantity"
    """An amount or a count per candle."""
    CUMULATIVE = "cumulative"
    """A running total since the beginning; kept from models."""
    RATIO = "ratio"
    """Free of units."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named number with its unit and its range, both ends included."""

    name: str
    minimum: float
    maximum: float
    unit: str = "candles"
    integer: bool = True

    def check(self, owner: str, value: float) -> float:
        """Return the value if it is in range.

        Raises:
            UsageError: it is out of range, or not whole where it must be.
        """
        whole = not self.integer or float(value).is_integer()
        if not whole or not self.minimum <= value <= self.maximum:
            kind = "a whole number" if self.integer else "a number"
            raise UsageError(
                f"{owner} {self.name}",
                "is out of range",
                expected=f"{kind} of {self.unit} from {self.minimum:g} to {self.maximum:g}",
                was=value,
            )
        return int(value) if self.integer else float(value)


WINDOW = Parameter("window", 2, 10_000)
"""The usual parameter: how many candles."""


@dataclass(frozen=True, slots=True)
class Output:
    """One number an indicator gives: its unit, and the suffix of its column."""

    unit: Unit
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Indicator:
    """All that the framework needs to know of an indicator.

    Attributes:
        update: ``update(state, candle, *parameters) -> float``, or a tuple with one float per output.
        state: ``state(*parameters)`` returns the fields of the state.
        parameters: in the order of the arguments.
        outputs: in the order of the values that ``update`` returns.
        warmup: ``warmup(*parameters)`` returns how many first rows are NaN: one number, or one per output.
        inputs: the candle fields that ``update`` reads.
        source: the paper, page or library that defines it.
    """

    update: Callable[..., Any]
    state: Callable[..., Fields]
    parameters: tuple[Parameter, ...]
    outputs: tuple[Output, ...]
    warmup: Callable[..., int | tuple[int, ...]]
    inputs: tuple[str, ...]
    source: str

    def warmups(self, *parameters: float) -> tuple[int, ...]:
        """Return how many first rows are NaN, per output."""
        rows = self.warmup(*parameters)
        return rows if isinstance(rows, tuple) else (rows,) * len(self.outputs)

    def dtype(self, *parameters: float) -> np.dtype[np.void]:
        """Return the record type of the state."""
        fields: list[Any] = []
        for name, kind in self.state(*parameters).items():
            number, shape = kind if isinstance(kind, tuple) else (kind, None)
            code = "f8" if number is float else "i8"
            fields.append((name, code) if shape is None else (name, code, (shape,)))
        return np.dtype(fields or [("unused", "i8")], align=True)


def find(name: str) -> Indicator:
    """Return the indicator of that name.

    Raises:
        UnknownName: there is none; the text lists those there are.
    """
    return module_of(name).INDICATOR  # type: ignore[no-any-return]


def module_of(name: str) -> ModuleType:
    """Return the module that holds the indicator of that name.

    Raises:
        UnknownName: there is none; the text lists those there are.
    """
    modules = _modules(os.environ.get(_VARIABLE, ""))
    if name not in modules:
        raise UnknownName(
            f"indicator {name}", "is not known", expected=f"one of {', '.join(sorted(modules))}", was=name
        )
    return modules[name]


def names() -> list[str]:
    """Return the names of all indicators that can be found."""
    return sorted(_modules(os.environ.get(_VARIABLE, "")))


def code_of(name: str) -> str:
    """Return the code of an indicator's module without comments, docstrings and layout: what its version hashes."""
    return code_in(Path(str(module_of(name).__file__)))


@cache
def code_in(file: Path) -> str:
    """Return the code of a file without comments, docstrings and layout, one statement a line; it is read once."""
    shape = {tokenize.INDENT: "{", tokenize.DEDENT: "}"}
    pieces: list[str] = []
    line: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(file.read_text(encoding="utf-8")).readline):
        if token.type in shape:
            pieces.append(shape[token.type])
        elif token.type == tokenize.NEWLINE:
            docstring = len(line) == 1 and line[0].type == tokenize.STRING
            pieces += [] if docstring else [" ".join(part.string for part in line), "\n"]
            line = []
        elif token.type not in (tokenize.COMMENT, tokenize.NL):
            line.append(token)
    return "".join(pieces)


@cache
def _modules(variable: str) -> dict[str, ModuleType]:
    """Return all modules by name; ``variable`` is what ``TAPELINE_INDICATORS`` holds: they change with it alone."""
    del variable
    found = {name: module for name, module in _shipped() if hasattr(module, "INDICATOR")}
    for point in entry_points(group="tapeline.indicators"):
        found[point.name] = point.load()
    found.update(_own())
    return found


def _shipped() -> Iterator[tuple[str, ModuleType]]:
    package = __name__.rpartition(".")[0]
    for info in pkgutil.iter_modules([str(Path(__file__).parent)]):
        yield info.name.rstrip("_"), importlib.import_module(f"{package}.{info.name}")


def _own() -> Iterator[tuple[str, ModuleType]]:
    for file in user_files(_VARIABLE):
        module = import_file(file, f"tapeline_user_indicators.{file.stem}", "indicator")
        made = getattr(module, "INDICATOR", None)
        if isinstance(made, Indicator):
            yield file.stem.rstrip("_"), module
        elif made is not None or file in paths_in(os.environ[_VARIABLE]):
            rule = "INDICATOR = Indicator(...)"
            raise UsageError(f"indicator file {file}", "holds no indicator", expected=rule, was=made)
