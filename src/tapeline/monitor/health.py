"""Health: in which of three states a process is and why, and the history of that as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tapeline.clock import Clock, format_time

_LARGEST = 4 << 20


def with_reasons(health: str, reasons: Sequence[str], more: Sequence[str]) -> tuple[str, list[str]]:
    """Return health and reasons with what else is not well: healthy becomes degraded, nothing becomes better.

    >>> with_reasons("healthy", [], ["x drifted"])
    ('degraded', ['x drifted'])
    """
    return ("degraded" if more and health == "healthy" else health), [*reasons, *more]


class HealthLog:
    """Write a line whenever health or its reasons change; a full file is put aside, and the one before it forgotten.

    Args:
        path: of the file.
        clock: tells the time of the lines.
    """

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._last: tuple[str, tuple[str, ...]] | None = None
        self.problem = ""

    def take(self, health: str, reasons: Sequence[str]) -> None:
        """Note how it is; where the file cannot be written that is kept in ``problem``, and nothing else suffers."""
        told = health, tuple(reasons)
        if told == self._last:
            return
        line = json.dumps({"time": format_time(self._clock.now()), "health": health, "reasons": list(reasons)})
        try:
            if self._path.exists() and self._path.stat().st_size > _LARGEST:
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            self.problem = f"health log: cannot be written: {error.strerror or error}"
            return
        self._last, self.problem = told, ""


def history_of(db: Path) -> Path:
    """Return the file with the history of the process that owns a database.

    >>> history_of(Path("a.duckdb")).name
    'a.duckdb.health.jsonl'
    """
    return db.with_name(f"{db.name}.health.jsonl")
