"""Tapeline: live trade tapes of exchanges into candles, features, models and predictions.

For notebooks, ``import tapeline as tl``: `candles` and `features` take and give pandas, Polars or Arrow tables, `open`
reads a database. They are imported when first used, so importing the package costs nothing.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tapeline.dataframes import candles, features
    from tapeline.reader import Tape, open

__version__ = "0.1.0"
__all__ = ["Tape", "__version__", "candles", "features", "open"]


def _lazy(module: str, name: str) -> property:
    def get(_: ModuleType) -> Any:
        return getattr(import_module(module), name)

    def keep(_: ModuleType, module: ModuleType) -> None:
        """Ignore that a module of this name was imported: the function keeps its name."""

    return property(get, keep)


class _Package(ModuleType):
    """The package, whose functions ``candles`` and ``features`` are not hidden by the modules of the same names."""

    Tape = _lazy("tapeline.reader", "Tape")
    candles = _lazy("tapeline.dataframes", "candles")
    features = _lazy("tapeline.dataframes", "features")
    open = _lazy("tapeline.reader", "open")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package
