"""One compiled kernel for a whole feature set: Python source is written from the set, compiled once, and cached.

The source holds one module-level function (only those are cached by Numba) that walks over the candles and calls each
indicator's ``update`` on its own field of one state record. Its file name carries the version of the set, so a set or
an indicator that changes never meets an old kernel.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tapeline.indicators.base import Indicator

Kernel = Callable[[Any, Any, Any, Any], None]
"""``kernel(states, candles, values, complete)``: one state record, n candles, n x k values, n flags."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One indicator with its parameters, and the columns that take its outputs (None: not asked for)."""

    field: str
    name: str
    indicator: Indicator
    parameters: tuple[float, ...]
    columns: tuple[int | None, ...]


def state_dtype(slots: Sequence[Slot]) -> np.dtype[np.void]:
    """Return the record type that holds the state of all slots, and the length of the last run of complete candles."""
    fields: list[Any] = [("run", "i8")]
    fields += [(slot.field, slot.indicator.dtype(*slot.parameters)) for slot in slots]
    return np.dtype(fields, align=True)


def build(version: str, slots: Sequence[Slot], fields: Sequence[tuple[int, str]], window: int) -> Kernel:
    """Return the kernel of a feature set, from the cache where it was built before.

    Args:
        version: of the set; names the file in the cache.
        slots: the indicators.
        fields: (column, candle field) for the columns that are a candle's own fields.
        window: how many complete candles in a row make a row complete.
    """
    file = cache_folder() / f"kernel_{version}.py"
    module_name = f"tapeline_kernels.{file.stem}"
    if module_name in sys.modules and sys.modules[module_name].__file__ == str(file):
        return sys.modules[module_name].kernel  # type: ignore[no-any-return]
    source = _source(slots, fields, window)
    if not file.exists() or file.read_text(encoding="utf-8") != source:
        temporary = file.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(source, encoding="utf-8")
        temporary.replace(file)
    spec = importlib.util.spec_from_file_location(module_name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    kernel: Kernel = module.kernel
    return kernel


def _source(slots: Sequence[Slot], fields: Sequence[tuple[int, str]], window: int) -> str:
    names = sorted({slot.name for slot in slots})
    lines = ["from numba import njit", "", "from tapeline.indicators.base import find", ""]
    lines += [f'{name}_update = njit(find("{name}").update, error_model="numpy")' for name in names]
    lines += [
        "",
        '@njit(cache=True, error_model="numpy")',
        "def kernel(states, candles, values, complete):",
        "    state = states[0]",
        "    for row in range(len(candles)):",
        "        candle = candles[row]",
        "        state.run = state.run + 1 if candle.complete else 0",
        f"        complete[row] = state.run >= {window}",
    ]
    lines += [f"        values[row, {column}] = candle.{name}" for column, name in fields]
    for slot in slots:
        arguments = "".join(f", {value!r}" for value in slot.parameters)
        call = f"{slot.name}_update(state.{slot.field}, candle{arguments})"
        if len(slot.columns) == 1:
            lines.append(f"        values[row, {slot.columns[0]}] = {call}")
            continue
        targets = [f"v{index}" for index in range(len(slot.columns))]
        lines.append(f"        {', '.join(targets)} = {call}")
        lines += [
            f"        values[row, {column}] = {target}"
            for column, target in zip(slot.columns, targets, strict=True)
            if column is not None
        ]
    return "\n".join(lines) + "\n"


def cache_folder() -> Path:
    """Return a folder for kernels that can be written: TAPELINE_CACHE, the user's cache, or else a temporary one."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    wanted = os.environ.get("TAPELINE_CACHE") or str(Path(home) / "tapeline")
    for folder in (Path(wanted) / "kernels", Path(tempfile.gettempdir()) / f"tapeline-{os.getuid()}" / "kernels"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return Path(tempfile.mkdtemp(prefix="tapeline-"))
