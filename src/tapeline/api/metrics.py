"""``/metrics`` in Prometheus' text: the names of the reference systems with the prefix ``tapeline_``, and our own.

What the process counts is read when it is asked for; a number that nothing measures is left out, never 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from tapeline.api.context import Context
from tapeline.clock import SECOND, parse_time
from tapeline.learning.artifact import model_name
from tapeline.monitoring import Monitored

_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_COUNTED = {
    "trades": ("tapeline_ticks", "Trades committed"),
    "duplicates": ("tapeline_duplicates", "Repeats dropped"),
    "late": ("tapeline_late_trades", "Trades that came after their candle had closed"),
    "dead_letters": ("tapeline_events_processing_errors", "Bad input kept in dead letters"),
    "candles": ("tapeline_candles", "Candles closed"),
    "outcomes": ("tapeline_outcomes", "Predictions whose outcome is known"),
}
_VENUE = {
    "messages": ("tapeline_venue_messages", "Messages of the venue"),
    "trades": ("tapeline_events_produced", "Trades that came from the venue"),
    "malformed": ("tapeline_events_failed", "Messages that could not be read"),
    "connects": ("tapeline_connects", "Connections made"),
    "disconnects": ("tapeline_disconnects", "Connections lost"),
}


class Metrics:
    """What the API counts itself, and a registry that reads the rest from the process.

    Attributes:
        requests: predictions asked for, by model and status (``ok``, ``refused``, ``not_ready``).
        latency: how long answers took, by model.
        anomalies: rows that were called anomalies.
    """

    def __init__(self, shared: Context) -> None:
        self._registry = CollectorRegistry()
        more: dict[str, Any] = {"registry": self._registry}
        name = "tapeline_inference_requests"
        self.requests = Counter(name, "Predictions asked for", ["model", "status"], **more)
        name = "tapeline_inference_latency_seconds"
        self.latency = Histogram(name, "From request to answer", ["model"], buckets=_BUCKETS, **more)
        self.anomalies = Counter("tapeline_anomalies_detected", "Rows called anomalies", **more)
        self._registry.register(Process(shared))

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)


class Process(Collector):
    """Read what the hub counted and what the live process says of itself."""

    def __init__(self, shared: Context) -> None:
        self._shared = shared

    def describe(self) -> list[Metric]:
        """Return nothing: what there is depends on what runs."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of this moment."""
        live = self._shared.live
        status = self._shared.hub.status if live is None else live.status()
        yield from self._of_hub()
        yield from _of_monitors(self._shared.hub.monitored)
        yield from _of_venues(status.get("venues", []))
        yield from _of_instruments(status.get("instruments", []), self._shared.clock.now())
        yield from _of_process(status)

    def _of_hub(self) -> Iterator[Metric]:
        hub = self._shared.hub
        for what, (name, text) in _COUNTED.items():
            family = CounterMetricFamily(name, text, labels=["instrument"])
            for instrument, number in hub.counted(what).items():
                family.add_metric([instrument], number)
            yield family
        made = CounterMetricFamily("tapeline_predictions", "Predictions", labels=["model", "symbol", "prediction"])
        for labels, number in hub.made.items():
            made.add_metric(labels, number)
        yield made
        commits, trades = sum(hub.counted("commits").values()), sum(hub.counted("trades").values())
        yield SummaryMetricFamily("tapeline_batch_size_events", "Trades a commit", commits, trades)
        yield CounterMetricFamily("tapeline_events_processed", "Events published to streams", value=hub.seq)
        yield GaugeMetricFamily("tapeline_stream_subscribers", "Clients of streams", value=hub.subscribers)
        yield CounterMetricFamily("tapeline_stream_dropped", "Updates that slow clients did not get", value=hub.lagged)


def _of_monitors(found: Monitored | None) -> Iterator[Metric]:
    if found is None:
        return
    psi = GaugeMetricFamily("tapeline_feature_psi", "Drift since training", labels=["model", "feature"])
    for one in found.drift:
        for drift in one.drifts:
            psi.add_metric([one.entry.name, drift.column], drift.psi)
    share = GaugeMetricFamily(
        "tapeline_anomaly_rate", "Share of the newest candles", labels=["instrument", "timeframe"]
    )
    for series in found.anomalies:
        if series.judged:
            share.add_metric([series.instrument, series.timeframe], series.share)
    error = GaugeMetricFamily(
        "tapeline_live_error", "Mean absolute error of the log return", labels=["model", "version"]
    )
    base = GaugeMetricFamily("tapeline_live_error_baseline", "The same of the baseline", labels=["model", "version"])
    for made in found.errors:
        name = [model_name(made.instrument, made.timeframe, made.horizon), made.model_version]
        error.add_metric(name, made.error.value)
        base.add_metric(name, made.baseline.value)
    yield from (psi, share, error, base)


def _of_venues(venues: list[dict[str, Any]]) -> Iterator[Metric]:
    labels = ["venue", "connection"]
    for field, (name, text) in _VENUE.items():
        family = CounterMetricFamily(name, text, labels=labels)
        for one in venues:
            if one.get(field) is not None:
                family.add_metric([one["venue"], str(one["connection"])], one[field])
        yield family
    up = GaugeMetricFamily("tapeline_venue_up", "1 while the connection is live", labels=labels)
    for one in venues:
        up.add_metric([one["venue"], str(one["connection"])], float(one["state"] == "live"))
    yield up


def _of_instruments(instruments: list[dict[str, Any]], now: int) -> Iterator[Metric]:
    rate = GaugeMetricFamily("tapeline_ticks_per_second", "Trades a second", labels=["instrument"])
    age = GaugeMetricFamily("tapeline_last_trade_age_seconds", "Since the last trade", labels=["instrument"])
    gaps = GaugeMetricFamily("tapeline_gaps", "Gaps", labels=["instrument", "status"])
    for one in instruments:
        name = one["instrument"]
        if one.get("trades_per_second") is not None:
            rate.add_metric([name], one["trades_per_second"])
        if one.get("last_trade") is not None:
            age.add_metric([name], (now - parse_time(one["last_trade"])) / SECOND)
        for status, number in (one.get("gaps") or {}).items():
            if number is not None:
                gaps.add_metric([name, status], number)
    yield from (rate, age, gaps)


def _of_process(status: dict[str, Any]) -> Iterator[Metric]:
    lag = GaugeMetricFamily("tapeline_pipeline_lag_ms", "Latency of each stage", labels=["stage", "quantile"])
    labels = ["quantile"]
    stages = {
        "receive": GaugeMetricFamily(
            "tapeline_event_production_latency_seconds", "From the socket to read trades", labels=labels
        ),
        "commit": GaugeMetricFamily("tapeline_db_write_latency_seconds", "Time of a commit", labels=labels),
        "total": GaugeMetricFamily(
            "tapeline_stream_processing_delay_seconds", "From the socket to who is told", labels=labels
        ),
    }
    for stage, taken in (status.get("latency_ms") or {}).items():
        for name, quantile in (("p50", "0.5"), ("p99", "0.99")):
            if taken.get(name) is not None:
                lag.add_metric([stage, quantile], taken[name])
                if stage in stages:
                    stages[stage].add_metric([quantile], taken[name] / 1e3)
    yield from (lag, *stages.values())
    if status.get("queue"):
        yield GaugeMetricFamily("tapeline_queue_length", "Deliveries waiting", value=status["queue"]["length"])
    if status.get("memory_bytes") is not None:
        yield GaugeMetricFamily("tapeline_memory_bytes", "Resident memory", value=status["memory_bytes"])
    shed = CounterMetricFamily("tapeline_shed", "What was left out to keep up", labels=["channel"])
    for channel, number in (status.get("shed") or {}).items():
        shed.add_metric([channel], number)
    yield shed
