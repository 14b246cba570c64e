"""Predictions over /v1 with what came of them, why they were made, and how well the model did."""

from __future__ import annotations

from typing import get_args

import httpx
import numpy as np
import pytest
from tests.api.conftest import NAME
from tests.stored import SETTINGS, TRADED

from tapeline import query
from tapeline.api.v1 import AnsweredTarget
from tapeline.clock import format_time
from tapeline.models.targets import TARGETS
from tapeline.stores.duckdb import DuckDBStore
from tapeline.stores.rows import to_answers


async def test_each_prediction_has_the_outcome_that_its_candle_tells(
    client: httpx.AsyncClient, store: DuckDBStore
) -> None:
    candles = query.candles(store, SETTINGS, TRADED, "1m").records
    closes = {format_time(int(one["close_time"])): float(one["close"]) for one in candles}
    found = (await client.get("/v1/predictions", params={"limit": 10_000})).json()["items"]
    known = [row for row in found if row["outcome"]]
    assert {row["target_time"] for row in known} == {row["target_time"] for row in found} & set(closes)
    assert len(known) > 100
    for row in known:
        outcome = row["outcome"]
        assert (outcome["price"], outcome["known_at"]) == (closes[row["target_time"]], row["target_time"])
        assert outcome["value"] == pytest.approx(np.log(outcome["price"] / row["close"]))
    assert all(row["outcome"] is None for row in found[-5:])


async def test_predictions_are_chosen_by_timeframe(client: httpx.AsyncClient) -> None:
    for timeframe, held in (("60s", 1), ("5m", 0)):
        asked = {"instrument": TRADED, "timeframe": timeframe, "limit": "1"}
        assert len((await client.get("/v1/predictions", params=asked)).json()["items"]) == held


async def test_a_prediction_is_explained_to_the_bit(client: httpx.AsyncClient) -> None:
    made = (await client.get("/v1/predictions", params={"limit": 1})).json()["items"][0]
    assert (await client.get(f"/v1/predictions/{made['id']}")).json() == made
    told = (await client.get(f"/v1/predictions/{made['id']}/explain")).json()
    assert told["matches"]
    assert told["prediction"]["id"] == made["id"]
    parts = told["explanation"]["targets"]["return"]
    total = parts["base"] + sum(one["added"] for one in parts["contributions"])
    assert total == pytest.approx(made["value"])


@pytest.mark.parametrize("target", ["regime", "anomaly"])
async def test_an_answer_to_another_target_is_explained_to_the_bit(
    client: httpx.AsyncClient, store: DuckDBStore, target: str
) -> None:
    one = next(one for one in to_answers(store.read("answers", limit=10)) if one.target == target)
    told = (await client.get(f"/v1/answers/{one.id}/explain")).raise_for_status().json()
    assert told["matches"], told["differences"]
    assert told["prediction"] == (await client.get(f"/v1/answers/{one.id}")).raise_for_status().json()
    assert told["explanation"]["targets"][target]["contributions"]
    assert "from its trades" in told["recomputed"]
    assert (await client.get(f"/v1/predictions/{one.id}/explain")).json() == told


async def test_answers_tell_the_likeliest_class_or_the_one_number(
    client: httpx.AsyncClient, store: DuckDBStore
) -> None:
    kept = {one.id: one for one in to_answers(store.read("answers"))}
    found = (await client.get("/v1/answers", params={"limit": 10_000})).raise_for_status().json()["items"]
    assert [row["as_of"] for row in found] == sorted(row["as_of"] for row in found)
    assert {row["id"] for row in found} == set(kept)
    for row in found:
        said = kept[row["id"]].said
        names = TARGETS[row["target"]].classes
        assert row["probabilities"] == dict(zip(names, said, strict=True) if names else {})
        assert row["label"] == (names[int(np.argmax(said))] if names else None)
        assert row["value"] == (None if names else said[0])
        assert row["as_of"] == format_time(kept[row["id"]].as_of)
    assert {row["target"] for row in found} == {"regime", "anomaly"}


async def test_answers_are_chosen_by_what_they_are_and_come_page_by_page(
    client: httpx.AsyncClient, store: DuckDBStore
) -> None:
    kept = [one for one in to_answers(store.read("answers")) if one.target == "regime"]
    chosen = {"target": "regime", "instrument": TRADED, "timeframe": "60s", "model": "hmm", "limit": "7"}
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await client.get("/v1/answers", params=chosen | cursor)).raise_for_status().json()
        seen = [row["id"] for row in page["items"]] + seen
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen == [one.id for one in kept]
    start, end = (format_time(kept[at].as_of) for at in (3, 9))
    some = (await client.get("/v1/answers", params=chosen | {"start": start, "end": end})).json()["items"]
    assert [row["id"] for row in some] == [one.id for one in kept[3:9]]
    for wrong in ({"timeframe": "5m"}, {"model": "ridge"}, {"target": "barrier"}):
        assert (await client.get("/v1/answers", params=chosen | wrong)).json()["items"] == []


def test_every_target_with_answers_of_its_own_can_be_asked_for() -> None:
    (listed,) = get_args(AnsweredTarget)[:1]
    assert set(get_args(listed)) == set(TARGETS) - {"return"}


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"target": "return"}, 422),
        ({"timeframe": "7m"}, 400),
        ({"instrument": "X.Y"}, 404),
        ({"start": "2024-01-02", "end": "2024-01-01"}, 400),
        ({"limit": "1000000000"}, 422),
    ],
)
async def test_wrong_questions_for_answers_are_refused(
    client: httpx.AsyncClient, asked: dict[str, str], status: int
) -> None:
    told = await client.get("/v1/answers", params=asked)
    assert told.status_code == status, told.text
    assert told.headers["content-type"] == "application/problem+json"


async def test_an_answer_that_is_not_stored_is_named(client: httpx.AsyncClient) -> None:
    told = await client.get(f"/v1/answers/{'0' * 32}")
    assert (told.status_code, told.json()["next_step"]) == (404, "list them with GET /v1/answers")


async def test_live_error_is_measured_against_saying_nothing_moves(
    client: httpx.AsyncClient, store: DuckDBStore
) -> None:
    found = (await client.get("/v1/predictions", params={"limit": 10_000})).json()["items"]
    known = [row for row in found if row["outcome"] and row["outcome"]["complete"]]
    came = np.array([row["outcome"]["value"] for row in known])
    said = np.array([row["value"] for row in known])
    (judged,) = (await client.get("/v1/errors", params={"instrument": TRADED})).json()["items"]
    assert (judged["predictions"], judged["horizon"]) == (len(known), "5m")
    assert judged["error"]["value"] == pytest.approx(np.abs(said - came).mean())
    assert judged["baseline"]["value"] == pytest.approx(np.abs(came).mean())
    assert judged["gain"]["low"] <= judged["gain"]["value"] <= judged["gain"]["high"]
    assert judged["edge"] == (judged["gain"]["low"] > 0)
    assert judged["inside"] == pytest.approx(np.mean([row["outcome"]["inside"] for row in known]))
    hits = [row["outcome"]["hit"] for row in known if row["outcome"]["hit"] is not None]
    assert judged["hit_rate"]["value"] == pytest.approx(np.mean(hits))


async def test_late_predictions_do_not_count(client: httpx.AsyncClient, store: DuckDBStore) -> None:
    before = (await client.get("/v1/errors")).json()["items"][0]
    made = store.read("predictions")
    late = made.set_column(made.schema.get_field_index("made_at"), "made_at", made["target_time"])
    store.upsert("predictions", late.slice(10, 20))
    after = (await client.get("/v1/errors")).json()["items"][0]
    assert after["excluded"] == before["excluded"] + 20
    assert after["predictions"] == before["predictions"] - 20


async def test_models_tell_who_answers_and_how_it_came_to(client: httpx.AsyncClient) -> None:
    found = (await client.get("/v1/models", params={"instrument": TRADED})).json()["items"]
    assert {row["target"] for row in found} == {"return", "direction", "direction3", "regime", "anomaly"}
    (one,) = (await client.get(f"/v1/models/{NAME}")).json()["items"]
    assert (one["status"], one["horizon"]) == ("champion", "5m")
    assert [event["event"].split()[0] for event in one["record"]["history"]] == ["registered", "promoted"]
