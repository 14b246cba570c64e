"""All monitors over a store at once: drift, live error, anomalies, and what of it is not well."""

from __future__ import annotations

from dataclasses import dataclass

from tapeline.anomalies import Anomalies, anomalies
from tapeline.config import Settings
from tapeline.drift_watch import DriftWatch, ModelDrift
from tapeline.outcomes import LiveError, live_errors, parted
from tapeline.registry import Entry
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.tape import instruments

_JUDGED = 20_000


@dataclass(frozen=True, slots=True)
class Monitored:
    """What all monitors found at an instant (ns UTC): drift, live errors, anomalies, and what of it is not well."""

    at: int
    drift: tuple[ModelDrift, ...]
    errors: tuple[LiveError, ...]
    anomalies: tuple[Anomalies, ...]

    @property
    def drifted(self) -> dict[str, str]:
        """Return why, by model name: major drift only."""
        return {
            one.entry.name: f"{one.worst.column} has drifted since training (PSI {one.worst.psi:.2f})"
            for one in self.drift
            if one.worst is not None and one.worst.level == "major"
        }

    @property
    def failing(self) -> dict[str, str]:
        """Return why, by model name: champions that lose to their baseline with the whole interval."""
        found = {}
        for one in self.drift:
            for error in self.errors:
                if error.worse and _is_of(error, one.entry):
                    gain, low, high = (1e4 * value for value in (error.gain.value, error.gain.low, error.gain.high))
                    bounds = f"{gain:+.2f} bp [{low:+.2f}, {high:+.2f}]"
                    found[one.entry.name] = f"it does worse live than saying that the price stays: {bounds}"
        return found

    @property
    def reasons(self) -> list[str]:
        """Return in words what is not well."""
        return [f"{name}: {why}" for found in (self.drifted, self.failing) for name, why in found.items()]


def _is_of(error: LiveError, entry: Entry) -> bool:
    ours = (entry.instrument, entry.timeframe, entry.horizon, entry.version)
    return ours == (error.instrument, error.timeframe, error.horizon, error.model_version.partition("+")[0])


def monitored(
    store: Store,
    settings: Settings,
    watch: DriftWatch,
    *,
    now: int,
    instrument: str | None = None,
    by: str = "version",
) -> Monitored:
    """Measure once the drift of champions, the errors of the newest predictions, and the anomalies of new candles.

    Args:
        store: keeps everything.
        settings: which candles are stored.
        watch: measures the drift.
        now: ns UTC.
        instrument: only of this one.
        by: by what live errors are told apart, one of `tapeline.outcomes.PARTS`.

    Raises:
        UnknownName: the store does not hold the instrument.
        UsageError: it has no candles of the first timeframe of the settings.
    """
    names = [tape.instrument for tape in instruments(store)] if instrument is None else [instrument]
    timeframe = settings.timeframes[0]
    odd = tuple(anomalies(store, settings, name, timeframe) for name in names)
    drift = tuple(watch.measure(store, instrument))
    said = store.read("predictions", instrument=instrument, limit=_JUDGED)
    errors = live_errors(store, rows.to_predictions(said), parted(store, by))
    return Monitored(now, drift, tuple(errors), odd)
