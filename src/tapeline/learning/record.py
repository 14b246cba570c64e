"""The record of a run as plain JSON values: what was asked, and what was found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed
from typing import Any

from tapeline.clock import format_duration, format_time
from tapeline.evaluate import Evaluation
from tapeline.learning.artifact import Artifact, code_version
from tapeline.learning.dataset import Dataset
from tapeline.learning.gate import Decision, Trading
from tapeline.learning.leaks import Leak
from tapeline.learning.metrics import METRICS
from tapeline.models.base import Model

_LIBRARIES = ("numpy", "scikit-learn", "lightgbm")


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a run found for one target.

    ``dataset`` holds the rows that have an outcome of the target; ``covered`` is the share of outcomes inside the
    champion's intervals out of sample, NaN where it has none.
    """

    dataset: Dataset

    evaluation: Evaluation
    decision: Decision
    trading: Trading
    artifact: Artifact
    covered: float


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


def report_record(
    run: str,
    dataset: Dataset,
    asked: Mapping[str, Any],
    outcomes: Mapping[str, Outcome],
    leaks: Sequence[Leak] | None,
    tried: int,
    refused: Mapping[str, str],
) -> dict[str, Any]:
    """Return what a run found.

    Args:
        run: its id.
        dataset: the rows.
        asked: the settings by name.
        outcomes: by target.
        leaks: that were found; None where nobody looked.
        tried: how many candidates ran.
        refused: why a target was not evaluated, by target.
    """
    main = outcomes[asked["main_target"]].decision
    return {
        "run": run,
        "instrument": dataset.instrument,
        "timeframe": dataset.timeframe,
        "horizon": format_duration(dataset.horizon),
        "rows": len(dataset),
        "champion": main.champion,
        "promoted": main.promoted,
        "reason": main.reason,
        "target": main.target,
        "targets": {target: _target(outcome, asked["coverage"]) for target, outcome in outcomes.items()},
        "models": [row for outcome in outcomes.values() for row in _models(outcome.evaluation)],
        "not_evaluated": dict(refused),
        "excluded": dict(dataset.excluded),
        "tried": tried,
        "level": asked["level"],
        "level_of_differences": 1 - (1 - asked["level"]) / max(1, tried),
        "leak_check": None if leaks is None else [str(leak) for leak in leaks],
        "seed": asked["seed"],
        "data_hash": dataset.digest(),
    }


def _target(outcome: Outcome, coverage: float) -> dict[str, Any]:
    earned, found = outcome.trading, outcome.evaluation
    return {
        "champion": outcome.decision.champion,
        "version": outcome.artifact.version,
        "promoted": outcome.decision.promoted,
        "reason": outcome.decision.reason,
        "metric": found.metric.name,
        "rows": len(outcome.dataset),
        "stayed": outcome.dataset.excluded.get("the price stayed", 0),
        "test_rows": len(found.labels),
        "block_rows": found.bootstrap.block,
        "coverage_asked": coverage if found.target == "return" else None,
        "coverage": _known(outcome.covered),
        "trading": {
            "model": earned.model,
            "text": earned.text,
            "trades": earned.trades,
            "gross": _known(earned.gross.value),
            "gross_low": _known(earned.gross.low),
            "gross_high": _known(earned.gross.high),
            "cost": earned.cost,
            "survives": earned.survives,
        },
    }


def _models(found: Evaluation) -> list[dict[str, Any]]:
    return [
        {
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
        for score in found.scores
    ]


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
