from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.errors import InputError
from tapeline.exchanges.kraken import instrument, parse_history

ROW = '["105433.60000","0.00027625",1762795433.9717445,"b","l","",10218208]'


def body(*rows: str) -> bytes:
    return f'{{"error":[],"result":{{"XXBTZUSD":[{",".join(rows)}],"last":"1762820035982277754"}}}}'.encode()


def test_a_row_of_today() -> None:
    history = parse_history(body(ROW))
    assert history.trades == [("XXBTZUSD", 10218208, 1762795433971744500, "105433.60000", "0.00027625", 1, 1)]
    assert (history.bad, history.next) == ([], "1762820035982277754")


def test_an_older_row_has_no_id() -> None:
    assert parse_history(body(ROW.replace(",10218208", ""))).trades[0].trade_id is None


@pytest.mark.parametrize(
    "row",
    [
        '["1","2"]',
        '[1,"2",1762795433,"b","l",""]',
        '["1","2",1762795433,"x","l",""]',
        '["1","2","soon","b","l",""]',
        '["1","2",1762795433,"b","l","",-1]',
        '["1","2",1762795433,"b","l","",9223372036854775808]',
        "{}",
    ],
)
def test_a_bad_row_is_kept_and_the_others_are_read(row: str) -> None:
    history = parse_history(body(ROW, row, ROW))
    assert len(history.trades) == 2
    assert [error.raw for error in history.bad] == [row.encode()]


def test_an_answer_with_an_error_is_told_in_the_venue_s_words() -> None:
    with pytest.raises(InputError, match="EAPI:Rate limit exceeded"):
        parse_history(b'{"error":["EAPI:Rate limit exceeded"]}')


KEYS = st.sampled_from(["error", "result"])


@given(st.binary(max_size=200) | st.dictionaries(KEYS, st.lists(st.integers())).map(lambda it: json.dumps(it).encode()))
def test_arbitrary_bytes_raise_only_input_errors(data: bytes) -> None:
    with suppress(InputError):
        parse_history(data)


def test_the_recorded_bodies(shared: Path) -> None:
    history = parse_history((shared / "data/nautilus-kraken/http_trades.json").read_bytes())
    assert len(history.trades) == 1000
    assert [trade.trade_id for trade in history.trades] == list(range(10218208, 10219208))
    assert history.next == "1762820035982277754"
    assert history.trades[-1].ts_event == 1762820035982277900
    old = parse_history((shared / "data/xchange/kraken_trades_old_6field.json").read_bytes())
    assert {trade.trade_id for trade in old.trades} == {None}


@pytest.mark.parametrize(
    ("pair", "name"),
    [
        ("XXBTZUSD", "BTC-USD.KRAKEN"),
        ("XBTUSDT", "BTC-USDT.KRAKEN"),
        ("XETHXXBT", "ETH-BTC.KRAKEN"),
        ("USDTZUSD", "USDT-USD.KRAKEN"),
        ("XDGUSD", "DOGE-USD.KRAKEN"),
        ("SOLEUR", "SOL-EUR.KRAKEN"),
        ("XBT/USD", "BTC-USD.KRAKEN"),
        ("NONSENSE", None),
    ],
)
def test_instruments(pair: str, name: str | None) -> None:
    assert instrument(pair) == name
