"""The record of a run as plain JSON values: what was asked, what was found, and how it was decided."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np

from tapeline.clock import format_duration, format_time
from tapeline.evaluate import Evaluation, Score
from tapeline.learning.artifact import Artifact, code_version
from tapeline.learning.checks import DataCheck, profile
from tapeline.learning.covering import Covered
from tapeline.learning.dataset import Dataset
from tapeline.learning.gate import Decision
from tapeline.learning.importance import Importance
from tapeline.learning.leaks import Leak
from tapeline.learning.metrics import METRICS
from tapeline.learning.resample import Interval
from tapeline.learning.sweep import Sweep
from tapeline.learning.trading import Trading
from tapeline.learning.tuning import searches
from tapeline.models.base import Model

_LIBRARIES = ("numpy", "scikit-learn", "lightgbm", "optuna")


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a run found for one target.

    ``dataset`` holds the rows that have an outcome of the target; ``covered`` is how well the champion's intervals
    hold; ``importance`` is of the model that stood before the gate; ``kinds`` are the models that ran; ``costs`` are
    seconds of processor time by model, the dearest first.
    """

    dataset: Dataset
    evaluation: Evaluation
    decision: Decision
    trading: Trading
    artifact: Artifact
    covered: Covered
    sweep: Sweep | None
    importance: Sequence[Importance]
    kinds: tuple[type[Model], ...]
    costs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a run found.

    Attributes:
        run: its id.
        dataset: the rows.
        asked: the settings by name.
        outcomes: by target.
        leaks: that were found; None where nobody looked.
        checks: of the data; None where nobody looked.
        tried: how many candidates ran.
        refused: why a target was not evaluated, by target.
    """

    run: str
    dataset: Dataset
    asked: Mapping[str, Any]
    outcomes: Mapping[str, Outcome]
    leaks: Sequence[Leak] | None
    checks: Sequence[DataCheck] | None
    tried: int
    refused: Mapping[str, str]


def run_folder(runs: Path, dataset: Dataset, run: str) -> Path:
    """Return the folder of a run inside the folder of runs."""
    name = f"{dataset.instrument}_{dataset.timeframe}_{format_duration(dataset.horizon)}_{run}"
    return runs / "".join(char if char.isalnum() or char in "._-" else "-" for char in name)


def settings_record(
    dataset: Dataset, asked: Mapping[str, Any], kinds: Sequence[type[Model]], definition: str
) -> dict[str, Any]:
    """Return what a run was asked, and everything needed to ask it again.

    Args:
        dataset: the rows.
        asked: the settings by name.
        kinds: the models that run.
        definition: of the feature set.
    """
    return {
        "instrument": dataset.instrument,
        "timeframe": dataset.timeframe,
        "horizon": format_duration(dataset.horizon),
        "feature_set": dataset.feature_set,
        "feature_version": dataset.feature_version,
        "feature_definition": definition,
        "columns": list(dataset.columns),
        "data_hash": dataset.digest(),
        "first": format_time(int(dataset.as_of[0])),
        "last": format_time(int(dataset.as_of[-1])),
        "metrics": {target: metrics[0].name for target, metrics in METRICS.items()},
        **asked,
        "models": [[kind.name, kind.target] for kind in kinds],
        "code_version": code_version(),
        "libraries": {name: installed(name) for name in _LIBRARIES},
    }


def report_record(found: Found) -> dict[str, Any]:
    """Return what a run found, as plain JSON values."""
    dataset, asked = found.dataset, found.asked
    main = found.outcomes[asked["main_target"]].decision
    return {
        "run": found.run,
        "instrument": dataset.instrument,
        "timeframe": dataset.timeframe,
        "horizon": format_duration(dataset.horizon),
        "rows": len(dataset),
        "champion": main.champion,
        "promoted": main.promoted,
        "reason": main.reason,
        "target": main.target,
        "objective": asked["objective"],
        "targets": {target: _target(outcome, asked["coverage"]) for target, outcome in found.outcomes.items()},
        "models": [row for outcome in found.outcomes.values() for row in _models(outcome.evaluation)],
        "sweep": {target: _sweep(outcome) for target, outcome in found.outcomes.items() if outcome.sweep},
        "tuning": searches([kind for outcome in found.outcomes.values() for kind in outcome.kinds]),
        "not_evaluated": dict(found.refused),
        "excluded": dict(dataset.excluded),
        "tried": found.tried,
        "level": asked["level"],
        "level_of_differences": 1 - (1 - asked["level"]) / found.tried,
        "leak_check": None if found.leaks is None else [str(leak) for leak in found.leaks],
        "data_checks": None if found.checks is None else [asdict(check) for check in found.checks],
        "profile": profile(
            (*dataset.columns, "outcome"),
            np.column_stack((dataset.inputs, dataset.returns)),
        ),
        "first": format_time(int(dataset.as_of[0])),
        "last": format_time(int(dataset.as_of[-1])),
        "feature_set": dataset.feature_set,
        "feature_version": dataset.feature_version,
        "code_version": code_version(),
        "seed": asked["seed"],
        "data_hash": dataset.digest(),
    }


def _target(outcome: Outcome, coverage: float) -> dict[str, Any]:
    found, decision = outcome.evaluation, outcome.decision
    return {
        "champion": decision.champion,
        "candidate": decision.candidate or None,
        "version": outcome.artifact.version,
        "promoted": decision.promoted,
        "reason": decision.reason,
        "gate": [asdict(check) for check in decision.checks],
        "metric": found.metric.name,
        "baseline": found.best_baseline,
        "rows": len(outcome.dataset),
        "stayed": outcome.dataset.excluded.get("the price stayed", 0),
        "test_rows": len(found.labels),
        "block_rows": found.bootstrap.block,
        "folds": len(found.folds),
        "coverage_asked": coverage if found.target == "return" else None,
        "coverage": _known(outcome.covered.share.value),
        "coverage_interval": _ends(outcome.covered.share),
        "width": _known(outcome.covered.width.value),
        "diebold_mariano": [_tested(found, name) for name in found.said if name != found.best_baseline],
        "trading": _trading(outcome.trading),
        "importance": [
            {key: value if isinstance(value, str) else _known(value) for key, value in asdict(one).items()}
            for one in outcome.importance
        ],
    }


def _tested(found: Evaluation, name: str) -> dict[str, Any]:
    test = found.diebold_mariano(name)
    return {"model": name, "statistic": _known(test.statistic), "p": _known(test.p)}


def _trading(earned: Trading) -> dict[str, Any]:
    return {
        "model": earned.model,
        "text": earned.text,
        "trades": earned.trades,
        "gross": _known(earned.gross.value),
        "gross_low": _known(earned.gross.low),
        "gross_high": _known(earned.gross.high),
        "net": _known(earned.net.value),
        "net_low": _known(earned.net.low),
        "net_high": _known(earned.net.high),
        "cost": earned.cost,
        "turnover": earned.turnover,
        "sharpe": _known(earned.sharpe.value),
        "sharpe_interval": _ends(earned.sharpe),
        "drawdown": _known(earned.drawdown.value),
        "drawdown_interval": _ends(earned.drawdown),
        "deflated_sharpe": _known(earned.deflated),
        "tries": earned.tries,
        "survives": earned.survives,
    }


def _models(found: Evaluation) -> list[dict[str, Any]]:
    return [_score(score) for score in found.scores]


def _sweep(outcome: Outcome) -> dict[str, Any]:
    """Return the ranking of everything that ran for a target, by the deciding metric, and what did not end."""
    swept, found = outcome.sweep, outcome.evaluation
    assert swept is not None
    largest = max(fold.train.stop - fold.train.start for fold in found.folds)
    ours = [{**_score(found.score(name)), "served": True, "most_rows": largest} for name in found.candidates]
    others = [
        {
            **_score(swept.evaluation.score(name)),
            "served": False,
            "most_rows": min(largest, swept.most_rows.get(name, largest)),
        }
        for name in swept.ended
    ]
    ranking = sorted((*ours, *others), key=lambda row: -row["difference"])
    return {"tried": swept.tried, "ranking": ranking, "failed": dict(swept.failed)}


def _score(score: Score) -> dict[str, Any]:
    return {
        "target": score.target,
        "model": score.model,
        "metric": score.metric,
        "value": _known(score.value.value),
        "low": _known(score.value.low),
        "high": _known(score.value.high),
        "baseline": score.baseline,
        "difference": _known(score.difference.value),
        "difference_low": _known(score.difference.low),
        "difference_high": _known(score.difference.high),
    }


def _ends(interval: Interval) -> list[float | None]:
    return [_known(interval.low), _known(interval.high)]


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
