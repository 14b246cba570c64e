"""The gate: may a model answer instead of the best baseline?

It may if every check holds; each check is kept with its numbers, so a decision can be audited.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from tapeline.evaluate import Evaluation, Score
from tapeline.learning.resample import Interval

OBJECTIVES = ("forecast", "trade")
"""What must be beaten: the error of the best baseline; or what following the best baseline earns after costs."""

COVERAGE_BOUND = 0.05
"""How far the share of outcomes inside the intervals may be from the share that was asked."""


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of the gate, whether it holds, and the numbers it was judged by."""

    name: str
    passed: bool
    text: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Who answers for a target from now on, and why."""

    target: str
    champion: str
    promoted: bool
    reason: str
    checks: tuple[Check, ...] = ()
    candidate: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the gate looks at beside the evaluation.

    Attributes:
        objective: one of `OBJECTIVES`.
        earned: by how much following each candidate earned more a row after costs than the best baseline, by name;
            needed where the objective is to trade.
        coverage: the share of outcomes inside the candidate's intervals; None where it gives none.
        coverage_asked: what that share should be.
        refusals: by check (leaks, placebo, data), why it does not hold; empty texts where it does.
        described: whether a description is what it claims to be.
    """

    objective: str = "forecast"
    earned: dict[str, Interval] = field(default_factory=dict)
    coverage: Interval | None = None
    coverage_asked: float = math.nan
    refusals: dict[str, str] = field(default_factory=dict)
    described: tuple[Check, ...] = ()


def candidate_of(evaluation: Evaluation, evidence: Evidence) -> str:
    """Return who stands before the gate: the best candidate by the objective; without any, the best baseline."""
    if evidence.objective == "trade" and evaluation.candidates:
        return max(evaluation.candidates, key=lambda name: (evidence.earned[name].low, evidence.earned[name].value))
    return evaluation.best_candidate


def decide(evaluation: Evaluation, *, level: float, tried: int, evidence: Evidence | None = None) -> Decision:
    """Promote the best candidate if every check holds; else keep the best baseline.

    Args:
        evaluation: of one target.
        level: of the interval before the correction.
        tried: how many candidates the whole run tried.
        evidence: what else is known.
    """
    known = evidence or Evidence()
    baseline, target = evaluation.best_baseline, evaluation.target
    if not evaluation.candidates:
        return Decision(target, baseline, False, "no edge found: no candidate was tried, only baselines")
    name = candidate_of(evaluation, known)
    edge = _edge(evaluation, name, known, 1 - (1 - level) / tried, tried)
    checks = (edge, *_coverage(known), *known.described, *_others(known))
    if evaluation.labels.min() == evaluation.labels.max():
        why = f"the outcome is constant ({evaluation.labels[0]:g}) in all {len(evaluation.labels)} test rows"
        return Decision(target, baseline, False, f"no edge found: {why}", checks, name)
    leaks = next((check for check in checks if check.name == "leaks" and not check.passed), None)
    failed = leaks or next((check for check in checks if not check.passed), None)
    if failed is None:
        return Decision(target, name, True, f"edge found: {edge.text}", checks, name)
    if failed is edge:
        why = f"no edge found: {edge.text}; an edge needs the lower end above 0"
        return Decision(target, baseline, False, why, checks, name)
    return Decision(target, baseline, False, f"refused: {failed.text}", checks, name)


def _edge(evaluation: Evaluation, name: str, evidence: Evidence, level: float, tried: int) -> Check:
    how = f"{100 * level:g} % interval for {tried} candidate{'s' * (tried > 1)}, {evaluation.bootstrap.blocks} blocks"
    if evidence.objective == "trade":
        more = evidence.earned[name]
        value, low, high = (1e4 * x for x in (more.value, more.low, more.high))
        told = f"following {name} earns {value:+.3f} bp a row more after costs than the best baseline"
        return Check("edge", more.low > 0, f"{told} [{low:+.3f}, {high:+.3f}] ({how})")
    score = evaluation.score(name)
    return Check("edge", score.difference.low > 0, _told(score, evaluation, how))


def _told(best: Score, evaluation: Evaluation, how: str) -> str:
    base = abs(evaluation.score(best.baseline).value.value)
    if not base:
        return f"{best.model} cannot be better in {best.metric} than {best.baseline}, which makes no error ({how})"
    gain, low, high = (100 * x / base for x in (best.difference.value, best.difference.low, best.difference.high))
    which = "better" if gain > 0 else "worse"
    interval = f"[{low:+.3f} %, {high:+.3f} %]"
    return f"{best.model} is {abs(gain):.3f} % {which} in {best.metric} than {best.baseline} {interval} ({how})"


def _coverage(evidence: Evidence) -> Sequence[Check]:
    found, asked = evidence.coverage, evidence.coverage_asked
    if found is None or math.isnan(found.value):
        return ()
    ends = (found.value, found.value) if math.isnan(found.low) else (found.low, found.high)
    good = ends[0] <= asked + COVERAGE_BOUND and ends[1] >= asked - COVERAGE_BOUND
    told = f"{found.value:.1%} of outcomes [{ends[0]:.1%}, {ends[1]:.1%}] were inside the {asked:.0%} intervals"
    return (Check("coverage", good, f"{told}, bound +-{COVERAGE_BOUND:.0%}"),)


def _others(evidence: Evidence) -> Sequence[Check]:
    return [Check(name, not why, why or "holds") for name, why in evidence.refusals.items()]
