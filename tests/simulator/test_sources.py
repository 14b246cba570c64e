"""Sources: each trade once, at its instant, whatever the pace at which they are asked."""

from __future__ import annotations

import numpy as np
import pytest

from tapeline.clock import HOUR, SECOND
from tapeline.errors import UsageError
from tapeline.simulator.market import JANUARY_2024
from tapeline.simulator.sources import MarketSource, RecordedSource, decimals_of, recorded_sources
from tapeline.types import Frame

NOW = JANUARY_2024


def market(seed: int = 1, instrument: str = "BTC-USD.KRAKEN") -> MarketSource:
    return MarketSource(instrument, seed, now=NOW, history=HOUR, rate=5.0, resolution=1_000_000)


@pytest.mark.parametrize("step", [SECOND // 10, 7 * SECOND, 600 * SECOND])
def test_a_market_tells_the_same_at_any_pace(step: int) -> None:
    source, other = market(), market()
    whole = other.until(NOW + 600 * SECOND)
    parts = [source.until(at) for at in range(NOW, NOW + 600 * SECOND + 1, step)]
    parts.append(source.until(NOW + 600 * SECOND))
    told = Frame.concat(parts)
    np.testing.assert_array_equal(told.trade_id, whole.trade_id)
    np.testing.assert_array_equal(told.trade_id, np.arange(1, len(told) + 1))
    for part, at in zip(parts, range(NOW, NOW + 600 * SECOND + 1, step), strict=False):
        assert (part.ts_event <= at).all()
    assert whole.ts_event[0] < NOW - HOUR + 600 * SECOND
    assert (whole.ts_event % 1_000_000 == 0).all()


def test_each_instrument_and_each_seed_has_its_own_market() -> None:
    paths = [market(1), market(2), market(1, "ETH-USD.KRAKEN"), market(1)]
    prices = [source.until(NOW).qty[:50].tolist() for source in paths]
    assert prices[0] == prices[3]
    assert prices[0] != prices[1]
    assert prices[0] != prices[2]


def test_a_stock_has_whole_shares_and_no_quote() -> None:
    source = market(1, "SPY.MASSIVE")
    assert (source.listing.base, source.listing.quote) == ("SPY", "")
    assert (source.until(NOW).qty % 1 == 0).all()


def test_more_history_than_memory_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        MarketSource("BTC-USD.SIM", 1, now=NOW, history=HOUR, rate=50_000.0)
    text = "simulator history: is too long: expected at most 50,000,000 trades before the start, was '180,000,000'"
    assert str(caught.value) == f"{text}; shorten it"


def recorded(ids: list[int], stamps: list[int], instrument: str = "BTC-USD.KRAKEN") -> Frame:
    return Frame.of(instrument, trade_id=ids, ts_event=stamps, price=[1.5] * len(ids), qty=[0.25] * len(ids))


def test_a_recorded_tape_is_told_anew_with_its_ids() -> None:
    source = RecordedSource(recorded([7, 8, 11], [100, 300, 900]), shift=1000, speed=2.0, begin=100)
    assert source.until(1099).trade_id.tolist() == []
    assert source.until(1100).trade_id.tolist() == [7]
    rest = source.until(10_000)
    assert rest.trade_id.tolist() == [8, 11]
    assert rest.ts_event.tolist() == [1200, 1500]
    assert len(source.until(20_000)) == 0
    assert (source.listing.price_decimals, source.listing.qty_decimals) == (1, 2)


def test_tapes_recorded_together_stay_together() -> None:
    frames = [recorded([1], [500]), recorded([1], [100], "ETH-USD.SIM")]
    sources = recorded_sources(frames, "KRAKEN", now=NOW)
    assert [source.listing.instrument for source in sources] == ["BTC-USD.KRAKEN", "ETH-USD.KRAKEN"]
    assert [source.until(NOW + 1000).ts_event.tolist() for source in sources] == [[NOW + 400], [NOW]]
    own = recorded_sources(frames, "KRAKEN", now=None)
    assert [source.until(500).ts_event.tolist() for source in own] == [[500], [100]]


def test_decimals_are_those_that_write_every_number() -> None:
    assert decimals_of(np.array([1.0, 20.0])) == 0
    assert decimals_of(np.array([0.00027625, 3.0])) == 8
    assert decimals_of(np.array([np.pi])) is None
