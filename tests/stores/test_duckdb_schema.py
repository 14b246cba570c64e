from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from tapeline.errors import SchemaMismatch, StoreError
from tapeline.stores import _duckdb_schema as schema
from tapeline.stores.base import KINDS
from tapeline.stores.duckdb import DuckDBStore
from tapeline.testing.stores import some_trades


@pytest.mark.parametrize(
    ("kind", "column"),
    sorted({(name, time) for name, kind in KINDS.items() for time in (kind.time, kind.known_at) if time is not None}),
)
def test_every_time_is_a_timestamptz(store: DuckDBStore, kind: str, column: str) -> None:
    named = f"table_name = '{kind}' AND column_name = '{column}'"
    answer = store.sql(f"SELECT data_type FROM duckdb_columns() WHERE {named}")
    assert answer["data_type"].to_pylist() == ["TIMESTAMP WITH TIME ZONE"]


def test_a_newer_schema_is_refused(store: DuckDBStore, path: Path) -> None:
    store.close()
    _execute(path, "UPDATE tapeline_schema SET version = 9")
    with pytest.raises(SchemaMismatch, match=r"schema is newer: expected version 3 or older, was 9; update Tapeline"):
        DuckDBStore(path)


def test_other_tables_of_the_same_version_are_refused(store: DuckDBStore, path: Path) -> None:
    store.close()
    _execute(path, "UPDATE tapeline_schema SET layout = 'old'")
    with pytest.raises(SchemaMismatch, match="tables differ within one version"):
        DuckDBStore(path)


def test_a_database_of_something_else_is_refused(path: Path) -> None:
    _execute(path, "CREATE TABLE accounts (a INTEGER)")
    with pytest.raises(SchemaMismatch, match="something else: expected Tapeline's tables, was 'accounts'"):
        DuckDBStore(path)
    with duckdb.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM duckdb_tables()").fetchall() == [(1,)]


def test_an_older_schema_is_migrated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with DuckDBStore(path) as old:
        old.append("trades", some_trades())
        old.append("gaps", _gap(7))
    _execute(path, "ALTER TABLE gaps DROP COLUMN status; UPDATE tapeline_schema SET layout = 'of version 1'")

    def give_gaps_a_status(connection: schema.Connection) -> None:
        connection.execute("ALTER TABLE gaps ADD COLUMN status VARCHAR DEFAULT 'open'")

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, give_gaps_a_status))
    with pytest.raises(SchemaMismatch, match=r"must be upgraded: expected version 4, was 3; open it once for writing"):
        DuckDBStore(path, read_only=True)
    for _ in range(2):
        with DuckDBStore(path) as new:
            assert new.read("gaps").to_pylist() == _gap(7).to_pylist()
            assert len(new.read("trades")) == 3
            assert new.sql("SELECT version FROM tapeline_schema")["version"].to_pylist() == [4]


@pytest.mark.parametrize(("version", "lacking"), [(1, ("answers", "shadow_answers")), (2, ("shadow_answers",))])
def test_an_older_database_gets_the_tables_it_lacks(path: Path, version: int, lacking: tuple[str, ...]) -> None:
    with DuckDBStore(path) as old:
        old.append("trades", some_trades())
    dropped = "; ".join(f"DROP TABLE {name}" for name in lacking)
    _execute(path, f"{dropped}; UPDATE tapeline_schema SET version = {version}, layout = 'of an older version'")
    with DuckDBStore(path) as new:
        assert [len(new.read(name)) for name in (*lacking, "trades")] == [*(0 for _ in lacking), 3]


def test_a_failing_migration_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DuckDBStore(path).close()

    def fail(connection: schema.Connection) -> None:
        connection.execute("DROP TABLE gaps")
        connection.execute("DROP TABLE nothing")

    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, fail))
        with pytest.raises(StoreError, match="nothing"):
            DuckDBStore(path)
    with DuckDBStore(path) as store:
        assert len(store.read("gaps")) == 0


def _gap(first: int) -> pa.Table:
    row = {"instrument": "BTC-USD.SIM", "first_missing": first, "last_missing": first, "status": "open"}
    return pa.Table.from_pylist([row], KINDS["gaps"].schema)


def _execute(path: Path, text: str) -> None:
    with duckdb.connect(path) as connection:
        connection.execute(text)
