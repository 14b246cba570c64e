"""What folds give, as it comes: `rows.from_parts` makes rows of it when there is time for it."""

from __future__ import annotations

from dataclasses import dataclass

from tapeline.features import FeatureRows
from tapeline.types import Frame, Int, Prediction, Records

OURS = "trades"
"""The source of candles and features that are folded from trades, not imported."""


@dataclass(frozen=True, slots=True)
class CandlePart:
    """Our own candles of an instrument and timeframe, in order of time."""

    instrument: str
    timeframe: str
    candles: Records

    def __len__(self) -> int:
        return len(self.candles)


@dataclass(frozen=True, slots=True)
class FeaturePart:
    """Rows of a feature set of our own candles, in order of time."""

    instrument: str
    timeframe: str
    feature_set: str
    version: str
    rows: FeatureRows

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class PredictionPart:
    """Predictions of any instruments."""

    predictions: list[Prediction]

    def __len__(self) -> int:
        return len(self.predictions)


Part = Frame | CandlePart | FeaturePart | PredictionPart


def series_of(part: Frame | CandlePart | FeaturePart) -> tuple[tuple[str, ...], Int]:
    """Return the texts in the key of a part's rows, which they share, and the number that ends it (n)."""
    if isinstance(part, Frame):
        return (part.instrument,), part.trade_id
    if isinstance(part, CandlePart):
        return (part.instrument, part.timeframe, OURS), part.candles["open_time"]
    return (part.instrument, part.timeframe, part.feature_set, part.version, OURS), part.rows.as_of
