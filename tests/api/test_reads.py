"""What is stored, over /v1: the rows of the store, the same rules in every route."""

from __future__ import annotations

import gzip
from typing import Any

import httpx
import numpy as np
import pytest
from tests.stored import SETTINGS, START, TRADED

from tapeline import query
from tapeline.clock import DAY, MINUTE, format_time
from tapeline.stores import rows
from tapeline.stores.duckdb import DuckDBStore


async def rows_of(client: httpx.AsyncClient, path: str, **asked: Any) -> list[dict[str, Any]]:
    """Return all rows, page by page."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await client.get(path, params={**asked, **cursor})).raise_for_status().json()
        assert len(page["items"]) <= asked.get("limit", 1000)
        found = page["items"] + found
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}


async def test_candles_are_those_of_the_store(client: httpx.AsyncClient, store: DuckDBStore) -> None:
    stored = query.candles(store, SETTINGS, TRADED, "1m").records
    found = await rows_of(client, "/v1/candles", instrument=TRADED, limit=25)
    assert [row["open_time"] for row in found] == [format_time(int(at)) for at in stored["open_time"]]
    for name in ("open", "high", "low", "close", "volume", "vwap", "realized_vol"):
        assert np.array([row[name] for row in found], float) == pytest.approx(stored[name], nan_ok=True)
    assert {(row["instrument"], row["timeframe"], row["closed"]) for row in found} == {(TRADED, "1m", True)}
    assert not found[0]["complete"]
    assert all(row["complete"] for row in found[1:])


async def test_candles_of_a_timeframe_that_is_not_stored_are_folded(client: httpx.AsyncClient) -> None:
    found = await rows_of(client, "/v1/candles", instrument=TRADED, timeframe="10m", limit=4)
    assert [row["open_time"] for row in found] == [format_time(START + at * 10 * MINUTE) for at in range(len(found))]
    assert len(found) > 10


async def test_candles_that_others_made_say_so(client: httpx.AsyncClient) -> None:
    found = await rows_of(client, "/v1/candles", instrument="ETH-USD.SIM")
    assert [(row["source"], row["trades"], row["vwap"]) for row in found] == [("imported", None, None)] * 4


@pytest.mark.parametrize("path", ["candles", "trades", "features?set=bars", "predictions"])
async def test_start_is_in_and_end_is_out_and_limit_takes_the_newest(client: httpx.AsyncClient, path: str) -> None:
    time = {"c": "open_time", "t": "ts_event", "f": "as_of", "p": "as_of"}[path[0]]
    every = await rows_of(client, f"/v1/{path}", instrument=TRADED, limit=10_000)
    start, end = every[10][time], every[20][time]
    some = await rows_of(client, f"/v1/{path}", instrument=TRADED, start=start, end=end)
    assert [row[time] for row in some] == [row[time] for row in every if start <= row[time] < end]
    page = await client.get(f"/v1/{path}", params={"instrument": TRADED, "start": start, "end": end, "limit": 3})
    assert [row[time] for row in page.json()["items"]] == [row[time] for row in some[-3:]]


async def test_pages_hold_every_trade_once(client: httpx.AsyncClient, store: DuckDBStore) -> None:
    found = await rows_of(client, "/v1/trades", instrument=TRADED, limit=777)
    stored = store.read("trades", instrument=TRADED)
    assert [row["trade_id"] for row in found] == stored["trade_id"].to_pylist()
    assert [row["price"] for row in found] == stored["price"].to_pylist()
    assert {row["side"] for row in found} == {"BUY", "SELL"}


async def test_trades_of_one_instant_are_paged_whole(client: httpx.AsyncClient, store: DuckDBStore) -> None:
    from tapeline.stores import rows
    from tapeline.types import Frame

    at = START + DAY
    frame = Frame.of(TRADED, trade_id=range(50_000, 50_010), ts_event=[at] * 10, price=[1.0] * 10, qty=[1.0] * 10)
    store.append("trades", rows.from_frame(frame))
    found = await rows_of(client, "/v1/trades", instrument=TRADED, start=format_time(at), limit=3)
    assert [row["trade_id"] for row in found] == list(range(50_000, 50_010))


async def test_features_have_names_and_null_where_unknown(client: httpx.AsyncClient) -> None:
    found = await rows_of(client, "/v1/features", instrument=TRADED, set="bars")
    assert list(found[0]["values"]) == ["return_1", "ma_5", "ma_10", "vol_5", "vol_10", "range"]
    assert found[0]["values"]["ma_10"] is None
    assert found[-1]["values"]["ma_10"] > 0
    assert len({row["version"] for row in found}) == 1


async def test_instruments_tell_what_is_held(client: httpx.AsyncClient) -> None:
    (btc, eth) = (await client.get("/v1/instruments")).json()["items"]
    assert (btc["instrument"], btc["rows"], btc["simulated"], btc["completeness"]) == (
        TRADED,
        15_000,
        True,
        "proven by ids",
    )
    assert btc["timeframes"] == ["1m", "5m"]
    assert (eth["holds"], eth["timeframes"]) == ("candles 1m", ["1m"])


async def test_late_dead_and_gaps(client: httpx.AsyncClient) -> None:
    late = await rows_of(client, "/v1/late", instrument=TRADED)
    assert [(row["trade_id"], row["reason"]) for row in late] == [
        (900_001, "its moment had passed"),
        (900_002, "its moment had passed"),
    ]
    (letter,) = await rows_of(client, "/v1/dead-letters")
    assert (letter["raw"], letter["reason"]) == ("\\xff{", "no price")
    (gap,) = (await client.get("/v1/gaps")).json()["items"]
    assert (gap["count"], gap["status"]) == (5, "healed")


async def test_quality_counts_days_and_what_was_dropped(client: httpx.AsyncClient) -> None:
    (found,) = (await client.get("/v1/quality", params={"instrument": TRADED})).json()["items"]
    (day,) = found["days"]
    assert (day["day"], day["candles"] - day["complete"]) == ("2024-01-01", 1)
    assert day["trades"] < 15_000
    assert (found["late"], found["dead_letters"], found["duplicates"]) == (2, 1, None)


async def test_an_answer_is_packed_and_tagged(client: httpx.AsyncClient) -> None:
    url = f"/v1/candles?instrument={TRADED}"
    async with client.stream("GET", url, headers={"Accept-Encoding": "gzip"}) as answer:
        raw = b"".join([part async for part in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    assert b"open_time" in gzip.decompress(raw)
    again = await client.get(url, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = await client.get(url + "&limit=3", headers={"If-None-Match": answer.headers["etag"]})
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        (f"candles?instrument={TRADED}&limit=0", 422, "greater than or equal to 1"),
        (f"candles?instrument={TRADED}&limit=1000000000", 422, "less than or equal to 10000"),
        (f"candles?instrument={TRADED}&limit=x", 422, "integer"),
        (f"candles?instrument={TRADED}&start=yesterday", 422, "RFC 3339, such as 2024-08-09"),
        (f"candles?instrument={TRADED}&start=2024-02-30", 400, "start: cannot be read: expected RFC 3339"),
        (f"candles?instrument={TRADED}&start=9999-01-01", 400, "2262"),
        (f"candles?instrument={TRADED}&start=2024-01-02&end=2024-01-01", 400, "start: is not before end"),
        (f"candles?instrument={TRADED}&timeframe=7m", 400, "divides a day"),
        (f"candles?instrument={TRADED}&timeframe=minute", 422, "timeframe"),
        (f"candles?instrument={TRADED}&cursor=AAAA", 400, "cursor"),
        (f"trades?instrument={TRADED}&cursor=WzFd", 400, "cursor"),
        (f"candles?instrument={TRADED}&instrumnt=x", 422, "instrumnt"),
        (f"candles?instrument={TRADED}&instrument=X.Y", 422, f"one value, was '{TRADED}, X.Y'"),
        ("gaps?cursor=WzFd", 400, "cursor: is of another route"),
        (f"gaps?instrument={TRADED}&start=2024-01-02&end=2024-01-01", 400, "start: is not before end"),
        (f"anomalies?instrument={TRADED}&start=2024-01-02&end=2024-01-01", 400, "start: is not before end"),
        ("candles", 422, "instrument: is missing"),
        ("candles?instrument=btc", 422, "instrument"),
        ("candles?instrument=DOGE-USD.SIM", 404, TRADED),
        ("late?instrument=DOGE-USD.SIM", 404, TRADED),
        ("models?instrument=DOGE-USD.SIM", 404, TRADED),
        ("runs?instrument=DOGE-USD.SIM", 404, TRADED),
        (f"features?instrument={TRADED}&set=none", 404, "bars"),
        ("predictions/ffffff", 404, "prediction ffffff"),
        ("predictions/zzz", 422, "id"),
        ("models/none", 404, "is not registered"),
        ("nothing", 404, "GET /v1/nothing"),
    ],
)
async def test_bad_questions_are_answered_with_what_is_wrong(
    client: httpx.AsyncClient, path: str, status: int, says: str
) -> None:
    answer = await client.get(f"/v1/{path}")
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert says in problem["detail"], problem["detail"]
    assert problem["status"] == status
    assert problem["title"]
    assert problem["where"]


async def test_an_error_tells_no_path_and_no_stack(client: httpx.AsyncClient, store: DuckDBStore) -> None:
    store.close()
    answer = await client.get("/v1/instruments")
    assert answer.status_code == 503
    assert str(store.path.parent) not in answer.text
    assert "Traceback" not in answer.text


async def test_a_bug_is_told_without_its_words(app: Any, client: httpx.AsyncClient) -> None:
    def broken() -> None:
        raise ZeroDivisionError("secret of the machine")

    app.state.context.readers = broken
    answer = await client.get("/v1/instruments")
    assert answer.status_code == 500
    assert "bug in Tapeline" in answer.json()["detail"]
    assert "secret" not in answer.text


async def test_a_gap_is_placed_in_time_by_the_trades_beside_it(client: httpx.AsyncClient, store: DuckDBStore) -> None:
    stored = store.read("trades", instrument=TRADED).slice(100, 3)
    first, missing, last = stored["trade_id"].to_pylist()
    assert (first, missing, last) == (missing - 1, missing, missing + 1)
    row = {"instrument": TRADED, "first_missing": missing, "last_missing": missing, "status": "open"}
    store.upsert("gaps", rows.from_dicts("gaps", row))
    found = await rows_of(client, "/v1/gaps", instrument=TRADED)
    begun, _, ended = (format_time(at) for at in stored["ts_event"].to_pylist())
    assert {(gap["status"], gap["from_time"], gap["to_time"]) for gap in found} == {
        ("open", begun, ended),
        ("healed", None, None),
    }


async def test_gaps_are_paged_by_id_and_found_by_time(client: httpx.AsyncClient, store: DuckDBStore) -> None:
    stored = store.read("trades", instrument=TRADED)
    ids, times = stored["trade_id"].to_pylist(), stored["ts_event"].to_pylist()
    places = [100, 200, 300, 400]
    for place in places:
        row = {"instrument": TRADED, "first_missing": ids[place], "last_missing": ids[place], "status": "open"}
        store.upsert("gaps", rows.from_dicts("gaps", row))
    found = await rows_of(client, "/v1/gaps", limit=2)
    assert [gap["first_missing"] for gap in found] == [*(ids[place] for place in places), 70_000]
    inside = {"start": format_time(times[200]), "end": format_time(times[350])}
    touched = await rows_of(client, "/v1/gaps", instrument=TRADED, limit=1, **inside)
    assert [gap["first_missing"] for gap in touched] == [ids[200], ids[300]]
