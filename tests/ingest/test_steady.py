"""Wall time that does not go back."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tapeline.clock import HOUR, SECOND, ManualClock
from tapeline.ingest.steady import SteadyClock


class Both:
    """A wall clock and a timer that run together, until somebody sets the first."""

    def __init__(self) -> None:
        self.wall, self.timer = ManualClock(10 * HOUR), ManualClock(0)
        self.steady = SteadyClock(self.wall, self.timer.now)

    def after(self, ns: int, *, set_by: int = 0) -> int:
        self.timer.advance(ns)
        self.wall.advance(ns + set_by)
        return self.steady.now()


def test_it_is_the_wall_time() -> None:
    both = Both()
    assert both.after(5) == 10 * HOUR + 5
    assert both.after(SECOND) == both.wall.now()


def test_set_back_it_goes_on_and_set_right_it_is_the_wall_time_again() -> None:
    both = Both()
    before = both.after(SECOND)
    assert both.after(3, set_by=-HOUR) == before + 3
    assert both.after(SECOND) == before + 3 + SECOND
    assert both.after(2, set_by=HOUR) == before + SECOND + 5 == both.wall.now()


def test_a_jump_ahead_is_believed() -> None:
    both = Both()
    assert both.after(0, set_by=HOUR) == 11 * HOUR == both.wall.now()


@given(st.lists(st.tuples(st.integers(0, HOUR), st.integers(-HOUR, 0)), max_size=20))
def test_it_never_goes_back(steps: list[tuple[int, int]]) -> None:
    both = Both()
    told = [both.after(ns, set_by=set_by) for ns, set_by in steps]
    assert all(later >= earlier for earlier, later in pairwise(told))
