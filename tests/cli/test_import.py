"""``tapeline import`` of what is no file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.cli.conftest import Tapeline

from tapeline.recordings import yahoo


def test_candles_of_yahoo_are_imported(tapeline: Tapeline, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = pd.date_range("2025-11-17", periods=3, tz="America/New_York")
    asked: list[Any] = []

    def history(*told: Any) -> pd.DataFrame:
        asked.append(told)
        return pd.DataFrame(dict.fromkeys(("Open", "High", "Low", "Close", "Volume"), 7.0), index=index)

    monkeypatch.setattr(yahoo, "_yfinance", history)
    found = tapeline("import", "--yfinance", "aapl", "--start", "2025-11-01", "--db", "new.duckdb", "--json")
    assert found.code == 0, found.err
    (file,) = found.json["files"]
    assert (file["instrument"], file["new"], file["first"]) == ("AAPL.YAHOO", 3, "2025-11-17T00:00:00Z")
    assert asked == [("aapl", "1d", 1761955200, None)]
    shown = tapeline("candles", "AAPL.YAHOO", "--timeframe", "1d", "--db", "new.duckdb", "--json")
    assert [row["close"] for row in shown.json] == [7.0, 7.0, 7.0]
    other = tapeline("candles", "AAPL.YAHOO", "--timeframe", "5m", "--db", "new.duckdb")
    assert other.code == 2


@pytest.mark.parametrize(
    ("words", "was"),
    [
        ([], "nothing"),
        (["a.csv", "--yfinance", "AAPL"], "a.csv and --yfinance"),
        (["a.csv", "--timeframe", "1m"], "a.csv and --timeframe"),
        (["--start", "2025-11-01"], "--start"),
    ],
)
def test_files_and_yahoo_are_not_read_at_once(tapeline: Tapeline, folder: Path, words: list[str], was: str) -> None:
    found = tapeline("import", *words)
    assert found.code == 2
    assert f"what to read: expected files, or --yfinance TICKER alone, was '{was}'" in found.err
