"""``backfill`` and ``gaps --heal`` against venues on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Tapeline
from tests.ingest.fakes import BTC, NOW, FakeKraken

from tapeline.clock import HOUR, MINUTE, SECOND, ManualClock, format_time
from tapeline.runners.owner import note_of, owning

START, END = format_time(NOW - HOUR), format_time(NOW)
SIM = "BTC-USD.SIM"


@pytest.fixture
def kraken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKraken]:
    with FakeKraken().serving_beside() as fake:
        monkeypatch.setenv("TAPELINE_KRAKEN_URL", f"http://{fake.url}")
        monkeypatch.setenv("TAPELINE_DB", str(folder / "other.duckdb"))
        yield fake


def test_backfill_then_heal_of_a_simulated_venue(kraken: FakeKraken, tapeline: Tapeline) -> None:
    ids = kraken.trade(count=30)
    kraken.rest = lambda path, params: None if len(kraken.asked) > 1 else (200, kraken.trades(params, skip={110, 111}))
    told = tapeline("backfill", SIM, "--start", START, "--end", END, "--simulated", "kraken", "--json")
    assert told.code == 2
    (found,) = told.json["instruments"]
    assert [found[name] for name in ("instrument", "trades", "missing", "ignored")] == [SIM, 28, 2, {}]
    assert "2 ids are missing: the venue does not give them" in told.err
    listed = tapeline("gaps", SIM, "--json")
    assert (listed.code, [gap["first_missing"] for gap in listed.json]) == (0, [110])
    healed = tapeline("gaps", "--heal", "--lookback", "3650d")
    assert "BTC-USD.SIM: its venue cannot be asked; `tapeline up` heals its own" in healed.err
    assert "add --simulated VENUE" in healed.err
    healed = tapeline("gaps", "--heal", "--lookback", "3650d", "--simulated", "KRAKEN", "--json")
    assert healed.code == 0
    assert healed.json["gaps"] == []
    assert [one["trades"] for one in healed.json["healed"]] == [2]
    assert tapeline("sql", "SELECT count(*) AS n FROM trades", "--json").json[0]["n"] == len(ids)


def test_a_venue_that_does_not_answer_is_an_error_that_says_how_to_go_on(
    kraken: FakeKraken, tapeline: Tapeline
) -> None:
    kraken.rest = lambda path, params: (200, b'{"error":["EQuery:Unknown asset pair"]}')
    told = tapeline("backfill", BTC, "--start", START, "--end", END)
    assert told.code == 2
    assert "Unknown asset pair" in told.err
    assert "the same command goes on from there" in told.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["BTC-USD.NOWHERE"], "cannot be followed"),
        (["btc"], "is not a name"),
        ([BTC, "--start", END, "--end", START], "has nothing to ask for"),
        ([SIM], "add --simulated VENUE"),
        ([SIM, "--simulated", "NOBODY"], "venue NOBODY: is not known"),
        ([SIM, "--simulated", "BINANCE"], "set TAPELINE_BINANCE_URL to what `tapeline simulate` prints"),
        ([BTC, "--timeframe", "2h"], "expected 1m, 5m, 15m, 30m, 1h, 4h, 1d, was '2h'"),
        ([BTC, "--timeframe", "7x"], "is not a timeframe"),
    ],
)
def test_what_cannot_be_asked_for(kraken: FakeKraken, tapeline: Tapeline, arguments: list[str], says: str) -> None:
    told = tapeline("backfill", *arguments)
    assert told.code == 2
    assert says in told.err
    assert kraken.asked == []


def ohlc(path: str, params: dict[str, str]) -> tuple[int, bytes] | None:
    """Give three closed minutes, the last without trades, and a running one; trades as ever."""
    if not path.endswith("OHLC"):
        return None
    opened = [NOW // MINUTE * 60 - 60 * back for back in (5, 4, 3, 2)]
    rows = [[at, "2", "4", "1", "3", "2.5", "7" if at < opened[2] else "0", 5] for at in opened]
    return 200, json.dumps({"error": [], "result": {"XXBTZUSD": rows, "last": opened[2]}}).encode()


def test_candles_of_the_venue_then_trades_of_which_ours_are_made(kraken: FakeKraken, tapeline: Tapeline) -> None:
    kraken.rest = ohlc
    span = ("--start", START, "--end", END, "--timeframe", "1m")
    told = tapeline("backfill", BTC, *span, "--json")
    assert (told.code, told.err) == (0, "")
    (found,) = told.json["instruments"]
    assert [found[name] for name in ("timeframe", "candles", "new", "malformed")] == ["1m", 3, 3, 0]
    shown = tapeline("candles", BTC, "--json")
    assert "made by others and imported" in shown.err
    assert [one["volume"] for one in shown.json] == [7, 7, 0]
    assert [one["vwap"] for one in shown.json] == [2.5, 2.5, None]
    kraken.trade(count=3)
    assert tapeline("backfill", BTC, "--start", START, "--end", END).code == 0
    told = tapeline("backfill", BTC, "--start", format_time(NOW - 2 * HOUR), *span[2:])
    assert "its own trades are stored and their candles go on answering" in told.err
    shown = tapeline("candles", BTC, "--json")
    assert (shown.json, shown.err) == ([], ""), "no candle of ours has closed"
    assert tapeline("sql", "SELECT count(*) AS n FROM candles", "--json").json == [{"n": 3}]


_HOLD = "import sys, duckdb; held = duckdb.connect(sys.argv[1]); print(1, flush=True); input()"


@pytest.mark.parametrize("arguments", [("backfill", BTC), ("gaps", "--heal")])
def test_a_database_that_a_live_process_owns_is_told_with_its_address(
    kraken: FakeKraken, tapeline: Tapeline, folder: Path, arguments: tuple[str, ...]
) -> None:
    db, url = folder / "other.duckdb", "http://127.0.0.1:8787"
    command = [sys.executable, "-c", _HOLD, str(db)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "1\n"
        with owning(db, url, clock=ManualClock(NOW)):
            text = note_of(db).read_text()
            mine = json.loads(text)["pid"]
            note_of(db).write_text(text.replace(str(mine), str(owner.pid)))
            told = tapeline(*arguments)
        owner.communicate("\n")
    assert told.code == 2
    assert f"tapeline (PID {owner.pid}) since {format_time(NOW - NOW % SECOND)}" in told.err
    assert f"ask it at {url}, or stop it first" in told.err
    assert kraken.asked == []
