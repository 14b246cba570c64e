"""What is learnt from unless a set is named."""

from __future__ import annotations

from tests import learned, stored

from tapeline.clock import MINUTE
from tapeline.runs import usual_rows
from tapeline.stores.memory import MemoryStore


def test_order_flow_is_learnt_from_where_it_is_known() -> None:
    traded = MemoryStore()
    stored.fill(traded)
    assert usual_rows(traded, stored.SETTINGS, stored.TRADED, "1m", 5 * MINUTE).features.name == "market"
    bare = learned.store_with_champion()
    assert usual_rows(bare, learned.SETTINGS, learned.NAME, "1m", 5 * MINUTE).features.name == "technical"
