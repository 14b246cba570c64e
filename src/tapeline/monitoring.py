"""All monitors over a store at once: drift, live error, anomalies, damaged models, and what of it is not well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tapeline.anomalies import Anomalies, anomalies
from tapeline.answer_errors import AnswerError, answer_errors
from tapeline.clock import DAY, format_time
from tapeline.config import Settings
from tapeline.drift_watch import DriftWatch, ModelDrift
from tapeline.learning.artifact import model_name
from tapeline.outcomes import LiveError, live_errors, parted
from tapeline.registry import Entry, Registry
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.tape import instruments

_JUDGED = 20_000


@dataclass(frozen=True, slots=True)
class Monitored:
    """What all monitors found at an instant (ns UTC): drift, live errors, anomalies, and what of it is not well.

    ``versions`` are the errors of whole model versions, also where ``errors`` are told apart further: by these it is
    judged. ``answers`` are the errors of what champions of other targets say. ``damaged`` says by model
    (``name@version``) what is wrong with the stored bytes of one that answers or challenges.
    """

    at: int
    drift: tuple[ModelDrift, ...]
    errors: tuple[LiveError, ...]
    versions: tuple[LiveError, ...]
    answers: tuple[AnswerError, ...]
    anomalies: tuple[Anomalies, ...]
    damaged: Mapping[str, str] = field(default_factory=dict)

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
        """Return why, by model name: champions that lose to their baseline with the whole interval, or begin to."""
        pairs = [(one.entry.name, error) for one in self.drift for error in self.versions if _is_of(error, one.entry)]
        told = [(name, _why_failing(error)) for name, error in pairs]
        return {name: why for name, why in told if why}

    @property
    def reasons(self) -> list[str]:
        """Return in words what is not well."""
        told = [f"{name}: {why}" for found in (self.drifted, self.failing) for name, why in found.items()]
        return [*told, *[_why_worse(one) for one in self.answers if one.worse], *self.damaged.values()]


def _why_failing(error: LiveError) -> str:
    """Return why a model needs another in its place, an empty text where it does not."""
    if error.worse:
        gain, low, high = (1e8 * value for value in (error.squared.value, error.squared.low, error.squared.high))
        return f"it does worse live than saying that the price stays: {gain:+.3g} bp² [{low:+.3g}, {high:+.3g}]"
    if error.worsened is not None and error.last - error.worsened < DAY:
        return f"its error has risen beside that of saying that the price stays: noticed {format_time(error.worsened)}"
    return ""


def _why_worse(error: AnswerError) -> str:
    """Return why the answers of a model tell less than the outcomes before them."""
    (unit, scale), gain, one = error.unit, error.error.gain, error.first
    name = model_name(one.instrument, one.timeframe, one.horizon, one.target)
    bounds = f"{scale * gain.value:+.3g} {unit} [{scale * gain.low:+.3g}, {scale * gain.high:+.3g}]"
    return f"{name}: its answers ({one.model_version}) do worse live than what was known before: {bounds}"


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
    said = rows.to_predictions(store.read("predictions", instrument=instrument, limit=_JUDGED))
    versions = tuple(live_errors(store, said))
    errors = versions if by == "version" else tuple(live_errors(store, said, parted(store, by)))
    champions = {entry.version for entry in Registry(store).entries(instrument) if entry.status == "champion"}
    told = rows.to_answers(store.read("answers", instrument=instrument, limit=_JUDGED))
    answers = answer_errors(store, [one for one in told if one.model_version in champions])
    return Monitored(now, drift, errors, versions, tuple(answers), odd, _damaged(store, instrument))


def _damaged(store: Store, instrument: str | None) -> dict[str, str]:
    return {
        f"{entry.name}@{entry.version}": problem
        for entry, problem in Registry(store).damaged(instrument)
        if entry.status in {"champion", "challenger"}
    }
