"""The hub: snapshots, then updates; who comes back gets what was missed, who is slow gets the newest."""

from __future__ import annotations

import json
from dataclasses import replace
from math import log
from typing import Any

import pytest
from tests.committed import BARS, answer, commits, prediction
from tests.stored import START, TRADED, trades

from tapeline import wire
from tapeline.clock import MINUTE, format_time
from tapeline.errors import UsageError
from tapeline.hub import Committed, Hub
from tapeline.subscriber import CHANNELS, Subscriber, Wants


async def taken(subscriber: Subscriber) -> list[dict[str, Any]]:
    return [json.loads(text) for text in await subscriber.take()]


def filled(hub: Hub, count: int = 3_000, size: int = 100) -> Hub:
    for committed in commits(count, size):
        hub.publish(committed)
    return hub


@pytest.mark.parametrize(("count", "size"), [(6, 1), (100, 7), (50, 50), (20, 20), (200, 100), (51, 50)])
async def test_a_snapshot_holds_the_newest_trades_whatever_frames_they_came_in(count: int, size: int) -> None:
    hub = filled(Hub(keep_trades=20), count, size)
    subscriber = hub.subscriber()
    hub.subscribe(subscriber, ["trades"])
    _, snapshot = await taken(subscriber)
    ids = [one["trade_id"] for one in snapshot["data"]]
    assert ids == trades(count).trade_id[-20:].tolist()


async def test_who_asks_for_what_was_never_told_of_is_told_so() -> None:
    hub = filled(Hub())
    subscriber = hub.subscriber()
    hub.subscribe(subscriber, ["candles"], [TRADED, "NO.PE", "*"])
    hub.subscribe(subscriber, ["candles"], [TRADED])
    told = [one for one in await taken(subscriber) if one.get("op") == "subscribed"]
    assert [one.get("unheard") for one in told] == [["NO.PE"], None]


async def test_who_subscribes_gets_the_newest_then_every_update_in_order() -> None:
    hub, subscriber = Hub(), None
    first: list[dict[str, Any]] = []
    seen: list[dict[str, Any]] = []
    for at, committed in enumerate(commits()):
        if at == 10:
            subscriber = hub.subscriber()
            hub.subscribe(subscriber, ["candles"], timeframes=["1m"], answer={"id": 7})
            first = await taken(subscriber)
        hub.publish(committed)
        if subscriber is not None:
            seen += await taken(subscriber) if subscriber.waiting else []
    assert first[0] == {"op": "subscribed", "id": 7, "epoch": hub.epoch, "seq": first[0]["seq"]}
    (snapshot,) = first[1:]
    assert (snapshot["type"], len(snapshot["data"])) == ("snapshot", 1)
    opens = [row["open_time"] for event in (snapshot, *seen) for row in event["data"]]
    assert opens == sorted(set(opens))
    assert len(opens) > 15
    assert {(one["channel"], one["timeframe"], one["instrument"]) for one in seen} == {("candles", "1m", TRADED)}
    assert all(row["closed"] for one in seen for row in one["data"])


async def test_every_channel_tells_its_rows() -> None:
    hub = Hub()
    subscriber = hub.subscriber()
    hub.subscribe(subscriber, CHANNELS)
    first = next(commits(300, 300))
    gap = wire.gap(TRADED, 5, 6, "open")
    hub.publish(replace(first, gaps=[gap], late=2, dead=1, duplicates=4))
    hub.set_status({"health": "healthy"})
    told = {one["channel"]: one["data"] for one in (await taken(subscriber))[1:]}
    assert set(told) == {"trades", "candles", "features", "running", "gaps", "status"}
    assert len(told["trades"]) == 300
    assert list(told["features"][0]["values"]) == BARS.names
    assert (told["running"][0]["closed"], told["running"][0]["complete"]) == (False, False)
    assert told["gaps"] == [{**json.loads(wire.encode(gap))}]
    assert told["status"] == {"health": "healthy"}
    assert (hub.counted("late"), hub.counted("duplicates"), hub.counted("dead_letters")) == (
        {TRADED: 2},
        {TRADED: 4},
        {TRADED: 1},
    )


async def test_who_comes_back_gets_exactly_what_was_missed() -> None:
    hub = filled(Hub())
    every = hub.subscriber()
    hub.subscribe(every, ["candles", "features"])
    known = (await taken(every))[0]["seq"]
    left = hub.subscriber()
    for committed in list(commits(6_000))[30:]:
        hub.publish(committed)
    hub.subscribe(left, ["candles", "features"], resume=(hub.epoch, known))
    missed, all_told = await taken(left), await taken(every)
    assert missed[0]["op"] == "subscribed"
    assert missed[1:] == all_told
    assert [one["seq"] for one in missed[1:]] == sorted({one["seq"] for one in missed[1:]})


@pytest.mark.parametrize("resume", [("another process", 5), (None, 0), (None, 10**9)])
async def test_who_cannot_resume_is_reset(resume: tuple[str | None, int]) -> None:
    hub = filled(Hub(keep_events=4))
    subscriber = hub.subscriber()
    hub.subscribe(subscriber, ["candles"], resume=(resume[0] or hub.epoch, resume[1]))
    told = await taken(subscriber)
    assert [one.get("op", one.get("type")) for one in told[:3]] == ["subscribed", "reset", "snapshot"]


async def test_a_slow_reader_is_told_and_gets_the_newest() -> None:
    hub = Hub(wait_limit=5)
    subscriber = hub.subscriber()
    hub.subscribe(subscriber, ["candles", "running"])
    await taken(subscriber)
    filled(hub)
    told = await taken(subscriber)
    assert told[0]["op"] == "lagged"
    assert told[0]["channels"] == ["candles", "running"]
    assert told[0]["dropped"] == hub.lagged > 5
    newest = {(one["channel"], one["timeframe"]): one for one in told[1:]}
    assert set(newest) == {("candles", "1m"), ("candles", "5m"), ("running", "1m"), ("running", "5m")}
    running = newest["running", "1m"]["data"][0]
    assert newest["candles", "1m"]["data"][0]["close_time"] == running["open_time"]


async def test_answers_are_never_dropped() -> None:
    hub = Hub(wait_limit=1)
    subscriber = hub.subscriber()
    hub.subscribe(subscriber, ["candles"])
    subscriber.tell({"op": "pong"})
    filled(hub)
    assert [one["op"] for one in await taken(subscriber) if "op" in one] == ["subscribed", "pong", "lagged"]


async def test_an_outcome_is_told_once_when_the_candle_of_its_target_closes() -> None:
    hub = Hub()
    subscriber = hub.subscriber()
    hub.subscribe(subscriber, ["predictions", "outcomes"])
    await taken(subscriber)
    told: list[dict[str, Any]] = []
    closes = {}
    for committed in commits():
        for candle in committed.outputs.candles.get("1m", []):
            closes[int(candle["close_time"])] = float(candle["close"])
        if not told:
            committed.outputs.predictions.append(prediction(START + 3 * MINUTE))
        hub.publish(committed)
        told += await taken(subscriber) if subscriber.waiting else []
    made = [row for one in told if one["channel"] == "predictions" for row in one["data"]]
    (came,) = (row for one in told if one["channel"] == "outcomes" for row in one["data"])
    assert made[0]["outcome"] is None
    outcome = came["outcome"]
    value = log(closes[START + 4 * MINUTE] / 60_000)
    assert outcome["value"] == pytest.approx(value)
    assert outcome["error"] == pytest.approx(0.001 - value)
    assert (outcome["inside"], outcome["hit"], outcome["complete"]) == (abs(0.001 - value) <= 0.01, value > 0, True)
    assert hub.made == {("ridge", TRADED, "up"): 1}


async def test_answers_of_other_targets_are_told_by_target() -> None:
    hub = Hub()
    first = next(commits(300, 300))
    said = [answer("regime", (0.2, 0.7, 0.1)), answer("volatility", (0.01,)), answer("regime", (0.6, 0.3, 0.1), 1)]
    first.outputs.answers.extend(said)
    hub.publish(first)
    subscriber = hub.subscriber()
    hub.subscribe(subscriber, ["answers"], timeframes=["1m"])
    told = [row for one in (await taken(subscriber))[1:] for row in one["data"]]
    newest = {row["target"]: (row["label"], row["value"], row["probabilities"], row["as_of"]) for row in told}
    assert newest == {
        "regime": ("low", None, {"low": 0.6, "normal": 0.3, "high": 0.1}, format_time(START + MINUTE)),
        "volatility": (None, 0.01, {}, format_time(START)),
    }
    assert hub.counted("answers") == {TRADED: 3}


async def test_a_prediction_whose_target_never_closes_has_no_outcome() -> None:
    hub = Hub()
    hub.expect([prediction(START + 3 * MINUTE, horizon=MINUTE // 2)])
    subscriber = hub.subscriber()
    hub.subscribe(subscriber, ["outcomes"])
    filled(hub)
    assert [one["op"] for one in await taken(subscriber)] == ["subscribed"]


async def test_nothing_becomes_json_unless_somebody_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("was made")

    for name in ("candles", "features", "trades", "prediction"):
        monkeypatch.setattr(wire, name, refuse)
    filled(Hub())


def test_wants_are_by_channel_instrument_and_timeframe() -> None:
    from tapeline.subscriber import Event

    def event(channel: str, instrument: str = "", timeframe: str = "") -> Event:
        return Event(1, channel, instrument, timeframe, list)

    wants = Wants()
    wants.add(["candles", "status"], ["A.SIM"], ["1m"])
    assert event("candles", "A.SIM", "1m") in wants
    assert event("candles", "A.SIM", "5m") not in wants
    assert event("candles", "B.SIM", "1m") not in wants
    assert event("status") in wants
    wants.add(["candles"], ["*"])
    assert event("candles", "B.SIM", "5m") in wants
    wants.remove(["candles"], ["*"])
    assert event("candles", "A.SIM", "1m") not in wants
    with pytest.raises(UsageError, match="one of candles"):
        wants.add(["candels"], ["*"])


async def test_who_left_is_told_no_more() -> None:
    hub = Hub()
    subscriber = hub.subscriber()
    hub.subscribe(subscriber, ["candles"])
    hub.leave(subscriber)
    hub.leave(subscriber)
    filled(hub)
    assert (hub.subscribers, await subscriber.take()) == (0, [])


def test_a_commit_of_nothing_is_no_event() -> None:
    hub = Hub()
    committed = next(commits(100, 100))
    empty = replace(committed.outputs.admission, accepted=committed.outputs.admission.accepted.take(slice(0, 0)))
    hub.publish(Committed(TRADED, replace(committed.outputs, admission=empty, candles={}, features={})))
    assert hub.seq == 0
