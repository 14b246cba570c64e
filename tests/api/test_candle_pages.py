"""Kept pages of candles are, byte for byte, what the store would answer now; whatever is committed meanwhile."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from random import Random
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.api.conftest import NOW, calling
from tests.stored import TRADED

from tapeline import wire
from tapeline.api import candle_pages, reads
from tapeline.api.app import create_app
from tapeline.api.candle_pages import Asked, CandlePages
from tapeline.api.params import Span
from tapeline.clock import MINUTE, ManualClock, format_time
from tapeline.config import Settings
from tapeline.hub import Hub
from tapeline.stores import rows
from tapeline.stores._duckdb_changes import Changes
from tapeline.stores._duckdb_reader import Reader
from tapeline.stores.duckdb import DuckDBStore
from tapeline.types import Records

PLAIN = {"Accept-Encoding": "identity"}
Change = Callable[[DuckDBStore, Records, Random], None]


class Counting:
    """Readers of a store, counted."""

    def __init__(self, store: DuckDBStore) -> None:
        self.store = store
        self.made = 0

    def __call__(self) -> Reader:
        self.made += 1
        return self.store.reader()


@pytest.fixture
def readers(store: DuckDBStore) -> Counting:
    return Counting(store)


@pytest.fixture
def app(readers: Counting, settings: Settings) -> FastAPI:
    return create_app(readers, Hub(), None, settings, clock=ManualClock(NOW))


def stored(store: DuckDBStore) -> Records:
    return rows.to_candles(store.read("candles", instrument=TRADED, timeframe="1m", source="trades"))


def next_ones(store: DuckDBStore, known: Records, random: Random) -> None:
    more = known[-random.randint(1, 3) :].copy()
    step = known["open_time"][-1] - more["open_time"][0] + MINUTE
    more["open_time"] += step
    more["close_time"] += step
    more["close"] *= 1 + random.random()
    store.append("candles", rows.from_candles(TRADED, "1m", more))


def another_old_one(store: DuckDBStore, known: Records, random: Random) -> None:
    at = random.randrange(len(known))
    changed = known[at : at + 1].copy()
    changed["volume"] += 1 + random.random()
    store.upsert("candles", rows.from_candles(TRADED, "1m", changed))


def old_and_next(store: DuckDBStore, known: Records, random: Random) -> None:
    with store.transaction():
        another_old_one(store, known, random)
        next_ones(store, known, random)


def fewer(store: DuckDBStore, known: Records, random: Random) -> None:
    at = max(60, len(known) - random.randint(1, 20))
    store.delete("candles", TRADED, start=int(known["open_time"][at]), timeframe="1m")


def other_timeframe(store: DuckDBStore, known: Records, random: Random) -> None:
    store.upsert("candles", rows.from_candles(TRADED, "5m", known[:3]))


def not_committed(store: DuckDBStore, known: Records, random: Random) -> None:
    def fail() -> None:
        with store.transaction():
            random.choice([another_old_one, next_ones])(store, known, random)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()


CHANGES: list[Change] = [next_ones, next_ones, another_old_one, old_and_next, fewer, other_timeframe, not_committed]


def spans(known: Records) -> list[dict[str, Any]]:
    times = [format_time(int(at)) for at in known["open_time"]]
    return [
        {"limit": 5},
        {"limit": 50},
        {},
        {"start": times[30]},
        {"limit": 10, "end": times[40]},
        {"limit": 10, "start": times[20], "end": "2024-01-01T23:00:00Z"},
    ]


@pytest.fixture(params=["remembers", "forgets"])
def forgetful(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that remembers what commits gave, or one that does not: then the database is asked."""
    if request.param == "forgets":
        monkeypatch.setattr(Changes, "given", lambda *_: None)


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("seed", range(2))
async def test_a_page_is_always_what_is_committed(
    client: httpx.AsyncClient, store: DuckDBStore, settings: Settings, seed: int
) -> None:
    random, asks = Random(seed), spans(stored(store))
    for _ in range(25):
        random.choice(CHANGES)(store, stored(store), random)
        for ask in random.sample(asks, 3):
            wanted = {"limit": 1000, "start": None, "end": None, "cursor": None} | ask
            with store.reader() as reader:
                document = reads.candles(reader, settings, TRADED, "1m", Span(**wanted), [])
            found = await client.get("/v1/candles", params={"instrument": TRADED, **ask}, headers=PLAIN)
            assert found.content == wire.encode(document)


async def test_it_is_read_again_only_after_a_change(
    client: httpx.AsyncClient, store: DuckDBStore, readers: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask: dict[str, Any] = {"instrument": TRADED, "limit": 20}
    first = await client.get("/v1/candles", params=ask, headers=PLAIN)
    small = await client.get("/v1/candles", params=ask, headers={"Accept-Encoding": "gzip"})
    made = readers.made
    for headers in (PLAIN, {"Accept-Encoding": "gzip"}):
        again = await client.get("/v1/candles", params=ask, headers=headers)
        assert (again.content, again.headers["etag"]) == (first.content, small.headers["etag"])
        had = await client.get("/v1/candles", params=ask, headers={**headers, "If-None-Match": again.headers["etag"]})
        assert (had.status_code, had.content) == (304, b"")
    other_timeframe(store, stored(store), Random(1))
    assert (await client.get("/v1/candles", params=ask, headers=PLAIN)).content == first.content
    assert readers.made == made
    next_ones(store, stored(store), Random(1))
    encoded: list[object] = []
    plainly = wire.encode

    def encode(value: object) -> bytes:
        encoded.append(value)
        return plainly(value)

    monkeypatch.setattr(wire, "encode", encode)
    grown = await client.get("/v1/candles", params=ask, headers=PLAIN)
    assert readers.made == made
    assert len(encoded) <= 4
    assert grown.json()["items"][-1]["open_time"] == format_time(int(stored(store)["open_time"][-1]))
    another_old_one(store, stored(store)[-3:], Random(1))
    await client.get("/v1/candles", params=ask, headers=PLAIN)
    assert readers.made == made + 1


async def test_pages_follow_each_other_by_cursor(client: httpx.AsyncClient, store: DuckDBStore) -> None:
    for _ in range(2):
        found: list[str] = []
        cursor: dict[str, str] = {}
        while cursor.get("cursor", "") is not None:
            page = (await client.get("/v1/candles", params={"instrument": TRADED, "limit": 7, **cursor})).json()
            found = [one["open_time"] for one in page["items"]] + found
            cursor = {"cursor": page["next"]}
        assert found == [format_time(int(at)) for at in stored(store)["open_time"]]
        next_ones(store, stored(store), Random(2))


async def test_what_is_folded_for_the_answer_is_not_kept(
    client: httpx.AsyncClient, store: DuckDBStore, app: FastAPI
) -> None:
    ask: dict[str, Any] = {"instrument": TRADED, "limit": 20}
    before = (await client.get("/v1/candles", params=ask)).json()
    state = store.read("states", instrument=TRADED).to_pylist()[0]
    store.upsert("states", rows.from_dicts("states", state | {"layout": f"stale: a test{state['layout']}"}))
    another_old_one(store, stored(store)[-3:], Random(1))
    for _ in range(2):
        after = (await client.get("/v1/candles", params=ask)).json()
        assert "not current" in after["note"]
        assert after["items"] == before["items"]
    assert not app.state.candle_pages._pages
    store.upsert("states", rows.from_dicts("states", state))
    assert (await client.get("/v1/candles", params=ask)).json()["items"] != before["items"]


async def test_a_database_opened_anew_is_read_anew(
    client: httpx.AsyncClient, store: DuckDBStore, readers: Counting
) -> None:
    ask: dict[str, Any] = {"instrument": TRADED, "limit": 20}
    before = (await client.get("/v1/candles", params=ask)).content
    store.close()
    with DuckDBStore(store.path, threads=1) as other:
        another_old_one(other, stored(other)[-3:], Random(1))
        readers.store = other
        assert (await client.get("/v1/candles", params=ask)).content != before


def test_a_commit_under_way_is_not_half_seen(store: DuckDBStore, settings: Settings) -> None:
    """A reader sees what is committed before that is told: what is old is not taken from before then."""
    asked = Asked.of(TRADED, "1m", Span(limit=20, start=None, end=None, cursor=None))
    with store.reader() as reader:
        page = candle_pages.read(reader, settings, asked, None, small=False)
    changed = stored(store)[-3:-2].copy()
    changed["volume"] += 1
    with store.transaction():
        store.changes.note("candles", rows.from_candles(TRADED, "1m", changed))
        with store.reader() as reader:
            assert candle_pages._grown(reader, page) is None


async def test_no_more_is_kept_than_is_allowed(app: FastAPI, store: DuckDBStore) -> None:
    size = len((await ask_all(app, 100)).content)
    pages = app.state.candle_pages = CandlePages(app.state.context, most_bytes=3 * size)
    for limit in (100, 20, 99, 5, 98, 97, 1):
        answer = await ask_all(app, limit)
        assert len(answer.json()["items"]) == limit
        assert pages._bytes == sum(page.size() for page in pages._pages.values()) <= 3 * size
    assert [asked.limit for asked in pages._pages][-1] == 1


async def ask_all(app: FastAPI, limit: int) -> httpx.Response:
    async with calling(app) as client:
        return await client.get("/v1/candles", params={"instrument": TRADED, "limit": limit}, headers=PLAIN)


async def test_a_running_candle_is_added_to_what_is_kept(
    client: httpx.AsyncClient, app: FastAPI, store: DuckDBStore
) -> None:
    ask: dict[str, Any] = {"instrument": TRADED, "limit": 5}
    before = (await client.get("/v1/candles", params=ask)).json()["items"]
    running = stored(store)[-1:].copy()
    running["open_time"] += MINUTE
    running["close_time"] += MINUTE
    app.state.context.hub.running = lambda *_: wire.candles(TRADED, "1m", running, closed=False)
    after = (await client.get("/v1/candles", params={**ask, "include_running": "true"})).json()["items"]
    assert after[:-1] == before
    assert (after[-1]["closed"], after[-1]["open_time"]) == (False, format_time(int(running["open_time"][0])))


async def test_what_is_small_is_what_is_not(client: httpx.AsyncClient) -> None:
    ask: dict[str, Any] = {"instrument": TRADED, "limit": 50}
    plain = await client.get("/v1/candles", params=ask, headers=PLAIN)
    async with client.stream("GET", "/v1/candles", params=ask, headers={"Accept-Encoding": "gzip"}) as small:
        raw = b"".join([part async for part in small.aiter_raw()])
    assert (small.headers["content-encoding"], gzip.decompress(raw)) == ("gzip", plain.content)
