"""The pictures of a run, as SVG text that stands in its page."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from tapeline.evaluate import Evaluation, Score
from tapeline.learning.covering import intervals_made
from tapeline.learning.measures import bins_of
from tapeline.learning.metrics import chances
from tapeline.learning.record import Outcome
from tapeline.models.targets import TARGETS
from tapeline.types import Float

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, OURS, GOOD, BAD = "#1f2933", "#9aa5b1", "#0072b2", "#009e73", "#d55e00"
_UNITS = {
    "mse": (1e8, "bp²"),
    "mae": (1e4, "bp"),
    "rmse": (1e4, "bp"),
    "log_loss": (1.0, "nats"),
    "wrong_flags": (1.0, "rows"),
}
_POINTS = 600
_SHOWN = 24
_LAST = 240
_INPUTS = 20


def pictures(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """Yield what each picture of a target shows, and its SVG."""
    found = outcome.evaluation
    follow = outcome.decision.candidate or found.best_baseline
    yield (
        "Summed error saved against the best baseline, over test time (up is better)",
        _svg(lambda axes: error_over_time(axes, outcome), 11, 4),
    )
    yield (
        "Every model against the best baseline: difference with its interval (right is better)",
        _svg(lambda axes: ranking(axes, outcome), 11, 0.24 * min(_SHOWN, _many(outcome)) + 1.2),
    )
    if TARGETS[found.target].supervised:
        yield (
            f"Calibration of {follow}: what it said, and what came",
            _svg(lambda axes: calibration(axes, found, follow)),
        )
    if not TARGETS[found.target].read_as:
        yield (
            f"Confusion of {follow}: what it said (columns), and what came (rows)",
            _svg(lambda axes: confusion(axes, found, follow), 4.5, 4),
        )
    if found.target == "return" and len(found.folds) > 1:
        yield (
            f"The last predictions of {follow} with their intervals, and what came",
            _svg(lambda axes: intervals(axes, outcome, follow), 11, 3.6),
        )
    if outcome.importance:
        yield (
            f"Inputs of {follow}: loss when one is put in random order (last fold)",
            _svg(lambda axes: worth(axes, outcome), 5.5, 0.24 * min(_INPUTS, len(outcome.importance)) + 1.2),
        )
        yield (
            f"What each input adds to an answer of {follow} (SHAP, or weight times value)",
            _svg(lambda axes: added(axes, outcome), 5.5, 0.24 * min(_INPUTS, len(outcome.importance)) + 1.2),
        )


def unit_of(metric: str) -> tuple[float, str]:
    """Return by what a metric is multiplied where a person reads it, and its unit there (none for shares).

    >>> unit_of("mae"), unit_of("accuracy")
    ((10000.0, 'bp'), (1.0, ''))
    """
    return _UNITS.get(metric, (1.0, ""))


def _many(outcome: Outcome) -> int:
    return len(outcome.evaluation.said) + (len(outcome.sweep.ended) if outcome.sweep else 0)


def _svg(draw: Callable[[Axes], None], width: float = 5.5, height: float = 4) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "tapeline", "svg.fonttype": "none", "font.size": 9}):
        figure: Figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK)
        draw(axes)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def error_over_time(axes: Axes, outcome: Outcome) -> None:
    """Draw the summed gain of each model over the best baseline."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    found = outcome.evaluation
    times = outcome.dataset.as_of[found.rows].astype("datetime64[ns]")
    some = np.unique(np.linspace(0, len(times) - 1, _POINTS).astype(int))
    scale, unit = unit_of(found.metric.name)
    axes.axhline(0, color=INK, linewidth=1.2, label=f"{found.best_baseline} (best baseline)")
    for name in found.said:
        if name != found.best_baseline:
            bold = name in found.candidates
            line = scale * np.cumsum(found.gains(name))[some]
            axes.plot(times[some], line, linewidth=1.8 if bold else 1, linestyle="-" if bold else "--", label=name)
    for fold in found.folds[1:]:
        axes.axvline(times[fold.test.start - found.rows.start], color=FAINT, linewidth=0.7, linestyle=":")
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_ylabel(f"{found.metric.name} saved, summed ({unit})")
    axes.legend(loc="center left", bbox_to_anchor=(1.005, 0.5), fontsize=8, frameon=False)


def ranking(axes: Axes, outcome: Outcome) -> None:
    """Draw each model's difference to the best baseline, in per cent of the baseline's metric."""
    found, swept = outcome.evaluation, outcome.sweep
    base = abs(found.score(found.best_baseline).value.value) or math.nan
    scores: list[tuple[Score, str]] = [(found.score(name), OURS) for name in found.candidates]
    scores += [(found.score(name), FAINT) for name in found.baselines if name != found.best_baseline]
    scores += [(swept.evaluation.score(name), BAD) for name in swept.ended] if swept else []
    shown = sorted(scores, key=lambda pair: -pair[0].difference.value)[:_SHOWN]
    for row, (score, colour) in enumerate(reversed(shown)):
        gain = score.difference
        axes.plot([100 * gain.low / base, 100 * gain.high / base], [row, row], color=colour, linewidth=2)
        axes.plot([100 * gain.value / base], [row], "o", color=colour, markersize=5)
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_yticks(range(len(shown)), [score.model for score, _ in reversed(shown)])
    axes.set_xlabel(
        f"% of the {found.metric.name} of {found.best_baseline}; "
        "blue: candidates, orange: cannot be served, grey: baselines"
    )
    axes.set_ylim(-0.7, len(shown) - 0.3)


def calibration(axes: Axes, found: Evaluation, name: str) -> None:
    """Draw by tenth of the answers the mean of what was said against the mean of what came."""
    said, came, unit = _numbers(found, name)
    scale = 1e4 if unit == "bp" else 1.0
    bins = bins_of(said)
    for one in np.unique(bins):
        inside = bins == one
        x, y = scale * said[inside].mean(), scale * came[inside].mean()
        error = scale * 1.96 * came[inside].std() / np.sqrt(max(1, inside.sum() / found.bootstrap.overlap))
        axes.errorbar([x], [y], yerr=[error], fmt="o", color=OURS, markersize=4, capsize=2)
    ends = scale * np.array([said.min(), said.max()])
    axes.plot(ends, ends, color=FAINT, linewidth=1, linestyle="--")
    axes.set_xlabel(f"said ({unit})")
    axes.set_ylabel(f"came ({unit}), 95 %")


def _numbers(found: Evaluation, name: str) -> tuple[Float, Float, str]:
    said = found.said[name]
    if not TARGETS[found.target].classes and found.target != "direction":
        return said, found.labels, "bp"
    told = chances(found.labels, said)
    last = told.shape[1] - 1
    return told[:, last], (found.labels == last).astype(np.float64), "probability of up"


def confusion(axes: Axes, found: Evaluation, name: str) -> None:
    """Draw how often which class was said where which one came, in per cent of what came."""
    said, came, names = _classes(found, name)
    counts = np.array([[((came == a) & (said == b)).sum() for b in range(len(names))] for a in range(len(names))])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for a in range(len(names)):
        for b in range(len(names)):
            colour = "white" if shares[a, b] > 0.6 else INK
            axes.text(b, a, f"{shares[a, b]:.0%}\n{counts[a, b]:,}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)


def _classes(found: Evaluation, name: str) -> tuple[Float, Float, list[str]]:
    said, labels = found.said[name], found.labels
    if found.target == "direction":
        return (said > 0.5).astype(float), labels, ["down", "up"]
    if classes := TARGETS[found.target].classes:
        return said.argmax(axis=1).astype(float), labels, list(classes)
    if found.target == "anomaly":
        return said, labels, ["quiet", "spike"]
    if found.target == "volatility":
        middle = float(np.median(labels))
        return (said > middle).astype(float), (labels > middle).astype(float), ["quiet", "loud"]
    return np.sign(said) + 1, np.sign(labels) + 1, ["down", "none", "up"]


def intervals(axes: Axes, outcome: Outcome, name: str) -> None:
    """Draw the last predictions as a band, and what came as points."""
    found = outcome.evaluation
    low, high = 1e4 * intervals_made(found, name, outcome.artifact.coverage)[-_LAST:].T
    said, came = 1e4 * found.said[name][-_LAST:], 1e4 * found.labels[-_LAST:]
    rows = np.arange(len(said))
    axes.fill_between(rows, low, high, color=OURS, alpha=0.18, label=f"{outcome.artifact.coverage:.0%} interval")
    axes.plot(rows, said, color=OURS, linewidth=1.2, label="said")
    outside = (came < low) | (came > high)
    axes.plot(rows[~outside], came[~outside], ".", color=FAINT, markersize=4, label="came")
    axes.plot(rows[outside], came[outside], ".", color=BAD, markersize=5, label="came outside")
    axes.set_xlabel(f"the last {len(said)} test rows")
    axes.set_ylabel("log return, bp")
    axes.legend(loc="center left", bbox_to_anchor=(1.005, 0.5), fontsize=8, frameon=False)


def worth(axes: Axes, outcome: Outcome) -> None:
    """Draw the permutation importance of the first inputs, with the range of several orders."""
    shown = list(outcome.importance[:_INPUTS])[::-1]
    rows = range(len(shown))
    scale, unit = unit_of(outcome.evaluation.metric.name)
    axes.barh(rows, [scale * one.loss for one in shown], color=OURS, alpha=0.7)
    for row, one in zip(rows, shown, strict=True):
        axes.plot([scale * one.loss_low, scale * one.loss_high], [row, row], color=INK, linewidth=1.2)
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_yticks(rows, [one.column for one in shown])
    axes.set_xlabel(f"{outcome.evaluation.metric.name} lost ({unit}); line: least and most of 5 orders")


def added(axes: Axes, outcome: Outcome) -> None:
    """Draw the mean size of what the inputs add to answers, those that add most."""
    shown = sorted(outcome.importance, key=lambda one: one.added)[-_INPUTS:]
    unit = shown[0].unit
    scale, told = (1e4, "bp of log return") if unit == "log return" else (1.0, unit)
    axes.barh(range(len(shown)), [scale * one.added for one in shown], color=GOOD, alpha=0.7)
    axes.set_yticks(range(len(shown)), [one.column for one in shown])
    axes.set_xlabel(f"mean size of what it adds ({told})")
