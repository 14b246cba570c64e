"""How to train."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from tapeline.errors import UsageError
from tapeline.learning.checks import Limits
from tapeline.learning.folds import WalkForward
from tapeline.learning.gate import OBJECTIVES
from tapeline.learning.metrics import METRICS
from tapeline.learning.trading import Costs
from tapeline.models.anomaly import LEAST_RATE
from tapeline.models.targets import TARGETS

ALWAYS = ("return", "direction")
"""The targets of a run beside its main one, unless it says otherwise."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How to train.

    Attributes:
        models: names of the candidates; None for all. Baselines always run.
        main_target: whose champion the report names first.
        beside: the other targets of the run.
        plan: how the rows are cut in time.
        costs: of trading.
        objective: what a model must be better at, see `tapeline.learning.gate.OBJECTIVES`.
        level: of the intervals.
        coverage: of the intervals of predictions.
        seed: of all randomness.
        resamples: of the bootstrap, at least.
        sweep: whether ordinary models are compared too, and candidates tried that are not by default.
        sweep_budget: seconds of processor time for each ordinary model.
        tune: how many sets of numbers are tried per fit of the two best models that can be tuned; 0: none.
        weighted: whether rows count by the uniqueness of their outcomes (`tapeline.learning.weights`).
        anomaly_rate: the share of quiet rows to be called anomalies.
        limits: what data is still trusted.
        model_paths: files with a user's own models.
    """

    models: tuple[str, ...] | None = None
    main_target: str = "return"
    beside: tuple[str, ...] = ALWAYS
    plan: WalkForward = field(default_factory=WalkForward)
    costs: Costs = field(default_factory=Costs)
    objective: str = "forecast"
    level: float = 0.95
    coverage: float = 0.8
    seed: int = 7
    resamples: int = 2000
    sweep: bool = False
    sweep_budget: float = 20.0
    tune: int = 0
    weighted: bool = False
    anomaly_rate: float = 0.01
    limits: Limits = field(default_factory=Limits)
    model_paths: tuple[str, ...] = ()

    @property
    def targets(self) -> tuple[str, ...]:
        """Return the targets of the run."""
        return tuple(dict.fromkeys((*self.beside, self.main_target)))

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            UsageError: a setting makes no sense.
        """
        for name in ("level", "coverage"):
            if not 0 < getattr(self, name) < 1:
                rule = "between 0 and 1"
                raise UsageError(f"settings {name}", "is no share", expected=rule, was=getattr(self, name))
        for name, known in (("main_target", METRICS), ("objective", OBJECTIVES)):
            if getattr(self, name) not in known:
                raise UsageError(f"settings {name}", "is unknown", expected=" or ".join(known), was=getattr(self, name))
        if self.objective == "trade" and not TARGETS[self.main_target].sided:
            raise UsageError("settings objective", "cannot be traded", expected="another target", was=self.main_target)
        if not (math.isfinite(self.costs.round_trip) and self.costs.round_trip >= 0):
            raise UsageError("settings costs", "are no costs", expected="finite and >= 0", was=self.costs)
        if not LEAST_RATE <= self.anomaly_rate < 0.5:
            rule = f"in [{LEAST_RATE}, 0.5)"
            raise UsageError("settings anomaly_rate", "cannot be told", expected=rule, was=self.anomaly_rate)
        if self.tune < 0 or not self.sweep_budget > 0:
            raise UsageError("settings tune, sweep_budget", "make no sense", expected=">= 0 and > 0", was=self.tune)
