from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.stored import SETTINGS

from tapeline.clock import DAY, HOUR, MINUTE, SECOND, ManualClock, parse_time
from tapeline.errors import NotEnoughData, UnknownName, VenueBusy
from tapeline.importing import ImportReport, import_files
from tapeline.query import candles
from tapeline.recordings.yahoo import download
from tapeline.stores.memory import MemoryStore

NOW = parse_time("2025-11-20T15:00:00Z")


class Yahoo:
    def __init__(self, index: pd.DatetimeIndex) -> None:
        rows = range(len(index))
        self.frame = pd.DataFrame(
            {
                "Open": [100.0 + i for i in rows],
                "High": [102.0 + i for i in rows],
                "Low": [99.0 + i for i in rows],
                "Close": [101.0 + i for i in rows],
                "Adj Close": 1.0,
                "Volume": [1000 + i for i in rows],
            },
            index=index,
        )
        self.asked: list[tuple[Any, ...]] = []

    def __call__(self, *asked: Any) -> pd.DataFrame:
        self.asked.append(asked)
        return self.frame


def days(first: str, periods: int) -> Yahoo:
    return Yahoo(pd.date_range(first, periods=periods, freq="B", tz="America/New_York"))


def instants(table: pa.Table) -> list[int]:
    times: list[int] = table["open_time"].cast(pa.int64()).to_pylist()
    return times


def test_a_day_stands_for_its_date_and_the_running_one_is_left_out(tmp_path: Path) -> None:
    yahoo = days("2025-11-14", 5)
    file = download("AAPL", "1d", NOW - 9 * DAY, None, now=NOW, folder=tmp_path, history=yahoo)
    table = pq.read_table(file)
    assert instants(table) == [parse_time(f"2025-11-{day}T00:00:00Z") for day in (14, 17, 18, 19)]
    assert table["close"].to_pylist() == [101.0, 102.0, 103.0, 104.0]
    assert yahoo.asked == [("AAPL", "1d", (NOW - 9 * DAY) // SECOND, None)]


def test_minutes_keep_their_instant(tmp_path: Path) -> None:
    yahoo = Yahoo(pd.date_range("2025-11-20 09:30", periods=3, freq="min", tz="America/New_York"))
    file = download("SPY", "1m", None, None, now=NOW, folder=tmp_path, history=yahoo)
    first = parse_time("2025-11-20T14:30:00Z")
    assert instants(pq.read_table(file)) == [first, first + MINUTE, first + 2 * MINUTE]


def test_what_yahoo_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"Yahoo has none: expected 1m, .*, was '4h'"):
        download("AAPL", "4h", None, None, now=NOW, folder=tmp_path, history=days("2025-11-14", 5))
    with pytest.raises(NotEnoughData, match="yahoo AAPL: has no candles"):
        download("AAPL", "1d", None, None, now=NOW - 30 * DAY, folder=tmp_path, history=days("2025-11-14", 5))


def imported(file: Path, timeframe: str) -> tuple[MemoryStore, ImportReport]:
    store, clock, columns = MemoryStore(), ManualClock(NOW), {"timeframe": timeframe}
    return store, import_files(
        [file], store, SETTINGS, clock=clock, instrument="AAPL.YAHOO", format="table", columns=columns
    )


def test_they_are_imported_as_candles_made_by_others(tmp_path: Path) -> None:
    file = download("AAPL", "1d", None, None, now=NOW, folder=tmp_path, history=days("2025-11-14", 5))
    store, report = imported(file, "1d")
    assert (report.problems, report.files[0].new, report.files[0].malformed) == ([], 4, 0)
    found = candles(store, SETTINGS, "AAPL.YAHOO", "1d", None, None, None)
    assert (found.source, found.records["close"].tolist()) == ("imported", [101.0, 102.0, 103.0, 104.0])


def test_hours_off_the_grid_are_dead_letters(tmp_path: Path) -> None:
    yahoo = Yahoo(pd.date_range("2025-11-19 09:30", periods=3, freq="h", tz="America/New_York"))
    store, report = imported(download("AAPL", "1h", None, None, now=NOW, folder=tmp_path, history=yahoo), "1h")
    assert (report.files[0].new, report.files[0].malformed) == (0, 3)
    assert f"expected a multiple of {HOUR} ns" in store.read("dead_letters").to_pylist()[0]["reason"]


def test_days_of_the_last_century_are_kept_and_those_of_1970_are_named(tmp_path: Path) -> None:
    file = download("AAPL", "1d", None, None, now=NOW, folder=tmp_path, history=days("1970-12-30", 4))
    store, report = imported(file, "1d")
    first = [parse_time(f"1971-01-0{day}T00:00:00Z") for day in (1, 4)]
    assert candles(store, SETTINGS, "AAPL.YAHOO", "1d", None, None, None).records["open_time"].tolist() == first
    assert report.files[0].malformed == 2


class Answer:
    """What Yahoo answers, as the library gets it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.status_code = 200

    def json(self) -> Any:
        return json.loads(self.text)


def chart(first: str, count: int, interval: str) -> str:
    """Return an answer of ``v8/finance/chart`` for New York; the second row is empty, as those of a halt are."""
    begin, step = parse_time(first) // SECOND, {"1d": 86_400, "1m": 60}[interval]
    prices = {"open": 100.0, "high": 102.0, "low": 99.0, "close": 101.0, "volume": 1000}
    quote = {name: [None if at == 1 else value + at for at in range(count)] for name, value in prices.items()}
    hours = {"timezone": "EST", "start": begin, "end": begin + 23_400, "gmtoffset": -18_000}
    meta: dict[str, Any] = {"currency": "USD", "symbol": "AAPL", "instrumentType": "EQUITY", "exchangeName": "NMS"}
    meta |= {"exchangeTimezoneName": "America/New_York", "timezone": "EST", "gmtoffset": -18_000, "priceHint": 2}
    meta |= {"dataGranularity": interval, "regularMarketTime": begin, "validRanges": ["5d", "max"], "range": ""}
    meta |= {"currentTradingPeriod": dict.fromkeys(("pre", "regular", "post"), hours), "tradingPeriods": [[hours]]}
    indicators = {"quote": [quote], "adjclose": [{"adjclose": quote["close"]}]}
    result = {"meta": meta, "timestamp": [begin + at * step for at in range(count)], "indicators": indicators}
    return json.dumps({"chart": {"result": [result], "error": None}})


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], list[dict[str, Any]]]:
    """Let the true library be answered by this text, and return what it asks."""
    import yfinance
    from yfinance.data import YfData

    yfinance.set_tz_cache_location(str(tmp_path))
    asked: list[dict[str, Any]] = []

    def serve(text: str) -> list[dict[str, Any]]:
        def get(self: YfData, url: str, params: dict[str, Any] | None = None, **more: Any) -> Answer:
            asked.append({"url": url, **(params or {})})
            return Answer(text)

        for name in ("get", "cache_get"):
            monkeypatch.setattr(YfData, name, get)
        return asked

    return serve


Served = Callable[[str], list[dict[str, Any]]]


@pytest.mark.services
@pytest.mark.parametrize(("interval", "first"), [("1d", "2025-11-14T14:30:00Z"), ("1m", "2025-11-20T14:30:00Z")])
def test_the_library_itself_gives_them(served: Served, tmp_path: Path, interval: str, first: str) -> None:
    asked = served(chart(first, 4, interval))
    begin = parse_time(first)
    file = download("AAPL", interval, begin - DAY, begin + 9 * DAY, now=begin + 9 * DAY, folder=tmp_path)
    assert asked[-1]["url"].endswith("/v8/finance/chart/AAPL")
    assert asked[-1].items() >= {"interval": interval, "period1": (begin - DAY) // SECOND}.items()
    store, report = imported(file, interval)
    assert (report.files[0].new, report.files[0].malformed) == (3, 0), "a halt has no numbers, and none are invented"
    opened, step = (begin // DAY * DAY, DAY) if interval == "1d" else (begin, MINUTE)
    found = store.read("candles", timeframe=interval)
    assert found["open_time"].to_pylist() == [opened, opened + 2 * step, opened + 3 * step]
    assert found["close"].to_pylist() == [101.0, 103.0, 104.0]


@pytest.mark.services
@pytest.mark.parametrize("text", ["<html>sorry</html>", "{}", "[]", '{"chart":{"result":[{}],"error":null}}'])
def test_what_is_no_answer_is_told(served: Served, tmp_path: Path, text: str) -> None:
    served(text)
    with pytest.raises(VenueBusy, match="yahoo AAPL: cannot be had"):
        download("AAPL", "1d", None, None, now=NOW, folder=tmp_path)
