"""Stored gaps: whatever becomes of them, only what changes is written, and what is stored is what is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeline.gap_writer import NEWEST, write_gaps
from tapeline.lane import Lane
from tapeline.pipeline import Layout, Pipeline
from tapeline.stores.memory import MemoryStore
from tapeline.tape import TapeInfo
from tapeline.types import Decision, DecisionKind, Frame

NAME = "BTC-USD.SIM"
LAYOUT = Layout(timeframes=("1m",))
LAST = 60


def new_lane() -> Lane:
    return Lane(TapeInfo(NAME, "SIM", "trade", True, 0), Pipeline(NAME, LAYOUT))


def feed(lane: Lane, ids: list[int]) -> None:
    lane.pipeline.feed(Frame.of(NAME, trade_id=ids, ts_event=ids, price=np.ones(len(ids)), qty=np.ones(len(ids))))


def give_up(lane: Lane, first: int, last: int) -> None:
    lane.unhealable.append((first, last))
    lane.given_up = sorted([*lane.given_up, (first, last)])
    lane.pipeline.feed(Decision(NAME, DecisionKind.GIVE_UP, first - 1, last))


def stored(store: MemoryStore) -> list[tuple[int, int, str]]:
    rows = store.read("gaps", instrument=NAME).to_pylist()
    return [(row["first_missing"], row["last_missing"], row["status"]) for row in rows]


def known(lane: Lane) -> list[tuple[int, int, str]]:
    return sorted(
        [*((*span, "healed") for span in lane.healed.spans()), *((*span, one.value) for span, one in lane.gaps.items())]
    )


steps = st.lists(
    st.tuples(st.sampled_from(["told", "healed", "given up"]), st.sets(st.integers(2, LAST), min_size=1, max_size=9)),
    max_size=25,
)


@settings(max_examples=30, deadline=None)
@given(steps)
def test_what_is_stored_is_what_is_known(taken: list[tuple[str, set[int]]]) -> None:
    store, lane = MemoryStore(), new_lane()
    feed(lane, [1])
    for what, ids in taken:
        if what != "given up":
            feed(lane, sorted(ids))
        elif awaited := lane.pipeline.ledger.awaited():
            give_up(lane, *awaited[min(ids) % len(awaited)])
        shown = write_gaps(store, lane, healing=what == "healed")
        assert stored(store) == known(lane)
        if shown is not None:
            assert [tuple(row.values())[1:] for row in shown] == known(lane)


class Counting(MemoryStore):
    """Count rows that are written."""

    written = 0

    def upsert(self, kind: str, rows: Any) -> None:
        self.written += len(rows)
        super().upsert(kind, rows)


@pytest.mark.parametrize("gaps", [200, 2_000])
def test_a_commit_costs_what_it_changes_however_many_gaps_there_were(gaps: int) -> None:
    store, lane = Counting(), new_lane()
    ids = np.arange(1, 2 * gaps + 2)
    feed(lane, ids[::2].tolist())
    write_gaps(store, lane, healing=False)
    feed(lane, ids[1:-2:2].tolist())
    write_gaps(store, lane, healing=True)
    store.written = 0
    feed(lane, [2 * gaps])
    shown = write_gaps(store, lane, healing=True)
    assert store.written == 1
    assert shown is not None
    assert len(shown) == NEWEST
    assert len(lane.healed) == gaps
    feed(lane, [2 * gaps + 3])
    shown = write_gaps(store, lane, healing=False)
    assert store.written == 2
    assert shown is not None
    assert shown[-1] == {
        "instrument": NAME,
        "first_missing": 2 * gaps + 2,
        "last_missing": 2 * gaps + 2,
        "status": "open",
    }
