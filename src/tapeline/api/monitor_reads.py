"""What the routes of drift and anomalies answer."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tapeline.anomalies import Anomalies, anomalies
from tapeline.api.context import Context
from tapeline.api.params import Span
from tapeline.api.problems import NotReady
from tapeline.clock import format_time
from tapeline.config import Settings
from tapeline.documents import Anomaly, DriftReport, FeatureDrift, Page
from tapeline.documents import ModelDrift as ModelDocument
from tapeline.drift_watch import DriftWatch, ModelDrift
from tapeline.monitor.drift import Drift
from tapeline.stores._duckdb_reader import Reader


async def drift(shared: Context) -> DriftReport:
    """Return the drift that the live process measured last, or over a stored database that of now.

    Raises:
        NotReady: no champion has rows enough; the state says what is missing.
    """
    found = shared.hub.monitored
    if found is None:
        measured = await shared.read(lambda reader: DriftWatch(shared.settings).measure(reader))
        return drift_report(measured, shared.clock.now())
    return drift_report(found.drift, found.at)


def drift_report(measured: Sequence[ModelDrift], at: int) -> DriftReport:
    """Return what was measured at an instant (ns UTC), the features that drifted most first.

    Raises:
        NotReady: nothing could be measured.
    """
    models = [_model(one) for one in measured]
    items = [_feature(one, drift) for one in measured for drift in one.drifts]
    if not items:
        waiting = {one.model: one.reason for one in models} or {"models": "no champion answers"}
        step = "watch GET /v1/errors meanwhile"
        raise NotReady("drift", "is not measured yet", state={"measured": False, "waiting": waiting}, next_step=step)
    order = {"major": 0, "moderate": 1, "none": 2}
    items.sort(key=lambda one: (order[one.level], -(one.psi or 0)))
    return DriftReport(format_time(at), items, models)


def _feature(one: ModelDrift, drift: Drift) -> FeatureDrift:
    return FeatureDrift(
        drift.column,
        one.entry.name,
        one.entry.version,
        drift.psi,
        drift.kl,
        drift.ks,
        drift.tail,
        drift.missing,
        drift.missing_before,
        None if math.isnan(drift.outside) else drift.outside,
        drift.level,
    )


def _model(one: ModelDrift) -> ModelDocument:
    entry = one.entry
    state = "waiting" if one.reason else "measured"
    first, last = (None if at is None else format_time(at) for at in (one.first, one.last))
    return ModelDocument(
        entry.name,
        entry.version,
        entry.instrument,
        state,
        one.reason,
        one.level,
        one.reference_rows,
        one.rows,
        first,
        last,
    )


def anomaly_page(reader: Reader, settings: Settings, instrument: str, timeframe: str, span: Span) -> Page[Anomaly]:
    """Return the anomalies among the candles asked for; the note says among how many."""
    start, end, most = span.start, span.end, span.limit
    found = anomalies(reader, settings, instrument, timeframe, start=start, end=end, newest=most)
    return Page(
        anomaly_rows(found), None, f"{len(found.found)} of {found.judged} candles; {found.rate:.1%} were asked for"
    )


def anomaly_rows(found: Anomalies) -> list[Anomaly]:
    """Return anomalies as documents."""
    return [
        Anomaly(
            found.instrument,
            found.timeframe,
            format_time(one.close_time),
            *(
                None if math.isnan(value) else value
                for value in (one.price, one.volume, one.price_rank, one.volume_rank)
            ),
        )
        for one in found.found
    ]
