"""The folder of a run: its page, its record as JSON, its folds as CSV, a picture; and what it kept to go on.

``report.html``, ``report.json``, ``settings.json``, ``folds.csv``, ``errors.png``; in ``work`` what models said, fold
by fold, and the trials of tuning.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tapeline.clock import format_time
from tapeline.errors import StoreUnavailable, UnknownName
from tapeline.evaluate import Evaluation
from tapeline.learning.figures import unit_of
from tapeline.learning.metrics import METRICS
from tapeline.learning.page import page
from tapeline.learning.record import Outcome, run_folder
from tapeline.train import Training
from tapeline.types import venue_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _FAINT = "#1f2933", "#9aa5b1"
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7b5ea7")


def write_run(training: Training, folder: str | Path) -> Path:
    """Write a run into a folder of its own inside ``folder`` and return it; the same run is written to the same place.

    Raises:
        StoreUnavailable: the folder cannot be written.
    """
    place = run_folder(Path(folder), training.dataset, training.run)
    try:
        place.mkdir(parents=True, exist_ok=True)
        for part, content in (("report", training.report), ("settings", training.settings)):
            text = json.dumps(content, indent=2, allow_nan=False)
            (place / f"{part}.json").write_text(text + "\n", encoding="utf-8")
        with (place / "folds.csv").open("w", newline="", encoding="utf-8") as file:
            rows = list(fold_rows(training))
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        draw(training).savefig(place / "errors.png", dpi=150)
        text = page(training.report, training.settings, training.outcomes)
        (place / "report.html").write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreUnavailable(f"run folder {place}", f"cannot be written: {error.strerror or error}") from error
    return place


def fold_rows(training: Training) -> Iterator[dict[str, Any]]:
    """Yield one row per target, model and fold: when it learnt, when it was tested, how it did."""
    names = [metric.name for target in training.outcomes for metric in METRICS[target]]
    for outcome in training.outcomes.values():
        found = outcome.evaluation
        times, known = outcome.dataset.as_of, outcome.dataset.known_at
        for name, said in found.said.items():
            for fold in found.folds:
                part = slice(fold.test.start - found.rows.start, fold.test.stop - found.rows.start)
                yield {
                    "target": found.target,
                    "model": name,
                    "fold": fold.number,
                    "train_rows": fold.train.stop - fold.train.start,
                    "train_start": format_time(int(times[fold.train.start])),
                    "train_known_at": format_time(int(known[fold.train.stop - 1])),
                    "test_rows": fold.test.stop - fold.test.start,
                    "test_start": format_time(int(times[fold.test.start])),
                    "test_end": format_time(int(times[fold.test.stop - 1])),
                    **dict.fromkeys(names, ""),
                    **{
                        metric.name: float(metric.rows(found.labels[part], said[part]).mean())
                        for metric in METRICS[found.target]
                    },
                }


def draw(training: Training) -> Figure:
    """Return the equity of errors: how far each model's summed error is below the best baseline's, over test time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7.5), layout="constrained", facecolor="white")
    panels = figure.subplots(len(training.outcomes), 1, squeeze=False)[:, 0]
    report = training.report
    mark = "SIMULATED  " if venue_of(report["instrument"]) == "SIM" else ""
    title = f"{mark}{report['instrument']}  {report['timeframe']} candles, {report['horizon']} ahead"
    what = f"{title}: error saved against the best baseline, out of sample"
    figure.suptitle(what, fontsize=13, color=_INK, x=0.01, ha="left")
    for panel, outcome in zip(panels, training.outcomes.values(), strict=True):
        _panel(panel, training, outcome)
    return figure


def _panel(panel: Axes, training: Training, outcome: Outcome) -> None:
    found = outcome.evaluation
    times = outcome.dataset.as_of[found.rows].astype("datetime64[ns]")
    scale, unit = unit_of(found.metric.name)
    panel.axhline(0, color=_INK, linewidth=1.2, label=f"{found.best_baseline} (best baseline)")
    others = [name for name in found.said if name != found.best_baseline]
    names = sorted({name for outcome in training.outcomes.values() for name in outcome.evaluation.said})
    colours = dict(zip(names, _COLOURS * len(names), strict=False))
    for name in sorted(others, key=lambda name: -found.score(name).difference.value):
        candidate = name in found.candidates
        line = np.cumsum(found.gains(name)) * scale
        style = {"linewidth": 1.8} if candidate else {"linewidth": 1.1, "linestyle": "--", "alpha": 0.8}
        panel.plot(times, line, color=colours[name], label=_label(found, name), **style)
    for fold in found.folds[1:]:
        panel.axvline(times[fold.test.start - found.rows.start], color=_FAINT, linewidth=0.7, linestyle=":")
    champion = outcome.decision.champion
    verdict = f"{champion} is promoted" if outcome.decision.promoted else f"{champion} stays champion, no edge found"
    panel.set_title(f"{found.target}: {verdict}", loc="left", fontsize=11, color=_INK)
    panel.set_ylabel(f"summed {found.metric.name} saved ({unit})\nup = better than the baseline", fontsize=9)
    _dress(panel)


def _dress(panel: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    panel.xaxis.set_major_locator(locator)
    panel.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    panel.set_xlabel("as_of (UTC); dotted: a new fold, everything learnt anew", fontsize=8, color=_INK)
    panel.grid(axis="y", color=_FAINT, alpha=0.3, linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(labelsize=8, colors=_INK)
    panel.margins(x=0.01)
    panel.legend(loc="center left", bbox_to_anchor=(1.005, 0.5), fontsize=8, frameon=False)


def _label(found: Evaluation, name: str) -> str:
    base = abs(found.score(found.best_baseline).value.value)
    if not base:
        return f"{name}\nno share: the baseline makes no error"
    gain = found.score(name).difference
    low, high = 100 * gain.low / base, 100 * gain.high / base
    return f"{name}\n{100 * gain.value / base:+.2f} % [{low:+.2f}, {high:+.2f}]"


def find_run(folder: Path, name: str | None = None, *, known: Collection[str] = ()) -> Path:
    """Return the folder of the run whose id begins with ``name``; without one, of the newest run.

    Args:
        folder: of the runs.
        name: how the id begins.
        known: ids of runs; where some of these are here, only they count as newest.

    Raises:
        UnknownName: there is no such run, or several.
    """
    runs = sorted(folder.glob("*/report.json"), key=lambda path: (path.stat().st_mtime_ns, path))
    ids = {path.parent: path.parent.name.rpartition("_")[2] for path in runs}
    if name is None and runs:
        return ([place for place, run in ids.items() if run in known] or list(ids))[-1]
    found = [place for place, run in ids.items() if name and run.startswith(name)]
    if len(found) != 1:
        rule = f"one of {', '.join(sorted(ids.values()))}" if ids else "a run in the folder"
        problem = "is several runs" if found else "is not known"
        step = "tapeline train makes one"
        raise UnknownName(f"run {name or ''}".strip(), problem, expected=rule, was=name, next_step=step)
    return found[0]
