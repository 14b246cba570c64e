from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.recordings import tools


def saved(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "trades.json"
    path.write_bytes(data)
    return path


def trade(**changes: Any) -> dict[str, Any]:
    (base,) = json.loads(tools.ccxt(1))
    return {**base, **changes}


@pytest.mark.parametrize("form", ["list", "indented", "lines"])
def test_a_list_or_lines(tmp_path: Path, form: str) -> None:
    trades = json.loads(tools.ccxt(5))
    text = json.dumps(trades, indent=2 if form == "indented" else None)
    text = "\n".join(map(json.dumps, trades)) if form == "lines" else text
    frame = tools.read(saved(tmp_path, text.encode())).only
    assert (frame.instrument, frame.trade_id.tolist(), frame.count.tolist()) == (
        "XRP-ETH.BINANCE",
        [0, 1, 2, 3, 4],
        [2] * 5,
    )
    assert (frame.price[0], frame.side[0]) == (0.00141342, -1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"symbol": "A/B"}, "symbol: expected XRP/ETH, was 'A/B'"),
        ({"timestamp": None}, "timestamp: expected epoch ms, was None"),
        ({"id": None}, "id: expected an integer in 0..2^63-2, was 'None'"),
        ({"id": "-1"}, "id: expected an integer"),
        ({"side": "up"}, "side: expected buy or sell, was 'up'"),
        ({"price": float("nan")}, "price: expected a finite number > 0, was 'nan'"),
        ({"amount": 0}, "qty: expected a finite number > 0, was '0'"),
        ({"info": {}}, "count: expected l >= f"),
    ],
)
def test_bad_elements_are_dead_letters(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    data = json.dumps([trade(), trade(**changes), trade(id="2")])
    whole = tools.read(saved(tmp_path, data.encode()))
    assert whole.only.trade_id.tolist() == [0, 2]
    (letter,) = whole.dead
    assert letter.reason.startswith(reason)
    assert letter.source == "trades.json:2"


def test_a_broken_element_spoils_no_other(tmp_path: Path) -> None:
    parts = [json.dumps(trade(id=str(number))) for number in range(3)]
    whole = tools.read(saved(tmp_path, f"[{parts[0]},{parts[1][:-30]} oops}},{parts[2]}]".encode()))
    assert whole.only.trade_id.tolist() == [0, 2]
    assert len(whole.dead) == 1


def test_half_a_list_keeps_its_whole_elements(tmp_path: Path) -> None:
    data = tools.ccxt(50)
    whole = tools.read(saved(tmp_path, data[: len(data) // 2]))
    assert 20 <= len(whole.only) <= 25
    assert len(whole.dead) == 1


def test_without_ids_the_times_stand_for_them(tmp_path: Path) -> None:
    data = json.dumps([trade(id=None), trade(id=None)])
    whole = tools.read(saved(tmp_path, data.encode()), instrument="XRP-ETH.SIM")
    assert whole.recording.id_kind == "row"
    assert np.diff(whole.only.trade_id).tolist() == [1]


def test_the_recorded_aggregates(shared: Path) -> None:
    whole = tools.read(shared / "data/freqtrade/XRP_OLD-trades.json.gz")
    assert (list(whole.frames), len(whole.only), whole.dead) == (["XRP-ETH.BINANCE"], 12_477, [])
    assert whole.recording.id_kind == "aggregate"
    assert (np.diff(whole.only.trade_id) == 1).all()
    assert whole.only.count.sum() > 12_477
