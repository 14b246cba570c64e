"""Around every command: shared options, exit codes, errors in one form, nothing but the result on stdout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from tests.cli.conftest import Tapeline
from tests.stored import TRADED

from tapeline import cli
from tapeline.cli.commands import sql

COMMAND = [sys.executable, "-m", "tapeline"]


def names() -> list[str]:
    return cli.tapeline.list_commands(click.Context(cli.tapeline))


def test_every_module_is_a_command_with_help_and_the_shared_options(tapeline: Tapeline) -> None:
    assert {"candles", "features", "import", "sql", "export", "doctor", "verify"} <= set(names())
    for name in names():
        shown = tapeline(name, "--help")
        assert (shown.code, shown.err) == (0, "")
        assert f"Usage: tapeline {name} " in shown.out
        command = cli.tapeline.get_command(click.Context(cli.tapeline), name)
        assert command
        assert {"db", "json", "quiet"} <= {parameter.name for parameter in command.params}


@pytest.mark.parametrize("before", [True, False])
def test_shared_options_stand_before_or_after_the_command(tapeline: Tapeline, folder: Path, before: bool) -> None:
    (folder / "tapeline.duckdb").rename(folder / "other.duckdb")
    shared, rest = ["--db", "other.duckdb", "--json", "--quiet"], ["candles", TRADED, "--limit", "1"]
    found = tapeline(*(shared + rest if before else rest + shared))
    assert (found.code, found.err, len(found.json)) == (0, "", 1)


def test_the_environment_names_the_database_and_the_option_wins(
    tapeline: Tapeline, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAPELINE_DB", str(folder / "absent.duckdb"))
    assert "absent.duckdb: is missing" in tapeline("instruments").err
    assert tapeline("instruments", "--db", "tapeline.duckdb").code == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["bogus"], r"tapeline: no such command 'bogus'.*; see: tapeline --help"),
        (["candles"], "tapeline candles: missing argument 'INSTRUMENT'; see: tapeline candles --help"),
        (["candles", TRADED, "--bogus"], "tapeline candles: no such option.*; see: tapeline candles --help"),
        (["candles", TRADED, "--limit", "0"], "tapeline candles: invalid value for '--limit': 0 .*"),
        (["candles", TRADED, "--start", "noon"], "time: cannot be read: expected RFC 3339, .*, was 'noon'"),
        (["candles", "X.Y"], f"instrument X.Y: is not in this database: expected one of: {TRADED}, .*; bring it .*"),
        (["candles", TRADED, "--timeframe", "7m"], "timeframe 7m: is not a timeframe: expected .*, was '7m'"),
        (["candles", "ETH-USD.SIM", "--timeframe", "5m"], "ETH-USD.SIM 5m: .* expected the timeframe imported: 1m, .*"),
        (["features", TRADED, "--set", "nope"], "feature set nope: is not known: expected one of bars, .*"),
        (["features", TRADED, "--set", "no.toml"], "feature set no.toml: is not known: .* or a TOML file, was .*"),
        (["candles", TRADED, "--out", "no/folder.csv"], "--out no/folder.csv: cannot be written: expected a folder .*"),
        (["candles", TRADED, "--out", "x.xls"], "--out x.xls: is of no kind we write: expected .csv or .parquet, .*"),
        (["sql", "DROP TABLE trades"], "sql: DROP is not allowed: expected a SELECT, was .*; write through .*"),
        (["sql", "SELEC"], "sql: Parser Error: .*"),
        (["export", "X.Y", "--out", "x.csv"], "instrument X.Y: is not in this database: .*"),
        (["export", TRADED, "--kind", "nope", "--out", "x.csv"], "tapeline export: invalid value for '--kind': .*"),
        (["export", "ETH-USD.SIM", "--out", "x.csv"], "ETH-USD.SIM trades: are not stored: .* with --kind candles"),
        (["gaps", "X.Y"], "instrument X.Y: is not in this database: .*"),
        (["verify", "X.Y"], "instrument X.Y: is not in this database: .*"),
        (["rebuild", "X.Y"], "instrument X.Y: is not in this database: .*"),
        (["simulate", "--edge", "3", "--out", "x.parquet"], "simulator market: edge is out of range: .*"),
        (["simulate", "--duration", "5", "--out", "x.parquet"], "duration: cannot be read: expected .*, was '5'"),
        (["simulate", "--instrument", "x", "--out", "x.csv"], "instrument x: is not a name: .*"),
        (["import", "absent.csv"], "file absent.csv: does not exist; .*"),
        (["import", "absent.csv", "--columns", "price"], "--columns: cannot be read: expected each name once, .*"),
    ],
)
def test_bad_usage_is_told_in_one_line_and_one_document(tapeline: Tapeline, arguments: list[str], text: str) -> None:
    plain = tapeline(*arguments)
    assert (plain.code, plain.out) == (2, "")
    assert re.fullmatch(f"error: {text}\n", plain.err)
    if arguments[0] != "import" or "--columns" in arguments:
        told = tapeline(*arguments, "--json")
        assert (told.code, told.err) == (2, plain.err)
        assert set(told.json["error"]) == {"where", "problem", "expected", "was", "next_step"}
        assert told.err.startswith(f"error: {told.json['error']['where']}: {told.json['error']['problem']}")


def test_no_command_shows_the_help(tapeline: Tapeline) -> None:
    shown = tapeline()
    assert (shown.code, shown.out) == (2, "")
    assert "candles" in shown.err


@pytest.mark.parametrize("arguments", [["candles", "X"], ["instruments"], ["gaps"], ["verify"], ["sql", "SELECT 1"]])
def test_a_missing_database_says_what_to_do(tapeline: Tapeline, folder: Path, arguments: list[str]) -> None:
    (folder / "tapeline.duckdb").unlink()
    told = tapeline(*arguments)
    assert (told.code, told.out) == (2, "")
    assert told.err == (
        "error: database tapeline.duckdb: is missing: expected a file, was 'tapeline.duckdb'; "
        "run tapeline import first, or correct the path\n"
    )
    assert list(folder.iterdir()) == []


def test_a_locked_database_names_its_owner(tapeline: Tapeline, folder: Path) -> None:
    hold = "import sys, duckdb; held = duckdb.connect('tapeline.duckdb'); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder
    ) as owner:
        assert owner.stdout
        assert owner.stdout.readline() == "held\n"
        for command in ("candles", "import"):
            told = tapeline(command, TRADED)
            assert (told.code, told.out) == (2, "")
            assert "error: database tapeline.duckdb: is open elsewhere: expected no other process" in told.err
            assert f"(PID {owner.pid})" in told.err


def test_a_database_of_another_version_or_none_is_refused(tapeline: Tapeline, folder: Path) -> None:
    import duckdb

    with duckdb.connect(folder / "tapeline.duckdb") as connection:
        connection.execute("UPDATE tapeline_schema SET version = 99")
    assert "schema is newer: expected version 3 or older, was 99; update Tapeline" in tapeline("instruments").err
    (folder / "tapeline.duckdb").write_bytes(b"no database " * 1000)
    assert "database tapeline.duckdb: is not a database" in tapeline("import", "x.csv").err


def test_ctrl_c_is_told_in_one_line(tapeline: Tapeline, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sql.command, "callback", interrupted)
    told = tapeline("sql", "SELECT 1")
    assert (told.code, told.out, told.err.strip()) == (130, "", "interrupted: what was committed is kept")


def test_a_bug_is_told_in_one_line_and_traced_on_demand(folder: Path) -> None:
    broken = (
        "from tapeline import cli; from tapeline.cli.commands import sql\n"
        "def fail(*a, **k): raise ZeroDivisionError('of ours')\n"
        "sql.command.callback = fail; cli.main(['sql', 'SELECT 1'])"
    )
    run = [sys.executable, "-c", broken]
    told = subprocess.run(run, capture_output=True, text=True, check=False, cwd=folder)
    line = "error: bug in Tapeline: ZeroDivisionError: of ours; please report it with what TAPELINE_DEBUG=1 shows\n"
    assert (told.returncode, told.stdout, told.stderr) == (1, "", line)
    traced = subprocess.run(
        run, capture_output=True, text=True, check=False, cwd=folder, env=os.environ | {"TAPELINE_DEBUG": "1"}
    )
    assert "Traceback" in traced.stderr
    assert traced.stderr.endswith(line)


def test_a_reader_that_has_had_enough_is_no_error(folder: Path) -> None:
    query = [*COMMAND, "sql", "SELECT range FROM range(200000)", "--json"]
    writer = subprocess.Popen(query, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)
    assert writer.stdout
    assert writer.stderr
    assert writer.stdout.readline() == "[\n"
    writer.stdout.close()
    assert (writer.stderr.read(), writer.wait()) == ("", 0)
    writer.stderr.close()


def test_the_version_is_that_of_the_package(tapeline: Tapeline) -> None:
    from tapeline import __version__

    assert tapeline("--version").out == f"tapeline, version {__version__}\n"
