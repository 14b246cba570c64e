"""What is told of commits: what each gave, for whoever follows, and the facts of each instrument, for people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tapeline import wire
from tapeline.hub import Committed
from tapeline.lane import Lane
from tapeline.ledger import Admission
from tapeline.pipeline import Outputs
from tapeline.runners.watch import Facts
from tapeline.types import Frame, GapStatus, Records

SHOW_EVERY = 200_000_000
"""Running candles of an instrument are published at most once in so many ns."""


class Telling:
    """Put what was committed where it is published from.

    Args:
        timer: ns of a clock that only runs forward.

    Attributes:
        made: what is to be published, in order.
        facts: by instrument.
    """

    def __init__(self, timer: Callable[[], int]) -> None:
        self.made: list[Committed] = []
        self.facts: dict[str, Facts] = {}
        self._timer = timer
        self._shown: dict[str, int] = {}
        self._unshown: set[str] = set()

    def take(self) -> list[Committed]:
        """Return what is to be published, once."""
        made, self.made = self.made, []
        return made

    def facts_of(self, lane: Lane) -> Facts:
        """Return the facts of an instrument, to be changed."""
        return self.facts.setdefault(lane.tape.instrument, Facts())

    def tell(self, lane: Lane, outputs: Outputs, gaps: list[dict[str, Any]] | None, *, stored: int) -> None:
        """Tell what a commit gave of a lane, its gaps where they changed, and when it was stored (ns UTC)."""
        name, counts = lane.tape.instrument, lane.counters.counts
        self._count(lane, outputs)
        if outputs.candles:  # what follows from a candle is waited for: the running ones are shown a moment later
            self._unshown.add(name)
        if gaps is not None:
            self.count_gaps(lane)
        self.made.append(
            Committed(
                name,
                outputs,
                sets={features.name: features for features in lane.pipeline.layout.sets},
                running=None if outputs.candles else self._running(lane),
                gaps=None if gaps is None else wire.gaps(wire.newest_gaps(gaps)),
                late=counts.get("late", 0),
                dead=counts.get("conflicts", 0) + counts.get("quarantined", 0),
                duplicates=counts.get("duplicates", 0),
                stored=stored,
            )
        )

    def show(self, lane: Lane) -> None:
        """Tell running candles that moved since they were shown."""
        if lane.tape.instrument in self._unshown and (running := self._running(lane)):
            nothing = Frame.empty(lane.tape.instrument)
            outputs = Outputs(Admission([], nothing, nothing, nothing), nothing)
            self.made.append(Committed(lane.tape.instrument, outputs, running=running))

    def count_gaps(self, lane: Lane) -> None:
        """Count the gaps of a lane by what became of them."""
        statuses = list(lane.gaps.values())
        counts = {status.value: statuses.count(status) for status in GapStatus} | {"healed": len(lane.healed)}
        self.facts_of(lane).gaps = counts

    def _count(self, lane: Lane, outputs: Outputs) -> None:
        facts = self.facts_of(lane)
        facts.pending = lane.pipeline.ledger.pending
        for what, number in lane.counters.items():
            facts.totals.add(what, number)
        if outputs.candles:
            facts.warmup = lane.pipeline.warmup
        if len(outputs.admission.accepted):
            facts.saw(outputs.admission.accepted)

    def _running(self, lane: Lane) -> dict[str, Records] | None:
        """Return the running candles, unless they were shown a moment ago."""
        name, at = lane.tape.instrument, self._timer()
        if at - self._shown.get(name, 0) < SHOW_EVERY:
            self._unshown.add(name)
            return None
        self._unshown.discard(name)
        self._shown[name] = at
        return lane.pipeline.running()
