"""Read-only SQL: what it answers, and the known ways out that it refuses."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from tests.api.conftest import calling
from tests.stored import SETTINGS

from tapeline.api import sql
from tapeline.api.app import create_app
from tapeline.errors import UsageError
from tapeline.hub import Hub
from tapeline.stores._duckdb_reader import Reader
from tapeline.stores.duckdb import DuckDBStore


async def ask(client: httpx.AsyncClient, query: str, **more: Any) -> httpx.Response:
    return await client.post("/v1/sql", json={"query": query, **more})


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT count(*) FROM trades", [[15_000]]),
        ("FROM (SELECT DISTINCT instrument FROM candles) ORDER BY 1", [["BTC-USD.SIM"], ["ETH-USD.SIM"]]),
        ("WITH last AS (SELECT max(trade_id) AS m FROM trades) SELECT m FROM last", [[15_000]]),
        ("SELECT count(*) > 0 FROM features_bars", [[True]]),
        ("SELECT a.x FROM range(3) AS a(x) JOIN generate_series(1, 2) AS b(y) ON a.x = b.y ORDER BY 1", [[1], [2]]),
        ("SELECT unnest([1, 2])", [[1], [2]]),
        ("SELECT min(ts_event) FROM trades WHERE trade_id = 1", [["2024-01-01T00:00:00.293984+00:00"]]),
        ("SELECT 'NaN'::DOUBLE, {'a': [1.5]}, '\\xFF'::BLOB", [[None, {"a": [1.5]}, "\\xff"]]),
    ],
)
async def test_selects_over_our_tables_are_answered(client: httpx.AsyncClient, query: str, rows: list[Any]) -> None:
    answer = await ask(client, query)
    assert answer.status_code == 200, answer.text
    assert answer.json()["rows"] == rows


async def test_rows_are_limited_and_the_answer_says_so(client: httpx.AsyncClient) -> None:
    found = (await ask(client, "SELECT trade_id FROM trades ORDER BY 1", limit=3)).json()
    assert found == {"columns": ["trade_id"], "rows": [[1], [2], [3]], "truncated": True}
    assert (await ask(client, "SELECT 1", limit=10**9)).status_code == 400


ESCAPES = [
    "DELETE FROM trades",
    "INSERT INTO trades SELECT * FROM trades",
    "UPDATE candles SET close = 0",
    "CREATE TABLE x AS SELECT 1",
    "DROP TABLE trades",
    "ATTACH '/tmp/x.db'",
    "DETACH memory",
    "COPY trades TO '/tmp/x.csv'",
    "COPY (SELECT 1) TO '/tmp/x.parquet'",
    "EXPORT DATABASE '/tmp/x'",
    "IMPORT DATABASE '/tmp/x'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "RESET ALL",
    "PRAGMA database_list",
    "PRAGMA enable_profiling",
    "CALL pragma_version()",
    "CHECKPOINT",
    "VACUUM",
    "BEGIN",
    "COMMIT; DELETE FROM trades",
    "SELECT 1; DELETE FROM trades",
    "SELECT 1; SELECT 2",
    "EXPLAIN ANALYZE DELETE FROM trades",
    "PREPARE x AS SELECT 1",
    "EXECUTE x",
    "USE memory",
    "SHOW DATABASES",
    "SHOW TABLES",
    "DESCRIBE trades",
    "SUMMARIZE trades",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM 'x.csv'",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_csv_auto('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM read_parquet('/etc/passwd')",
    "SELECT * FROM read_json('http://192.0.2.1/x')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM parquet_metadata('/etc/passwd')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_databases()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_logs()",
    "SELECT * FROM duckdb_tables()",
    "SELECT * FROM pragma_database_list()",
    "SELECT * FROM pragma_storage_info('trades')",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM pg_catalog.pg_settings",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM system.information_schema.tables",
    "SELECT * FROM query('DELETE FROM trades')",
    "SELECT * FROM query_table('duckdb_settings')",
    "SELECT current_setting('temp_directory')",
    "SELECT getenv('HOME')",
    "SELECT getvariable('x')",
    "SELECT version()",
    "SELECT (SELECT current_setting('temp_directory'))",
    "SELECT 1 WHERE EXISTS (SELECT * FROM duckdb_settings())",
    "WITH trades AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM trades",
    "SELECT repeat('x', 1000000000)",
    "SELECT lpad('x', 1000000000, 'y')",
    "SELECT range(1000000000)",
    "SELECT text FROM text",
    "SELECT * FROM rows",
    "SELECT * FROM ESCAPES",
    "PIVOT trades ON side USING count(*)",
    "",
    ";",
    "SELECT",
    "-- nothing",
    "\x00SELECT 1",
]


@pytest.mark.parametrize("escape", ESCAPES)
async def test_known_ways_out_are_refused(client: httpx.AsyncClient, store: DuckDBStore, escape: str) -> None:
    answer = await ask(client, escape)
    assert answer.status_code == 400, answer.text
    assert "root:" not in answer.text
    assert str(store.path.parent) not in answer.text
    assert store.sql("SELECT count(*) AS n FROM trades")["n"].to_pylist() == [15_000]
    assert not Path("/tmp/x.csv").exists()


async def test_a_long_question_is_stopped(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "SECONDS", 0.2)
    answer = await ask(
        client, "SELECT count(*) FROM trades a, trades b, trades c WHERE sin(a.price + b.price) < sin(c.price)"
    )
    assert answer.status_code == 400, answer.text
    assert "takes too long" in answer.json()["detail"]
    assert (await ask(client, "SELECT 1")).json()["rows"] == [[1]]
    assert all(one.finished.is_set() for one in threading.enumerate() if isinstance(one, threading.Timer))


async def test_a_large_answer_is_refused(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "MOST_BYTES", 1000)
    answer = await ask(client, "SELECT * FROM trades")
    assert (answer.status_code, "gives too much" in answer.json()["detail"]) == (400, True)


async def test_it_is_off_unless_asked_for(store: DuckDBStore) -> None:
    async with calling(create_app(store.reader, Hub(), None, SETTINGS)) as client:
        answer = await ask(client, "SELECT 1")
    assert answer.status_code == 403
    assert "TAPELINE_SQL" in answer.json()["next_step"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("DROP TABLE trades", "is not one SELECT: expected one SELECT, was 'DROP TABLE trades'"),
        ("SELEC 1", "cannot be read (syntax error"),
        ("SELECT price FRM trades", "was 'SELECT price FRM trades'"),
    ],
)
async def test_what_was_asked_is_told(client: httpx.AsyncClient, query: str, says: str) -> None:
    answer = await ask(client, query)
    assert (answer.status_code, says in answer.json()["detail"]) == (400, True), answer.text


async def test_more_memory_than_is_left_is_told_without_advice_that_cannot_be_taken(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        try:
            raise duckdb.OutOfMemoryException("failed to allocate; SET threads=1")
        except duckdb.Error as error:
            raise UsageError("sql", str(error)) from error

    monkeypatch.setattr(Reader, "sql_on", fail)
    answer = await ask(client, "SELECT list(price) FROM trades")
    assert (answer.status_code, "needs more memory" in answer.json()["detail"]) == (400, True)
    assert "SET" not in answer.text
