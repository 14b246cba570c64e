"""What the routes of training runs read: the folders that `tapeline train` and the live process wrote."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from tapeline.clock import format_time
from tapeline.documents import Page, TrainingRun
from tapeline.errors import UnknownName
from tapeline.learning.report import find_run

FILES = {
    "report.html": "text/html",
    "report.json": "application/json",
    "settings.json": "application/json",
    "folds.csv": "text/csv",
    "errors.png": "image/png",
}
"""The files of a run that are given, and what they are; nothing else in its folder is."""
_RECORD = "report.json"
_TOLD = ("run", "instrument", "timeframe", "horizon", "rows", "target", "champion", "promoted", "reason")


def training_runs(folder: Path, instrument: str | None, limit: int) -> Page[TrainingRun]:
    """Return the runs in the folder of runs, the newest first."""
    found = sorted(folder.glob(f"*/{_RECORD}"), key=lambda path: (path.stat().st_mtime_ns, path), reverse=True)
    told = ((path, report) for path in found if (report := _report(path)))
    wanted = ((path, report) for path, report in told if instrument in (None, report["instrument"]))
    return Page([_run(path, report) for path, report in islice(wanted, limit)])


def _report(path: Path) -> dict[str, Any] | None:
    """Return the record of a run; None where it is none, or is being written."""
    try:
        report: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError):
        return None
    return report if report.keys() >= set(_TOLD) else None


def _run(path: Path, report: dict[str, Any]) -> TrainingRun:
    made_at = format_time(path.stat().st_mtime_ns)
    return TrainingRun(made_at=made_at, **{name: report[name] for name in _TOLD})


def training_run(folder: Path, run: str) -> dict[str, Any]:
    """Return what a run found, with the names of its ``files``.

    Raises:
        UnknownName: there is no such run.
    """
    place = find_run(folder, run)
    report = _report(place / _RECORD)
    if report is None:
        raise UnknownName(f"run {run}", "has no record yet", expected="a run that has ended", was=run)
    return report | {"files": sorted(files_of(place))}


def files_of(place: Path) -> dict[str, Path]:
    """Return the files of a run that are given, by name; a link is not followed."""
    return {name: place / name for name in FILES if (place / name).is_file() and not (place / name).is_symlink()}


def file_of(folder: Path, run: str, name: str) -> Path:
    """Return a file of a run.

    Raises:
        UnknownName: there is no such run, or its record lists no such file.
    """
    known = files_of(find_run(folder, run))
    if name not in known:
        step = f"see files of GET /v1/runs/{run}"
        rule = f"one of {', '.join(sorted(known))}"
        raise UnknownName(f"run {run} file {name[:40]}", "is not there", expected=rule, was=name[:40], next_step=step)
    return known[name]
