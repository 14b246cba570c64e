from __future__ import annotations

import pytest

from tapeline.errors import UsageError
from tapeline.stores.duckdb import DuckDBStore
from tapeline.testing.stores import some_trades


@pytest.mark.parametrize(
    "text",
    [
        f"{verb} trades"
        for verb in ("FROM", "TABLE", "DESCRIBE", "SUMMARIZE", "EXPLAIN FROM", "WITH a AS (SELECT 1) FROM")
    ]
    + ["SHOW TABLES", "SELECT count(*) FROM trades;", "VALUES (1)"],
)
def test_sql_that_reads_is_answered(store: DuckDBStore, text: str) -> None:
    store.append("trades", some_trades())
    assert len(store.sql(text)) > 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("DELETE FROM trades", "DELETE is not allowed: expected a SELECT"),
        ("INSERT INTO gaps VALUES ('a', 1, 2, 'open')", "INSERT is not allowed"),
        ("SELECT 1; DROP TABLE trades", "is not one statement: expected one, was 2"),
        ("", "is not one statement: expected one, was 0"),
        ("PRAGMA database_size", "PRAGMA is not allowed"),
        ("ATTACH ':memory:' AS x", "ATTACH is not allowed"),
        ("COPY trades TO '/tmp/x'", "COPY is not allowed"),
        ("SET threads = 1", "SET is not allowed"),
        ("CHECKPOINT", "CALL is not allowed"),
        ("EXPLAIN ANALYZE DELETE FROM trades", "read-only mode"),
        ("WITH x AS (DELETE FROM trades RETURNING trade_id) SELECT * FROM x", "read-only mode"),
        ("SELECT * FROM read_csv('/etc/hostname')", "disabled by configuration"),
        ("SELECT * FROM '/etc/hostname'", "sql: "),
        ("SELECT * FROM glob('/*')", "disabled by configuration"),
        ("SELEC 1", "Parser Error: syntax error"),
        ("SELECT nothing FROM trades", 'Referenced column "nothing" not found'),
        ("SELECT 'x'::INT", "Could not convert string 'x'"),
    ],
)
def test_sql_that_writes_or_errs_is_refused(store: DuckDBStore, text: str, problem: str) -> None:
    store.append("trades", some_trades())
    with pytest.raises(UsageError) as caught:
        store.sql(text)
    assert problem in str(caught.value)
    assert len(store.read("trades")) == 3


def test_sql_limits_its_rows_and_sees_what_is_committed(store: DuckDBStore) -> None:
    store.append("trades", some_trades(1, 3))
    assert store.sql("SELECT trade_id FROM trades ORDER BY 1 DESC", limit=2)["trade_id"].to_pylist() == [3, 2]
    assert len(store.sql("FROM range(100000)", limit=70_000)) == 70_000
    assert len(store.sql("SELECT 1", limit=0)) == 0
    with store.transaction():
        store.append("trades", some_trades(4, 3))
        assert store.sql("SELECT count(*) AS n FROM trades")["n"].to_pylist() == [3]
        assert len(store.read("trades")) == 6
