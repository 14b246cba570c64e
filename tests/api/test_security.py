"""Who may ask what: loopback, token, host, origin, rate, size; and the headers of every answer."""

from __future__ import annotations

import asyncio
import logging

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from tests.api.conftest import NAME, TOKEN, Live, calling
from tests.stored import TRADED

from tapeline.api.app import create_app
from tapeline.api.server import listen, serving
from tapeline.config import Settings
from tapeline.errors import UsageError
from tapeline.hub import Hub
from tapeline.registry import Registry
from tapeline.stores.duckdb import DuckDBStore

BEARER = {"Authorization": f"Bearer {TOKEN}"}
ELSEWHERE = "192.0.2.7"


def version_of(store: DuckDBStore) -> str:
    return next(entry.version for entry in Registry(store).entries() if entry.name == NAME)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])
def test_other_machines_are_not_served_without_a_token(store: DuckDBStore, settings: Settings, host: str) -> None:
    open_to_all = settings.model_copy(update={"host": host, "token": SecretStr("")})
    with pytest.raises(UsageError, match="settings host: is open to others"):
        create_app(store.reader, Hub(), None, open_to_all)


async def test_who_hangs_up_in_the_middle_of_a_body_leaves_no_trace(
    app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    listening = listen("127.0.0.1", 0)
    async with serving(app, listening):
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        head = b"POST /predict/direction HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head + b"2\r\n{}\r\n")
        await writer.drain()
        writer.write(b"no chunk\r\n")
        writer.write_eof()
        await reader.read()
        writer.close()
        await writer.wait_closed()
    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("given", [None, "", "Bearer", f"Bearer {TOKEN}x", "Bearer ümlaut", f"Basic {TOKEN}x"])
@pytest.mark.parametrize("write", [f"models/{NAME}/promote", f"models/{NAME}/rollback", f"gaps/{TRADED}/heal"])
async def test_a_write_asks_for_the_token(client: httpx.AsyncClient, live: Live, write: str, given: str | None) -> None:
    headers = {} if given is None else {"Authorization": given.encode()}
    answer = await client.post(f"/v1/{write}", headers=headers, json={"version": "v"})  # type: ignore[arg-type]
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert live.healed == []


async def test_without_a_token_in_the_settings_nothing_is_written(
    store: DuckDBStore, live: Live, settings: Settings
) -> None:
    app = create_app(store.reader, Hub(), live, settings.model_copy(update={"token": SecretStr("")}))
    async with calling(app) as client:
        for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer x"}):
            answer = await client.post(f"/v1/gaps/{TRADED}/heal", headers=headers)
            assert answer.status_code == 403
            assert "TAPELINE_TOKEN" in answer.json()["next_step"]


async def test_the_token_lets_models_be_promoted_and_rolled_back(
    client: httpx.AsyncClient, store: DuckDBStore, live: Live
) -> None:
    version = version_of(store)
    answer = await client.post(f"/v1/models/{NAME}/promote", headers=BEARER, json={"version": version})
    assert answer.json() == {"done": "promoted", "name": NAME, "version": version}
    unknown = await client.post(f"/v1/models/{NAME}/promote", headers=BEARER, json={"version": "nope"})
    assert (unknown.status_code, version in unknown.text) == (404, True)
    assert (await client.post("/v1/models/none/rollback", headers=BEARER)).status_code == 404
    assert (await client.post(f"/v1/models/{NAME}/rollback", headers=BEARER)).status_code == 400
    assert (await client.post(f"/v1/gaps/{TRADED}/heal", headers=BEARER)).status_code == 200
    assert (await client.post("/v1/gaps/DOGE-USD.SIM/heal", headers=BEARER)).status_code == 404
    assert live.healed == [TRADED]


async def test_a_stored_database_is_not_changed(store: DuckDBStore, settings: Settings) -> None:
    app = create_app(store.reader, Hub(), None, settings)
    async with calling(app) as client:
        answer = await client.post(f"/v1/gaps/{TRADED}/heal", headers=BEARER)
    assert (answer.status_code, answer.json()["state"]) == (503, {"live": False})


@pytest.mark.parametrize("path", ["/v1/status", "/v1/sql", "/openapi.json", "/metrics", "/predict/direction"])
async def test_another_machine_must_show_the_token(app: FastAPI, path: str) -> None:
    async with calling(app, ELSEWHERE) as client:
        assert (await client.get(path)).status_code == 401
        assert (await client.get(path, headers=BEARER)).status_code != 401
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/")).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8787", ""])
async def test_a_foreign_name_that_points_here_is_refused(app: FastAPI, host: str) -> None:
    async with calling(app) as client:
        assert (await client.get("/v1/status", headers={"Host": host})).status_code == 421


@pytest.mark.parametrize("host", ["localhost:8787", "127.0.0.1", "[::1]:8787"])
async def test_our_own_names_are_served(app: FastAPI, host: str) -> None:
    async with calling(app) as client:
        assert (await client.get("/v1/status", headers={"Host": host})).status_code == 200


async def test_a_client_may_ask_only_so_often(
    store: DuckDBStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(store.reader, Hub(), None, settings.model_copy(update={"rate_limit": 5}))
    async with calling(app) as client, calling(app, "127.0.0.2") as other:
        for now, allowed in ((1.0, 10), (2.0, 5)):
            monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda now=now: now)
            codes = [(await client.get("/health")).status_code for _ in range(12)]
            assert codes == [200] * allowed + [429] * (12 - allowed)
        assert (await other.get("/health")).status_code == 200


async def test_bodies_and_queries_have_a_limit(client: httpx.AsyncClient) -> None:
    large = b'{"query":"' + b"x" * (1 << 20) + b'"}'
    assert (await client.post("/v1/sql", content=large)).status_code == 413

    async def endless() -> object:
        for _ in range(40):
            yield b"x" * (1 << 16)

    assert (await client.post("/v1/sql", content=endless())).status_code == 413  # type: ignore[arg-type]
    assert (await client.get("/v1/status?" + "x" * 10_000)).status_code == 414
    assert (await client.post("/predict/direction", content=large)).status_code == 413
    assert (await client.post("/predict/direction", content=endless())).status_code == 413  # type: ignore[arg-type]
    assert (await client.post("/predict/direction?" + "x" * 10_000)).status_code == 414


async def test_of_a_header_given_twice_the_first_counts(app: FastAPI) -> None:
    for hosts, status in ((("evil.example", "127.0.0.1"), 421), (("127.0.0.1", "evil.example"), 200)):
        async with calling(app) as client:
            headers = [("Host", host) for host in hosts]
            assert (await client.get("/v1/status", headers=headers)).status_code == status


@pytest.mark.parametrize("path", ["/", "/docs", "/v1/status", "/v1/nothing", "/metrics", "/openapi.json"])
async def test_every_answer_has_the_security_headers(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert "script-src 'self';" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "server" not in headers


async def test_pages_have_no_inline_script_and_no_foreign_address(client: httpx.AsyncClient) -> None:
    for path in ("/", "/docs"):
        text = (await client.get(path)).text
        assert "<script>" not in text
        assert "onclick" not in text
        assert 'src="http' not in text
        assert 'href="http' not in text


async def test_browsers_of_other_origins_may_call_where_the_settings_say_so(
    store: DuckDBStore, settings: Settings
) -> None:
    origin = {"Origin": "https://friend.example"}
    for cors, allowed in ((("https://friend.example",), "https://friend.example"), ((), None)):
        app = create_app(store.reader, Hub(), None, settings.model_copy(update={"cors": cors}))
        async with calling(app) as client:
            answer = await client.get("/health", headers=origin)
            assert answer.headers.get("access-control-allow-origin") == allowed
