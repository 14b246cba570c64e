"""The journal: what a running process tells in JSON lines, for machines and for people without a screen.

Each line names its instrument or its connection, so that what belongs together can be found again.
"""

from __future__ import annotations

from typing import Any, TextIO

import structlog

from tapeline.clock import Clock, format_time
from tapeline.hub import Committed
from tapeline.ingest.base import Status
from tapeline.types import Prediction, Records

_LOUD = {"stale", "waiting", "stopped"}


def json_lines(stream: TextIO, clock: Clock) -> structlog.typing.FilteringBoundLogger:
    """Return a logger that writes one JSON object a line, with the time of ``clock``."""

    def add_time(logger: object, method: str, event: dict[str, Any]) -> dict[str, Any]:
        del logger
        return {"time": format_time(clock.now()), "level": method, **event}

    processors: list[Any] = [add_time, structlog.processors.JSONRenderer()]
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(stream), processors=processors, wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    return logger


class Journal:
    """Log what changes: connections, candles, predictions, gaps, and what was refused.

    Args:
        log: takes the lines.
    """

    def __init__(self, log: structlog.typing.FilteringBoundLogger) -> None:
        self._log = log
        self._connections: dict[tuple[str, int], tuple[str, str, tuple[tuple[str, str], ...]]] = {}
        self._gaps: dict[str, set[tuple[int, int, str]]] = {}

    def take(self, committed: Committed) -> None:
        """Log what was committed of one instrument."""
        log = self._log.bind(instrument=committed.instrument)
        for timeframe, candles in committed.outputs.candles.items():
            for candle in candles:
                log.info("candle", timeframe=timeframe, **_candle(candle))
        for prediction in committed.outputs.predictions:
            log.info("prediction", **_prediction(prediction))
        if committed.gaps is not None:
            stand = {(gap.first_missing, gap.last_missing, gap.status) for gap in committed.gaps}
            for first, last, status in sorted(stand - self._gaps.get(committed.instrument, set())):
                tell = log.info if status == "healed" else log.warning
                tell("gap", first_missing=first, last_missing=last, status=status)
            self._gaps[committed.instrument] = stand

    def take_connection(self, status: Status) -> None:
        """Log a connection whose state, reason or refused instruments changed."""
        told = (status.state.value, status.reason, tuple(sorted(status.refused.items())))
        key = (status.venue, status.connection)
        if self._connections.get(key) == told:
            return
        self._connections[key] = told
        log = self._log.bind(venue=status.venue, connection=status.connection)
        tell = log.warning if status.state.value in _LOUD or status.refused else log.info
        tell("connection", state=status.state.value, reason=status.reason, refused=status.refused)

    def tell(self, event: str, **what: Any) -> None:
        """Log anything else that a person should know."""
        self._log.info(event, **what)


def _candle(candle: Records) -> dict[str, Any]:
    return {
        "open_time": format_time(int(candle["open_time"])),
        "close": float(candle["close"]),
        "volume": float(candle["volume"]),
        "trades": int(candle["trades"]),
        "complete": bool(candle["complete"]),
    }


def _prediction(prediction: Prediction) -> dict[str, Any]:
    return {
        "id": prediction.id,
        "timeframe": prediction.timeframe,
        "as_of": format_time(prediction.as_of),
        "target_time": format_time(prediction.target_time),
        "value": prediction.value,
        "model": prediction.model,
        "model_version": prediction.model_version,
    }
