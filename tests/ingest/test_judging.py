"""Live trades are judged as an import judges them."""

from __future__ import annotations

import pytest

from tapeline.exchanges.base import RawTrade
from tapeline.ingest.judging import judge

NAME, TIME = "BTC-USD.KRAKEN", 1_760_000_000_000_000_000


def _trade(trade_id: int | None = 7, ts: int = TIME, price: str = "1.5", qty: str = "2", count: int = 1) -> RawTrade:
    return RawTrade("BTC/USD", trade_id, ts, price, qty, -1, count)


def test_good_trades_become_columns() -> None:
    trades = [_trade(1), _trade(2, price="60000.10000000001", count=3)]
    (frame,), dead = judge([NAME, NAME], "kraken", trades, [5, 6])
    assert dead == []
    assert frame.instrument == NAME
    assert frame.trade_id.tolist() == [1, 2]
    assert frame.price.tolist() == [1.5, float("60000.10000000001")]
    assert (frame.ts_init.tolist(), frame.side.tolist(), frame.count.tolist()) == ([5, 6], [-1, -1], [1, 3])


BAD = {
    "price": [_trade(price=text) for text in ("0", "-1", "NaN", "nan", "inf", "1e400", "1e31", "1_0", " 1", "", "٣")],
    "qty": [_trade(qty=text) for text in ("0", "-0.5", "Infinity")],
    "id": [_trade(None), _trade(-1), _trade(2**63 - 1), _trade(2**70)],
    "time": [_trade(ts=-1), _trade(ts=0)],
    "count": [_trade(count=0), _trade(count=2**31)],
}


@pytest.mark.parametrize(("what", "trade"), [(what, trade) for what, trades in BAD.items() for trade in trades])
def test_bad_numbers_are_refused_by_name_and_kept_raw(what: str, trade: RawTrade) -> None:
    (frame,), dead = judge([NAME] * 3, "kraken trade", [_trade(1), trade, _trade(3)], [9, 9, 9])
    assert frame.trade_id.tolist() == [1, 3]
    assert [letter.reason.split(":")[0] for letter in dead] == [what]
    assert dead[0].raw == repr(tuple(trade)).encode()
    assert (dead[0].source, dead[0].ts_init, dead[0].instrument) == ("kraken trade", 9, NAME)


def test_trades_of_several_instruments_become_a_frame_each_in_the_order_they_came() -> None:
    names = ["A-USD.KRAKEN", "B-USD.KRAKEN", "A-USD.KRAKEN", "C-USD.KRAKEN", "B-USD.KRAKEN"]
    trades = [_trade(8), _trade(2), _trade(7, price="3"), _trade(1, qty="0"), _trade(3)]
    frames, dead = judge(names, "kraken", trades, [1, 2, 3, 4, 5])
    assert [frame.instrument for frame in frames] == ["A-USD.KRAKEN", "B-USD.KRAKEN"]
    assert [frame.trade_id.tolist() for frame in frames] == [[8, 7], [2, 3]]
    assert [frame.ts_init.tolist() for frame in frames] == [[1, 3], [2, 5]]
    assert frames[0].price.tolist() == [1.5, 3.0]
    assert [(letter.instrument, letter.ts_init) for letter in dead] == [("C-USD.KRAKEN", 4)]
