"""What the monitors found, as plain values and for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from tapeline.anomalies import Anomalies
from tapeline.answer_errors import AnswerError
from tapeline.cli.output import print_table
from tapeline.clock import format_duration, format_time
from tapeline.outcomes import LiveError


def instant(ns: int | None) -> str | None:
    """Return an instant as RFC 3339, None where there is none."""
    return None if ns is None else format_time(ns)


def error_document(one: LiveError) -> dict[str, Any]:
    """Return a live error as plain values."""
    told = asdict(one) | {"horizon": format_duration(one.horizon), "edge": one.edge}
    return told | {name: instant(getattr(one, name)) for name in ("first", "last", "worsened")}


def answers_document(one: AnswerError) -> dict[str, Any]:
    """Return the live error of answers as plain values, in the unit in which they are told."""
    unit, scale = one.unit
    names = ("instrument", "timeframe", "target", "model", "model_version")
    told = {name: getattr(one.first, name) for name in names} | {"horizon": format_duration(one.first.horizon)}
    told |= {"outcomes": one.outcomes, "late": one.late, "metric": one.metric.name, "unit": unit}
    told |= {"error": scale * one.error.challenger, "baseline": scale * one.error.champion}
    told |= one.error.gains("gain", scale)
    if one.hits is not None:
        told |= {"hit_rate": one.hits.challenger, "baseline_hit_rate": one.hits.champion}
    return told


def anomaly_document(found: Anomalies) -> dict[str, Any]:
    """Return the anomalies of a series as plain values."""
    named = ("close_time", "price", "volume", "price_rank", "volume_rank")
    rows = [{name: getattr(one, name) for name in named} for one in found.found]
    return {
        "instrument": found.instrument,
        "timeframe": found.timeframe,
        "judged": found.judged,
        "asked": found.rate,
        "share": found.share,
        "found": [row | {"close_time": format_time(row["close_time"])} for row in rows],
    }


def print_errors(errors: Sequence[LiveError]) -> None:
    """Print live errors in basis points: the gain over the baseline, with its interval."""
    if not errors:
        print("live error: no outcome of a prediction is known yet")
        return
    print_table(pa.Table.from_pylist([_error_row(one) for one in errors]), title="live error (bp of the log return)")


def print_answers(errors: Sequence[AnswerError]) -> None:
    """Print the live errors of answers to other targets than return and direction, if there are any."""
    if errors:
        print_table(pa.Table.from_pylist([_answers_row(one) for one in errors]), title="live error of answers")


def _answers_row(one: AnswerError) -> dict[str, Any]:
    told = answers_document(one)
    gain, low, high = (told[name] for name in ("gain", "gain_low", "gain_high"))
    bounds = "" if low is None else f" [{low:+.3g}, {high:+.3g}]"
    return {
        **{name: told[name] for name in ("instrument", "target", "model", "model_version", "outcomes", "late")},
        "task": f"{told['timeframe']}/{told['horizon']}",
        "metric": f"{told['metric']} ({told['unit']})",
        "error": round(told["error"], 4),
        "baseline": round(told["baseline"], 4),
        "gain": f"{gain:+.3g}{bounds}",
        "hit rate": None if one.hits is None else round(told["hit_rate"], 4),
    }


def _error_row(one: LiveError) -> dict[str, Any]:
    gain, low, high = (f"{1e4 * value:+.3f}" for value in (one.gain.value, one.gain.low, one.gain.high))
    return {
        "instrument": one.instrument,
        "task": f"{one.timeframe}/{format_duration(one.horizon)}",
        "model": one.model,
        "version": one.model_version,
        "part": one.part,
        "predictions": one.predictions,
        "late": one.late,
        "error": round(1e4 * one.error.value, 4),
        "baseline": round(1e4 * one.baseline.value, 4),
        "gain": f"{gain} [{low}, {high}]",
        "hit rate": None if one.hit_rate is None else round(one.hit_rate.value, 4),
        "inside": round(one.inside, 4),
        "brier": None if one.brier is None else round(one.brier.value, 4),
    }


def print_anomalies(found: Sequence[Anomalies]) -> None:
    """Print how many of the newest candles are anomalies, and the last of them."""
    for one in found:
        if not one.judged:
            print(f"anomalies: {one.instrument} {one.timeframe}: too few candles to judge any")
            continue
        last = f", the last at {format_time(one.found[-1].close_time)}" if one.found else ""
        share = f"{len(one.found)} of {one.judged} candles ({one.share:.2%}; {one.rate:.2%} is usual)"
        print(f"anomalies: {one.instrument} {one.timeframe}: {share}{last}")
