"""How the live process is, as plain values: for the API, the page, the terminal and the metrics."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import psutil

from tapeline import __version__
from tapeline.clock import Clock, format_time
from tapeline.ingest.base import State, Status
from tapeline.runners.watch import Facts
from tapeline.runners.writer import Writer
from tapeline.types import venue_of

SIMULATED = "SIM"
_RATE_OVER = 5
"""Rates are over so many samples."""
_WELL = (State.LIVE, State.HEALING)


class Rates:
    """Trades a second by instrument, over the last few samples."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, dict[str, int]]] = deque(maxlen=_RATE_OVER + 1)

    def sample(self, seconds: float, facts: Mapping[str, Facts]) -> None:
        """Note what there is at an instant of a clock that only runs forward."""
        self._samples.append((seconds, {name: one.trades for name, one in list(facts.items())}))

    def of(self, instrument: str) -> float | None:
        """Return trades a second, None while unknown."""
        if len(self._samples) < 2 or instrument not in self._samples[-1][1]:
            return None
        (begun, before), (ended, after) = self._samples[0], self._samples[-1]
        return round((after[instrument] - before.get(instrument, 0)) / (ended - begun), 2)


def report(
    writer: Writer, statuses: Sequence[Status], timeframes: Sequence[str], rates: Rates, *, clock: Clock, started: int
) -> dict[str, Any]:
    """Return how the process is."""
    facts = dict(writer.keeper.facts)
    health, reasons = _health(writer, statuses, facts)
    return {
        "simulated": any(venue_of(name) == SIMULATED for name in facts) or any(s.venue == SIMULATED for s in statuses),
        "version": __version__,
        "started": format_time(started),
        "now": format_time(clock.now()),
        "health": health,
        "reasons": reasons,
        "venues": [_venue(one) for one in statuses],
        "instruments": [_instrument(name, one, timeframes, rates) for name, one in sorted(facts.items())],
        "latency_ms": {stage: times.to_json() for stage, times in writer.latency.items()},
        "queue": {"length": writer.queued, "limit": writer.limit},
        "commits": writer.commits,
        "memory_bytes": psutil.Process().memory_info().rss,
    }


def _venue(status: Status) -> dict[str, Any]:
    times = {name: _time(getattr(status, name)) for name in ("last_message", "last_trade")}
    return {
        "venue": status.venue,
        "feed": status.feed,
        "connection": status.connection,
        "simulated": status.venue == SIMULATED,
        "state": status.state.value,
        "since": format_time(status.since),
        "reason": status.reason,
        "instruments": list(status.instruments),
        "refused": dict(status.refused),
        "notes": dict(status.notes),
        "ignored": dict(status.ignored),
        "skew_ms": None if status.skew is None else status.skew / 1e6,
        **times,
        "messages": status.messages,
        "trades": status.trades,
        "malformed": status.malformed,
        "connects": status.connects,
        "disconnects": status.disconnects,
        "lost_messages": status.lost_messages,
        "requests": status.requests,
        "healed": status.healed,
        "unhealable": status.unhealable,
    }


def _instrument(name: str, facts: Facts, timeframes: Sequence[str], rates: Rates) -> dict[str, Any]:
    counts = facts.totals.counts
    return {
        "instrument": name,
        "venue": venue_of(name),
        "simulated": venue_of(name) == SIMULATED,
        "timeframes": list(timeframes),
        "last_trade": _time(facts.last_trade),
        "price": facts.price,
        "trades_per_second": rates.of(name),
        "pending": facts.pending,
        "warmup": {name: {"have": min(have, most), "needed": most} for name, (have, most) in facts.warmup.items()},
        "gaps": dict(facts.gaps),
        "late": counts.get("late", 0),
        "duplicates": counts.get("duplicates", 0),
        "dead_letters": counts.get("conflicts", 0) + counts.get("quarantined", 0),
        "note": facts.note,
    }


def _health(writer: Writer, statuses: Sequence[Status], facts: Mapping[str, Facts]) -> tuple[str, list[str]]:
    """Return how it is in one word, and why it is not well."""
    down = [f"{one.venue}: {one.state.value}{_why(one.reason)}" for one in statuses if one.state not in _WELL]
    if (problem := writer.failure or writer.problem) is not None:
        return "unhealthy", [str(problem), *down]
    refused = [f"{name}: {why}" for one in statuses for name, why in one.refused.items()]
    refused += writer.keeper.refused.values()
    notes = [f"{name}: {one.note}" for name, one in sorted(facts.items()) if one.note]
    waiting = [
        f"{name}: {one.gaps['open']} open gap{'s' * (one.gaps['open'] > 1)}"
        for name, one in sorted(facts.items())
        if one.gaps["open"]
    ]
    word = "unhealthy" if down and len(down) == len(statuses) else "degraded"
    reasons = [*down, *refused, *notes, *waiting]
    return (word if reasons else "healthy"), reasons


def _why(reason: str) -> str:
    return f" ({reason})" if reason else ""


def _time(ns: int | None) -> str | None:
    return None if ns is None else format_time(ns)
