"""A lane: one instrument under way, and what must be done before its stored state stands at the end of the tape."""

from __future__ import annotations

from dataclasses import dataclass, field

from tapeline.intervals import Intervals
from tapeline.pipeline import Pipeline
from tapeline.tape import TapeInfo
from tapeline.types import Counters, GapStatus

WHOLE = ""
"""A stored state that stands at the end of the tape; other states are marked with what must be done."""
STALE = "stale: "
"""Earlier trades were added, or the layout changed: the candles and features must be folded anew."""
FOLDING = "folding: "
"""A fold of the stored tape was interrupted; it goes on from the stored state."""

BEHIND = "a candle of its time was closed"
"""Why a trade that is on the tape is among the late trades too."""

Span = tuple[int, int]


@dataclass(slots=True)
class Lane:
    """One instrument under way: its pipeline, and what is known of its tape.

    ``gaps`` are the missing ids as stored, and ``healed`` those that were missing once; ``unhealable`` are those that
    the venue cannot give, ``given_up`` all that were ever given up, each as (first, last). In ``bulk`` trades are kept
    without folding them: the whole tape is folded afterwards.
    """

    tape: TapeInfo
    pipeline: Pipeline
    decisions: int = 0
    gaps: dict[Span, GapStatus] = field(default_factory=dict)
    healed: Intervals = field(default_factory=Intervals)
    unhealable: list[Span] = field(default_factory=list)
    given_up: list[Span] = field(default_factory=list)
    stale: str = ""
    bulk: bool = False
    counters: Counters = field(default_factory=Counters)
