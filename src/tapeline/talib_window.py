"""TA-Lib functions as features, over exactly the trailing window of candles.

TA-Lib's own state cannot be saved, so a function is called anew on the last ``window`` candles, live and in batch
alike: equal by construction, wherever the process was stopped. For functions with an unbounded memory (EMA, RSI, ...)
the value is that of the window, not of the full history; a longer window brings it nearer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np

from tapeline.errors import UnknownName, UsageError
from tapeline.indicators.base import Unit
from tapeline.types import Float, Records

_INPUTS = ("open", "high", "low", "close", "volume")
_LONGEST = 10_000


@dataclass(frozen=True, slots=True)
class TalibFeature:
    """A TA-Lib function, its parameters, the number of candles it is given, and what its outputs measure."""

    name: str
    parameters: tuple[tuple[str, float], ...]
    window: int
    outputs: tuple[str, ...]
    units: tuple[Unit, ...]

    @classmethod
    def of(cls, name: str, positional: Sequence[float], named: Mapping[str, float]) -> Self:
        """Read a function by TA-Lib's own name and parameter order.

        Without ``window`` it is four times the function's look-back, and 32 at least.

        Raises:
            UnknownName: TA-Lib has no such function.
            UsageError: its parameters do not fit, or it needs more than candles.
        """
        function = _abstract(name)
        given = _parameters(name, function.info["parameters"], positional, named)
        try:
            function.parameters = given
            lookback = int(function.lookback)
            _outputs(function, np.ones((len(_INPUTS), 1)))
        except Exception as error:  # TA-Lib raises no narrower one
            raise UsageError(
                f"feature talib.{name}", f"is refused by TA-Lib: {error}", expected="parameters in range", was=given
            ) from error
        window = named.get("window", min(max(4 * (lookback + 1), 32), _LONGEST))
        if not float(window).is_integer() or not lookback < window <= _LONGEST:
            rule = f"a whole number of candles from {lookback + 1} to {_LONGEST}"
            raise UsageError(f"feature talib.{name} window", "is out of range", expected=rule, was=window)
        names = list(function.output_names)
        outputs = ("",) if len(names) == 1 else tuple(names)
        units = _units(name, tuple(given.items()), lookback)
        return cls(name, tuple(given.items()), int(window), outputs, units)

    @property
    def text(self) -> str:
        """Return it as a feature is written: ``talib.CCI(timeperiod=14, window=60)``."""
        given = [*self.parameters, ("window", self.window)]
        return f"talib.{self.name}({', '.join(f'{key}={value!r}' for key, value in given)})"

    @property
    def column(self) -> str:
        """Return the name of its column: ``talib_cci_14_w60``."""
        values = [f"{value:g}".replace(".", "p").replace("-", "m") for _, value in self.parameters]
        return "_".join(["talib", self.name.lower(), *values, f"w{self.window}"])

    def history(self) -> TalibHistory:
        """Return an empty memory of recent candles for it."""
        return TalibHistory(self)


class TalibHistory:
    """The last candles of one TA-Lib feature."""

    def __init__(self, feature: TalibFeature) -> None:
        self._feature = feature
        self._function = _abstract(feature.name)
        self._function.parameters = dict(feature.parameters)
        self._rows = np.full((len(_INPUTS), feature.window), np.nan)
        self._seen = 0

    @property
    def size(self) -> int:
        """Return the length of a snapshot in bytes."""
        return 8 + self._rows.nbytes

    def feed(self, candles: Records) -> Float:
        """Return one row of outputs per candle, NaN for the first ``window - 1``."""
        window = self._feature.window
        series = np.hstack([self._rows, np.vstack([candles[name].astype(np.float64) for name in _INPUTS])])
        values = np.full((len(candles), len(self._feature.outputs)), np.nan)
        for row in range(len(candles)):
            if self._seen + row + 1 >= window:
                outputs = _outputs(self._function, series[:, row + 1 : row + 1 + window])
                values[row] = [output[-1] for output in outputs]
        self._rows = np.ascontiguousarray(series[:, -window:])
        self._seen = min(self._seen + len(candles), window)
        return values

    def reset(self) -> None:
        """Forget all candles."""
        self._rows[:] = np.nan
        self._seen = 0

    def snapshot(self) -> bytes:
        """Return the memory as bytes."""
        return np.int64(self._seen).tobytes() + self._rows.tobytes()

    def restore(self, snapshot: bytes) -> None:
        """Continue from what `snapshot` gave."""
        self._seen = int(np.frombuffer(snapshot[:8], np.int64)[0])
        self._rows = np.frombuffer(snapshot[8:], np.float64).reshape(self._rows.shape).copy()


def _parameters(
    name: str, defaults: Mapping[str, float], positional: Sequence[float], named: Mapping[str, float]
) -> dict[str, float]:
    keys = [*defaults, "window"]
    given = dict(zip(defaults, positional, strict=False))
    doubled = set(given) & set(named)
    if len(positional) > len(defaults) or set(named) - set(keys) or doubled:
        shown = [f"{value:g}" for value in positional] + [f"{key}={value:g}" for key, value in named.items()]
        raise UsageError(
            f"feature talib.{name}",
            "has other parameters",
            expected=f"({', '.join(keys)})",
            was=f"({', '.join(shown)})",
        )
    given |= {key: value for key, value in named.items() if key != "window"}
    for key, value in given.items():
        if isinstance(defaults[key], int) and not float(value).is_integer():
            raise UsageError(f"feature talib.{name} {key}", "is not whole", expected="a whole number", was=value)
    return {key: type(defaults[key])(value) for key, value in given.items()}


@cache
def _units(name: str, parameters: tuple[tuple[str, float], ...], lookback: int) -> tuple[Unit, ...]:
    """Find out what the outputs measure: how they scale when all prices, or all volumes, are four times as large."""
    function = _abstract(name)
    function.parameters = dict(parameters)
    random = np.random.default_rng(1)
    n = lookback + 200
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.01, n)))
    body = close * (1.0 + random.normal(0.0, 0.01, n))
    high, low = np.maximum(body, close) * 1.005, np.minimum(body, close) * 0.995
    series = np.vstack([body, high, low, close, random.lognormal(1.0, 1.0, n)])
    scales = [(1.0, 1.0), (4.0, 1.0), (1.0, 4.0)]
    plain, dear, large = (_outputs(function, series * np.array([[p]] * 4 + [[v]])) for p, v in scales)
    levels = "Output scale same as input" in (function.function_flags or ())
    return tuple(_unit(*values, levels) for values in zip(plain, dear, large, strict=True))


def _unit(plain: Float, dear: Float, large: Float, levels: bool) -> Unit:
    def same(values: Float, factor: float) -> bool:
        return bool(np.allclose(values, plain * factor, rtol=1e-6, atol=1e-9, equal_nan=True))

    if np.isnan(plain).all():
        return Unit.CUMULATIVE
    if same(dear, 1.0) and same(large, 1.0):
        return Unit.RATIO
    if same(dear, 4.0) and same(large, 1.0):
        return Unit.PRICE if levels else Unit.PRICE_CHANGE
    if same(dear, 1.0) and same(large, 4.0):
        return Unit.QUANTITY
    return Unit.CUMULATIVE  # of no simple scale: kept from models as running totals are


def _outputs(function: Any, series: Float) -> list[Float]:
    given: dict[str, Any] = {name: np.ascontiguousarray(row) for name, row in zip(_INPUTS, series, strict=True)}
    result = function(given, price="close")
    return [np.asarray(output, np.float64) for output in (result if isinstance(result, list) else [result])]


@cache
def talib_version() -> str:
    """Return the version of TA-Lib that computes."""
    import talib

    return str(talib.__ta_version__.decode().split()[0])


def _abstract(name: str) -> Any:
    import talib
    from talib import abstract

    known = talib.get_functions()
    if name not in known:
        raise UnknownName(
            f"feature talib.{name}",
            "is not a TA-Lib function",
            expected="one of TA-Lib's names in capitals, such as CCI",
            was=name,
        )
    function = abstract.Function(name)
    needed = [
        part for names in function.input_names.values() for part in ([names] if isinstance(names, str) else names)
    ]
    if set(needed) - set(_INPUTS):
        raise UsageError(
            f"feature talib.{name}", "needs more than candles", expected=f"of {', '.join(_INPUTS)}", was=needed
        )
    return function
