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
    assert patience.over(BTC, [FIRST]) == []
    assert patience.over(BTC, [FIRST]) == []


def test_a_gap_asked_for_in_vain_is_over_in_time() -> None:
    patience = Patience(BOUNDED)
    patience.over(BTC, [FIRST])
    for at in (5.0, 20.0, 35.0, 50.0, 64.9):
        patience.failed([FIRST], at)
        assert patience.over(BTC, [FIRST]) == []
    patience.failed([FIRST], 5.0 + SECONDS)
    assert patience.over(BTC, [FIRST]) == [FIRST]


def test_time_in_which_nobody_asks_does_not_cost_a_gap() -> None:
    """A connection that is down for long, or a hundred other gaps before it: it was asked for four times in all."""
    patience = Patience(BOUNDED)
    patience.over(BTC, [FIRST])
    for at in (0.0, 100 * SECONDS, 200 * SECONDS, 300 * SECONDS):
        patience.failed([FIRST], at)
        assert patience.over(BTC, [FIRST]) == []
    patience.failed([FIRST], 301 * SECONDS)
    assert patience.over(BTC, [FIRST]) == [FIRST]


def test_a_gap_of_which_something_came_waits_anew() -> None:
    patience = Patience(BOUNDED)
    patience.over(BTC, [FIRST])
    for at in range(0, 50, 10):
        patience.failed([FIRST], at)
    rest = gap(15, 19)
    assert patience.over(BTC, [rest]) == []
    for at in range(50, 110, 10):
        patience.failed([rest], at)
        assert patience.over(BTC, [rest]) == []
    patience.failed([rest], 110.0)
    assert patience.over(BTC, [rest]) == [rest]


def test_while_gaps_before_it_are_being_filled_a_gap_does_not_become_old() -> None:
    patience = Patience(BOUNDED)
    both = [FIRST, SECOND]
    patience.over(BTC, both)
    for at in range(0, 60, 10):
        patience.failed(both, at)
    patience.came(both, 19)
    patience.failed(both, 60.0)
    assert patience.over(BTC, both) == [FIRST]
    for at in range(70, 120, 10):
        patience.failed([SECOND], at)
        assert patience.over(BTC, [SECOND]) == []
    patience.failed([SECOND], 120.0)
    assert patience.over(BTC, [SECOND]) == [SECOND]


def test_a_gap_that_the_venue_leaves_out_is_over_after_a_few_walks() -> None:
    patience = Patience(BOUNDED)
    patience.over(BTC, [FIRST])
    for at in (1.0, 2.0, 3.0, 15.9):
        patience.walked([FIRST], at)
        assert patience.over(BTC, [FIRST]) == []
    patience.walked([FIRST], 1.0 + SECONDS / 4)
    assert patience.over(BTC, [FIRST]) == [FIRST]
