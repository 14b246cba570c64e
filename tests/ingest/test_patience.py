"""How long a gap is waited for: asking in vain counts, waiting for one's turn does not."""

from __future__ import annotations

from dataclasses import replace

from tests.ingest.fakes import BOUNDS, BTC

from tapeline.ingest.base import Missing
from tapeline.ingest.patience import Patience

SECONDS = 60.0
BOUNDED = replace(BOUNDS, gap_timeout=SECONDS, walks=3)


def gap(first: int, last: int) -> Missing:
    return Missing(BTC, first, last, 0, 0)


FIRST, SECOND = gap(10, 19), gap(5_000, 5_000)


def test_a_gap_nobody_asked_for_is_not_over() -> None:
    patience = Patience(BOUNDED)
    assert patience.over(BTC, [FIRST], 0.0) == []
    assert patience.over(BTC, [FIRST], 100 * SECONDS) == []


def test_a_gap_asked_for_in_vain_is_over_in_time() -> None:
    patience = Patience(BOUNDED)
    patience.over(BTC, [FIRST], 0.0)
    patience.failed([FIRST], 5.0)
    patience.failed([FIRST], 50.0)
    assert patience.over(BTC, [FIRST], 4.9 + SECONDS) == []
    assert patience.over(BTC, [FIRST], 5.0 + SECONDS) == [FIRST]


def test_a_gap_of_which_something_came_waits_anew() -> None:
    patience = Patience(BOUNDED)
    patience.over(BTC, [FIRST], 0.0)
    patience.failed([FIRST], 0.0)
    rest = gap(15, 19)
    assert patience.over(BTC, [rest], SECONDS) == []
    patience.failed([rest], SECONDS)
    assert patience.over(BTC, [rest], 2 * SECONDS) == [rest]


def test_while_gaps_before_it_are_being_filled_a_gap_does_not_become_old() -> None:
    patience = Patience(BOUNDED)
    both = [FIRST, SECOND]
    patience.over(BTC, both, 0.0)
    patience.failed(both, 0.0)
    patience.came(both, 19)
    patience.failed(both, 59.0)
    assert patience.over(BTC, both, SECONDS) == [FIRST]
    assert patience.over(BTC, [SECOND], 58.0 + SECONDS) == []
    assert patience.over(BTC, [SECOND], 59.0 + SECONDS) == [SECOND]


def test_a_gap_that_the_venue_leaves_out_is_over_after_a_few_walks() -> None:
    patience = Patience(BOUNDED)
    patience.over(BTC, [FIRST], 0.0)
    for at in (1.0, 2.0, 3.0):
        patience.walked([FIRST], at)
    assert patience.over(BTC, [FIRST], SECONDS / 4) == []
    assert patience.over(BTC, [FIRST], 1.0 + SECONDS / 4) == [FIRST]
