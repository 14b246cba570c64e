"""The text of a feature: ``close``, ``sma(7)``, ``talib.CCI(14, window=60)``, each with ``as name`` where wanted."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tapeline.errors import UsageError
from tapeline.indicators.base import Unit, find
from tapeline.kernel import Slot
from tapeline.talib_window import TalibFeature

_FEATURE = re.compile(r"(talib\.)?([A-Za-z_]\w*)\s*(?:\((.*)\))?(?:\s+as\s+([A-Za-z_]\w*))?")
_FIELDS = {
    "open": Unit.PRICE,
    "high": Unit.PRICE,
    "low": Unit.PRICE,
    "close": Unit.PRICE,
    "vwap": Unit.PRICE,
    "volume": Unit.QUANTITY,
    "quote_volume": Unit.QUANTITY,
    "buy_volume": Unit.QUANTITY,
    "trades": Unit.QUANTITY,
    "realized_vol": Unit.RATIO,
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a feature set: its name, its unit, and how many first rows are NaN."""

    name: str
    unit: Unit
    warmup: int


@dataclass(frozen=True, slots=True)
class Feature:
    """One entry of a set: an indicator (slot), a TA-Lib function, or a field of the candle (neither)."""

    text: str
    columns: tuple[Column, ...]
    slot: Slot | None = None
    talib: TalibFeature | None = None


def parse_feature(owner: str, text: str) -> Feature:
    """Read one feature of the set ``owner``.

    Raises:
        UnknownName: the indicator or TA-Lib function is not known.
        UsageError: the text cannot be read, or its parameters do not fit.
    """
    match = _FEATURE.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"feature set {owner}",
            "has a feature that cannot be read",
            expected="name, name(7) or name(7) as x",
            was=text,
        )
    prefix, name, arguments, alias = match.groups()
    positional, named = _arguments(text, arguments)
    if prefix:
        function = TalibFeature.of(name, positional, named)
        return Feature(function.text, tuple(_talib_columns(function, alias)), talib=function)
    if arguments is None and name in _FIELDS:
        return Feature(name, (Column(alias or name, _FIELDS[name], 0),))
    return _indicator(name, positional, named, alias)


def _arguments(text: str, arguments: str | None) -> tuple[list[float], dict[str, float]]:
    positional: list[float] = []
    named: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in (arguments or "").split(","))):
        key, equals, value = part.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise UsageError(
                f"feature {text}", "has a parameter that is no number", expected="a finite number", was=value
            )
        if equals:
            named[key.strip()] = number
        else:
            positional.append(number)
    return positional, named


def _indicator(name: str, positional: Sequence[float], named: dict[str, float], alias: str | None) -> Feature:
    indicator = find(name)
    wanted = [parameter.name for parameter in indicator.parameters]
    given = dict(zip(wanted, positional, strict=False)) | named
    if len(positional) > len(wanted) or set(given) != set(wanted) or len(given) < len(positional) + len(named):
        shown = [f"{value:g}" for value in positional] + [f"{key}={value:g}" for key, value in named.items()]
        raise UsageError(
            f"feature {name}", "has other parameters", expected=f"({', '.join(wanted)})", was=f"({', '.join(shown)})"
        )
    parameters = tuple(parameter.check(name, given[parameter.name]) for parameter in indicator.parameters)
    base = alias or "_".join([name, *(_short(value) for value in parameters)])
    columns = tuple(
        Column(f"{base}_{output.suffix}" if output.suffix else base, output.unit, warmup)
        for output, warmup in zip(indicator.outputs, indicator.warmups(*parameters), strict=True)
    )
    canonical = f"{name}({', '.join(map(repr, parameters))})"
    return Feature(canonical, columns, Slot("", name, indicator, parameters, ()))


def _short(value: float) -> str:
    return f"{value:g}".replace(".", "p").replace("-", "m").replace("+", "")


def _talib_columns(function: TalibFeature, alias: str | None) -> Iterable[Column]:
    base = alias or function.column
    for suffix, unit in zip(function.outputs, function.units, strict=True):
        yield Column(f"{base}_{suffix}" if suffix else base, unit, function.window - 1)
