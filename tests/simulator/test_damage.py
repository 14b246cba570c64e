"""Damage: what each fault does to batches and messages, and that the true tape stays true."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest

from tapeline.clock import HOUR, SECOND, parse_time
from tapeline.simulator.damage import BatchDamage, MessageDamage
from tapeline.simulator.faults import FAULTS, Faults, Per
from tapeline.simulator.tape import Listing, Tape
from tapeline.simulator.venue import Fields
from tapeline.types import Frame

NAME = "BTC-USD.SIM"
FIELDS = Fields(trade_id="trade_id", price="price", qty="qty", time="timestamp")
STAMP = "2024-01-01T00:00:00.000001Z"


def frame(first: int, last: int) -> Frame:
    ids = np.arange(first, last + 1)
    return Frame.of(NAME, trade_id=ids, ts_event=ids, price=ids / 10, qty=ids / 10)


def batches(*faults: str) -> tuple[BatchDamage, Tape]:
    tape = Tape(Listing(NAME, "BTC", "USD"))
    tape.append(frame(1, 200))
    return BatchDamage(Faults(dict.fromkeys(faults, 1.0)), 1, {NAME: tape}), tape


def told(damage: BatchDamage, *frames: Frame, now: int = 0) -> list[list[int]]:
    return [part.trade_id.tolist() for one in frames for part in damage.batches(one, now)]


def test_without_faults_a_batch_is_told_as_it_is() -> None:
    batch = frame(1, 3)
    assert batches()[0].batches(batch, 0)[0] is batch


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("drop", []),
        ("duplicate", [[101, 102, 103], [101, 102, 103]]),
        ("split", [[101], [102], [103]]),
        ("restart-ids", [[1, 2, 3]]),
        ("overlap", [[*range(51, 101), 101, 102, 103]]),
    ],
)
def test_a_batch_is_damaged_and_the_tape_is_not(fault: str, expected: list[list[int]]) -> None:
    damage, tape = batches(fault)
    assert told(damage, frame(101, 103)) == expected
    assert tape.whole().trade_id.tolist() == list(range(1, 201))


def test_merged_and_reordered_batches_wait_for_the_next_one() -> None:
    """Each fault strikes the first batch alone here: the seed is one of those."""

    def once(fault: str) -> BatchDamage:
        seed = next(
            seed
            for seed in range(100)
            if (faults := Faults({fault: 0.5}, seed=seed)).strikes(fault, 0, connection=1)
            and not faults.strikes(fault, 0, connection=1)
        )
        return BatchDamage(Faults({fault: 0.5}, seed=seed), 1, {})

    assert told(once("reorder"), frame(1, 2), frame(3, 4)) == [[3, 4], [1, 2]]
    assert told(once("merge"), frame(1, 2), frame(3, 4)) == [[1, 2, 3, 4]]


@pytest.mark.parametrize("fault", ["merge", "reorder"])
def test_what_waits_for_a_next_one_that_does_not_come_is_told_after_a_second(fault: str) -> None:
    damage, _ = batches(fault)
    assert told(damage, frame(1, 2)) == []
    assert damage.due(SECOND - 1) == []
    assert [part.trade_id.tolist() for part in damage.due(SECOND)] == [[1, 2]]
    assert damage.due(2 * SECOND) == []


def message(**changes: Any) -> bytes:
    trade = {"symbol": "BTC/USD", "price": 60000.1, "qty": 0.5, "trade_id": 7, "timestamp": STAMP}
    return msgspec.json.encode({"channel": "trade", "data": [trade | changes]})


def damaged(fault: str, raw: bytes) -> bytes:
    return MessageDamage(Faults({fault: 1.0}), 1, FIELDS).message(raw, 0)


def trade_in(raw: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(raw)["data"][0]
    return found


@pytest.mark.parametrize(
    ("fault", "piece"),
    [
        ("price-zero", b'"price":0,'),
        ("price-nan", b'"price":NaN,'),
        ("price-huge", b'"price":1e400,'),
        ("negative-qty", b'"qty":-0.5,'),
    ],
)
def test_numbers_are_spoilt_as_the_venue_writes_them(fault: str, piece: bytes) -> None:
    assert piece in damaged(fault, message())
    text = damaged(fault, message(price="60000.1", qty="0.5"))
    assert piece.replace(b":", b':"').replace(b",", b'",') in text


@pytest.mark.parametrize("stamp", [STAMP, 1_704_067_200, 1_704_067_200_000, 1_704_067_200_000_000, 1704067200 * SECOND])
def test_stamps_move_by_an_hour_to_a_year(stamp: Any) -> None:
    def seconds(value: Any) -> float:
        if isinstance(value, str):
            return parse_time(value) / SECOND
        return float(value / 10 ** (len(str(stamp)) - 10))

    begin, hour, year = seconds(stamp), HOUR / SECOND, 365 * 86_400
    after = seconds(trade_in(damaged("future-stamp", message(timestamp=stamp)))["timestamp"])
    assert hour - 1 <= after - begin <= year
    before = seconds(trade_in(damaged("past-stamp", message(timestamp=stamp)))["timestamp"])
    assert hour <= begin - before <= year + 1


def test_a_malformed_message_ends_early() -> None:
    cut = damaged("malformed", message())
    assert message().startswith(cut)
    assert len(cut) < len(message())
    with pytest.raises(json.JSONDecodeError):
        json.loads(cut)


def test_types_and_fields_change() -> None:
    before = trade_in(message())
    changed = trade_in(damaged("wrong-types", message()))
    assert sum(type(changed[name]) is not type(before[name]) for name in FIELDS) == 1
    more = trade_in(damaged("unknown-fields", message()))
    assert {name: more[name] for name in before} == before
    assert set(more) - set(before) == {"unheard_of"}


@pytest.mark.parametrize("fault", [name for name, (per, _) in FAULTS.items() if per is Per.MESSAGE])
def test_messages_without_trades_are_left_alone(fault: str) -> None:
    for raw in (b'{"channel":"heartbeat"}', b'{"price":1}', b'{"method":"pong","price":[]}'):
        assert damaged(fault, raw) == raw


def test_a_trade_is_known_by_its_numbers_whatever_its_id_is_called() -> None:
    raw = b'{"a":5,"price":"1.5","qty":"2","timestamp":1704067200000}'
    assert json.loads(damaged("price-zero", raw)) == json.loads(raw) | {"price": "0"}


def test_several_faults_may_strike_one_message() -> None:
    faults = Faults({"price-zero": 1.0, "negative-qty": 1.0})
    raw = MessageDamage(faults, 1, FIELDS).message(message(), 0)
    assert b'"price":0,' in raw
    assert b'"qty":-0.5,' in raw


def test_all_faults_may_strike_one_message_though_one_breaks_its_types() -> None:
    asked = {name: 1.0 for name, (per, _) in FAULTS.items() if per is Per.MESSAGE and name != "malformed"}
    for seed in range(20):
        raw = MessageDamage(Faults(asked, seed=seed), 1, FIELDS).message(message(), 0)
        assert b"unheard_of" in raw
