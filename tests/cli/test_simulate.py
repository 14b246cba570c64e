"""``tapeline simulate --venue``: the address first, the truth beside it, recorded tapes told anew."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest
from tests.cli.conftest import Tapeline

from tapeline.exchanges import kraken_trades
from tapeline.simulator.faults import FAULTS

SERVE = ("simulate", "--venue", "kraken", "--duration", "100ms")


def test_the_first_line_is_the_address(tapeline: Tapeline) -> None:
    ws_url, rest_url = tapeline(*SERVE).out.splitlines()[0].split()
    assert ws_url.removeprefix("ws") == f"{rest_url.removeprefix('http')}/v2"
    told = tapeline(*SERVE, "--json", "--instruments", "BTC-USD,ETH-USD.SIM").json
    assert (told["venue"], told["simulated"]) == ("KRAKEN", True)
    assert told["instruments"] == ["BTC-USD.KRAKEN", "ETH-USD.KRAKEN"]
    assert told["feeds"] == {"trade": told["ws_url"]}


def test_the_truth_is_a_tape_that_can_be_imported_and_told_anew(tapeline: Tapeline, folder: Path) -> None:
    tapeline(*SERVE, "--truth", "truth.parquet", "--instrument", "BTC-USD,ETH-USD")
    truth = pq.read_table(folder / "truth.parquet")
    report = tapeline("import", "truth.parquet", "--db", "x.duckdb", "--json").json
    assert report["files"][0]["new"] == truth.num_rows > 1000
    assert report["gaps"] == []
    for tape in ("truth.parquet", "x.duckdb"):
        tapeline(*SERVE, "--tape", tape, "--history", "2h", "--truth", "again.parquet")
        again = pq.read_table(folder / "again.parquet")
        columns = ["instrument", "trade_id", "price", "qty", "side"]
        order = [("instrument", "ascending"), ("trade_id", "ascending")]
        assert again.select(columns).sort_by(order) == truth.select(columns).sort_by(order)


def test_a_recording_keeps_its_own_times_where_asked(tapeline: Tapeline, shared: Path, folder: Path) -> None:
    recording = shared / "data" / "nautilus-kraken" / "http_trades.json"
    tapeline(*SERVE, "--tape", recording, "--own-times", "--truth", "truth.parquet")
    truth = pq.read_table(folder / "truth.parquet")
    theirs = kraken_trades.parse_history(recording.read_bytes()).trades
    assert truth.column("trade_id").to_pylist() == [one.trade_id for one in theirs]
    stamps = truth.column("ts_event").to_pylist()
    assert [stamp // 1000 for stamp in stamps] == [one.ts_event // 1000 for one in theirs]


def test_it_serves_until_it_is_stopped(folder: Path) -> None:
    command = [sys.executable, "-m", "tapeline", "simulate", "--venue", "kraken", "--json", "--truth", "truth.parquet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=folder) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        time = httpx.get(told["rest_url"] + "/0/public/Time", timeout=10).json()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == os.EX_OK
    assert time["error"] == []
    assert pq.read_metadata(folder / "truth.parquet").num_rows > 0


def test_faults_that_struck_are_lines_of_json(tapeline: Tapeline, folder: Path) -> None:
    tapeline(*SERVE, "--fault", "clock-skew=1", "--fault-log", "faults.jsonl")
    lines = [json.loads(line) for line in (folder / "faults.jsonl").read_text().splitlines()]
    assert [(line["fault"], line["connection"]) for line in lines] == [("clock-skew", 0)]
    assert lines[0]["at"].endswith("Z")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "tapeline simulate: has nothing to do: expected --out FILE or --venue V, was 'neither'"),
        (("--venue", "kraken", "--out", "x.csv"), "expected --out FILE or --venue V, was 'both'"),
        (("--venue", "nasdaq"), "simulated venue: is not known"),
        (("--venue", "kraken", "--fault", "drop"), "fault drop: has no probability: expected NAME=P, was 'drop'"),
        (("--venue", "kraken", "--tape", "absent.parquet"), "absent.parquet"),
        (("--venue", "kraken", "--fault-log", "no/x"), "--fault-log no/x: cannot be written"),
        (("--venue", "kraken", "--truth", "x.txt"), "is of no kind we write"),
        (("--venue", "kraken", "--rate", "100000", "--truth", "truth.parquet"), "simulator history: is too long"),
        (("--venue", "kraken", "--history", "soon"), "history: cannot be read"),
    ],
)
def test_what_cannot_be_served_is_said(tapeline: Tapeline, folder: Path, arguments: tuple[str, ...], text: str) -> None:
    result = tapeline("simulate", *arguments)
    assert result.code == 2
    assert text in result.err
    assert not (folder / "truth.parquet").exists()


def test_every_fault_is_documented(root: Path) -> None:
    page = (root / "docs" / "commands.md").read_text(encoding="utf-8")
    for name, (per, text) in FAULTS.items():
        assert f"| `{name}` | {per} | {text} |" in page


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--out", "a.csv", "--fault", "drop=1"], "--fault beside --out"),
        (["--out", "a.csv", "--history", "1h"], "--history beside --out"),
        (["--out", "a.csv", "--no-limits"], "--no-limits beside --out"),
        (["--venue", "kraken", "--trades", "5"], "--trades beside --venue"),
        (["--venue", "kraken", "--tape", "a.csv", "--rate", "5"], "--rate beside --tape"),
        (["--venue", "kraken", "--speed", "5"], "--speed beside --venue without --tape"),
        (["--out", "a.csv", "--instruments", "A-B.SIM,C-D.SIM"], "one instrument"),
    ],
)
def test_what_would_do_nothing_is_refused(tapeline: Tapeline, words: list[str], named: str) -> None:
    result = tapeline("simulate", *words)
    assert result.code == 2
    assert named in result.err


def test_a_written_market_has_the_rate_that_was_asked_for(tapeline: Tapeline, folder: Path) -> None:
    counts = []
    for rate in (5, 50):
        words = ["--steady", "--rate", str(rate), "--duration", "10m", "--out", f"{rate}.parquet"]
        tapeline("simulate", *words)
        counts.append(pq.read_metadata(folder / f"{rate}.parquet").num_rows)
    assert [round(count / 600) for count in counts] == pytest.approx([5, 50], rel=0.2)
