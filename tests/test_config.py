"""Settings: their sources, and what is said where one cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from tapeline.config import load_settings
from tapeline.errors import UnknownName, UsageError
from tapeline.features import FeatureSet


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_flags_stand_before_the_environment_and_that_before_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "tapeline.toml").write_text('max_quiet = "3d"\nmax_ahead = "3s"\nflush_rows = 3\n', encoding="utf-8")
    monkeypatch.setenv("TAPELINE_MAX_AHEAD", "2s")
    monkeypatch.setenv("TAPELINE_FLUSH_ROWS", "2")
    settings = load_settings(flush_rows=1, db=None)
    assert (settings.max_quiet, settings.max_ahead, settings.flush_rows) == ("3d", "2s", 1)


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPELINE_DB", "")
    assert load_settings().db == Path("tapeline.duckdb")


def test_a_setting_that_does_not_exist_is_named(folder: Path) -> None:
    (folder / "tapeline.toml").write_text('timefranes = ["1m"]\n', encoding="utf-8")
    with pytest.raises(UnknownName, match=r"^settings timefranes: is not known: expected one of db, timeframes, "):
        load_settings()


def test_a_length_of_time_without_a_unit_is_refused(folder: Path) -> None:
    (folder / "tapeline.toml").write_text("gap_timeout = 5\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"settings gap_timeout: cannot be read: expected a number > 0 with a unit ms"):
        load_settings()


def test_a_secret_that_cannot_be_used_is_not_told(folder: Path) -> None:
    (folder / "tapeline.toml").write_text("token = 12345\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"settings token: cannot be used: expected a valid string, was \*+$"):
        load_settings()


def test_a_named_file_that_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPELINE_CONFIG", "nowhere.toml")
    with pytest.raises(UsageError, match=r"TAPELINE_CONFIG: names no file: expected a TOML file, was 'nowhere.toml'"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("FLUSH_ROWS", "0", "settings flush_rows: cannot be used: expected greater than or equal to 1, was '0'"),
        ("MAX_QUIET", "soon", "settings max_quiet: cannot be read: expected a number > 0 with a unit"),
        ("MAX_QUIET", "9999999999d", "is too long: expected at most 36500d, was .9999999999d."),
        ("MLFLOW_URI", "blah", r"mlflow_uri: cannot be used: expected the address .* http://HOST:PORT .*, was 'blah'"),
        ("MLFLOW_URI", "file:///tmp/x", "settings mlflow_uri: cannot be used: expected the address of an MLflow"),
        ("TIMEFRAMES", "[]", "settings timeframes: cannot be used: expected at least one, such as 1m"),
        ("TIMEFRAMES", '["7m"]', "settings timeframes: cannot be used: expected a length from 100ms"),
    ],
)
def test_a_value_out_of_its_rule_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str, text: str) -> None:
    monkeypatch.setenv(f"TAPELINE_{name}", value)
    with pytest.raises(UsageError, match=text):
        load_settings()


@pytest.mark.parametrize("text", ["1m,15m", "1m 15m", '["1m", "15m"]', "60s, 15m, 1m"])
def test_lists_in_the_environment_read_as_a_person_writes_them(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("TAPELINE_TIMEFRAMES", text)
    assert load_settings().timeframes == ("1m", "15m")


def test_own_indicators_and_sets_are_found_by_a_path_in_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = Path(__file__).parents[1] / "src/tapeline/indicators/sma.py"
    (tmp_path / "my_average.py").write_text(source.read_text())
    (tmp_path / "my_set.toml").write_text('features = ["close", "my_average(3)"]\n')
    file = tmp_path / "settings.conf"
    file.write_text(f"indicators = '{tmp_path}'\nsets = '{tmp_path}'\n")
    for key, value in {"CONFIG": str(file), "INDICATORS": "", "SETS": ""}.items():
        monkeypatch.setenv(f"TAPELINE_{key}", value)
    load_settings()
    assert FeatureSet.load("my_set").names == ["close", "my_average_3"]
