"""`tapeline decode` on what real recorders wrote, and on what nobody should have."""

from __future__ import annotations

import gzip
import json
import re
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Tapeline

MESSAGES = Path(__file__).parents[1] / "data"
PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
VENUES = ("binance", "coinbase", "kraken", "massive")


def span(trades: int, first: int | None, last: int | None, missing: int | None) -> dict[str, int | None]:
    return {"trades": trades, "first_id": first, "last_id": last, "missing": missing}


RECORDED: list[tuple[str, str, dict[str, int], dict[str, dict[str, int | None]]]] = [
    (
        "cryptofeed/KRAKEN.ws.48.0",
        "KRAKEN",
        {"capture opened": 1, "heartbeat": 30, "sent": 1, "status": 1},
        {"SC-EUR.KRAKEN": span(6, None, None, None), "XMR-USD.KRAKEN": span(4, None, None, None)},
    ),
    (
        "cryptofeed/KRAKEN.ws.50.part-A.txt",
        "KRAKEN",
        {"book": 2600, "capture opened": 1, "heartbeat": 31, "sent": 1, "status": 1},
        {},
    ),
    ("cryptofeed/KRAKEN.0", "KRAKEN", {"AssetPairs": 1, "capture configuration": 1}, {}),
    (
        "cryptofeed/COINBASE_EXCHANGE.ws.28.part-A.txt",
        "COINBASE",
        {"capture opened": 1, "l2update": 6272, "sent": 3, "snapshot": 5, "ticker": 85},
        {
            "BAND-BTC.COINBASE": span(9, 1287325, 1287333, 0),
            "BAND-GBP.COINBASE": span(5, 881613, 881617, 0),
            "NMR-EUR.COINBASE": span(9, 868598, 868606, 0),
            "SKL-BTC.COINBASE": span(9, 280231, 280239, 0),
            "SKL-USD.COINBASE": span(53, 1568267, 1568319, 0),
        },
    ),
    ("cryptofeed/COINBASE.0", "COINBASE", {"capture configuration": 1, "products": 1}, {}),
    ("cryptofeed/BINANCE.http.0.0", "BINANCE", {"depthSnapshot": 4}, {}),
    (
        "cryptofeed/BINANCE.ws.1.0",
        "BINANCE",
        {"bookTicker": 84, "capture opened": 1, "depthUpdate": 177, "kline": 2},
        {"LRC-BTC.BINANCE": span(1, 9213679, 9213679, 0), "NKN-USDT.BINANCE": span(1, 15683430, 15683430, 0)},
    ),
    (
        "hftbacktest-binance/spot_btcusdt_20240808.gz",
        "BINANCE",
        {"bookTicker": 28040, "depthSnapshot": 1, "depthUpdate": 3451},
        {"BTC-USDT.BINANCE": span(9757, 3735683259, 3735693015, 0)},
    ),
    (
        "hftbacktest-binance/usdm_ethusdt_20240808.gz",
        "BINANCE",
        {"bookTicker": 53992, "depthSnapshot": 1, "depthUpdate": 6586},
        {"ETH-USDT-PERP.BINANCE": span(14076, 4308068523, 4308082598, 0)},
    ),
    ("nautilus-kraken/http_trades.json", "KRAKEN", {}, {"BTC-USDT.KRAKEN": span(1000, 10218208, 10219207, 0)}),
    ("nautilus-kraken/http_ohlc.json", "KRAKEN", {"OHLC": 1}, {}),
    ("xchange/kraken_trades_old_6field.json", "KRAKEN", {}, {"BTC-USD.KRAKEN": span(14, None, None, None)}),
    ("python-kraken-sdk/orderbook-v2.json", "KRAKEN", {"book": 510}, {}),
    ("massive-rest/v3_trades_AAPL_limit=2.json", "MASSIVE", {}, {"?.MASSIVE": span(2, None, None, None)}),
    (
        "massive-ws-spec/ws_examples_stocks.jsonl",
        "MASSIVE",
        {"A": 1, "AM": 1, "LULD": 1, "NOI": 1, "Q": 1},
        {"MSFT.MASSIVE": span(1, None, None, None)},
    ),
]


@pytest.mark.parametrize(("name", "venue", "ignored", "instruments"), RECORDED, ids=[case[0] for case in RECORDED])
def test_what_recordings_hold(
    tapeline: Tapeline, shared: Path, name: str, venue: str, ignored: dict[str, int], instruments: dict[str, Any]
) -> None:
    report = tapeline("decode", shared / "data" / name, "--json").json
    assert (report["venue"], report["malformed"], report["reasons"]) == (venue, 0, {})
    assert report["ignored"] == ignored
    assert report["instruments"] == instruments
    assert report["trades"] == sum(one["trades"] for one in instruments.values())


@pytest.mark.parametrize("venue", ["kraken", "coinbase", "binance", "massive"])
def test_every_fixture_of_a_venue_is_read_whole(tapeline: Tapeline, shared: Path, venue: str) -> None:
    folders = [shared / "data" / f"nautilus-{venue}", shared / "data" / f"{venue}-rest"]
    files = [file for folder in folders for file in sorted(folder.glob("*.json")) if "spec_" not in file.name]
    assert len(files) > 5
    for file in files:
        report = tapeline("decode", file, "--json").json
        assert (report["venue"], report["malformed"]) == (venue.upper(), 0), file
        assert report["trades"] + report["acks"] + sum(report["ignored"].values()) > 0, file


def test_a_document_of_requests_and_answers(tapeline: Tapeline, shared: Path) -> None:
    report = tapeline("decode", shared / "data/gct-binance/spot_aggTrades_trades.json", "--json").json
    assert report["reasons"] == {"binance row: cannot be read (Object missing required field `m`)": 9}
    assert report["ignored"] == {"aggTrade": 1042, "avgPrice": 1, "depthSnapshot": 1}
    assert report["instruments"]["ETH-BTC.BINANCE"] == span(1000, 409018748, 409019747, 0)


def test_missing_ids_acks_and_malformed_lines_are_told(tapeline: Tapeline, folder: Path) -> None:
    trade = '{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":1.5,"qty":2,'
    trade += '"trade_id":%d,"timestamp":"2025-11-10T17:23:52.44Z"}]}'
    lines = [trade % number for number in (44, 41, 41)]
    ack = '{"method":"subscribe","result":{"channel":"trade","symbol":"BTC/USD"},"success":%s}'
    lines += [ack % "true", ack % "false", '{"channel":"heartbeat"}', '{"channel":"new"}', "<html>", ""]
    (folder / "messages.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    report = tapeline("decode", "messages.gz", "--json").json
    assert report["instruments"] == {"BTC-USD.KRAKEN": span(3, 41, 44, 2)}
    assert (report["trades"], report["acks"], report["refused"], report["malformed"]) == (3, 1, 1, 2)
    assert report["ignored"] == {"heartbeat": 1}
    assert report["reasons"]["kraken message: is of no known kind"] == 1
    shown = tapeline("decode", "messages.gz")
    assert "KRAKEN: 3 trades, 1 acks, 2 malformed" in shown.out
    assert re.search(r"BTC-USD.KRAKEN +3 +41 +44 +2\n", shown.out)
    assert re.search(r"kraken message: is of no known kind +1\n", shown.out)


@pytest.mark.parametrize("venue", VENUES)
def test_the_venue_is_recognised_or_given(tapeline: Tapeline, venue: str) -> None:
    file = MESSAGES / venue / "ws.jsonl"
    found = tapeline("decode", file, "--json").json
    assert found["venue"] == venue.upper()
    assert found == tapeline("decode", file, "--venue", venue, "--json").json
    assert found["malformed"] == 0


@pytest.mark.parametrize(("venue", "other"), list(permutations(VENUES, 2)))
def test_a_recording_of_another_venue_than_the_one_given_is_told(tapeline: Tapeline, venue: str, other: str) -> None:
    file = MESSAGES / venue / "ws.jsonl"
    found = tapeline("decode", file, "--venue", other, "--json")
    assert (found.code, found.json["trades"]) == (2, 0)
    problem = found.json["problem"]
    assert problem.startswith(f"is no recording of {other.upper()}: expected messages of {other.upper()}, was ")
    assert found.err == f"error: {file}: {problem}\n"


def test_a_recording_of_which_a_little_is_malformed_is_one(tapeline: Tapeline, folder: Path) -> None:
    (folder / "few.jsonl").write_text('{"channel":"heartbeat"}\n<html>\n{"channel":"heartbeat"}\n')
    found = tapeline("decode", "few.jsonl", "--venue", "KRAKEN", "--json")
    assert (found.code, found.err, found.json["problem"], found.json["malformed"]) == (0, "", "", 1)


def test_a_file_cut_short_is_told(tapeline: Tapeline, folder: Path) -> None:
    whole = gzip.compress((MESSAGES / "kraken" / "ws.jsonl").read_bytes() * 2000, mtime=0)
    (folder / "cut.gz").write_bytes(whole[: len(whole) * 2 // 3])
    report = tapeline("decode", "cut.gz", "--json").json
    assert report["trades"] > 100
    assert any("damaged or cut short" in reason for reason in report["reasons"])


@pytest.mark.parametrize(
    ("content", "arguments", "text"),
    [
        (b"hello\nworld\n", (), "holds no messages of a known venue"),
        (b"[1, 2, 3]", (), "holds no messages of a known venue"),
        (b"34200400,1706400,100,1,2,3\n" * 9, (), "holds no messages of a known venue"),
        (b'{"foo": {"bar": [{}]}}', ("--venue", "FOO"), "venue FOO: is not known: expected one of BINANCE"),
        (b"", (), "is empty"),
        (b"PAR1", (), "is not text"),
    ],
)
def test_what_is_no_recording_is_refused(
    tapeline: Tapeline, folder: Path, content: bytes, arguments: tuple[str, ...], text: str
) -> None:
    (folder / "file").write_bytes(content)
    result = tapeline("decode", "file", *arguments)
    assert result.code == 2
    assert text in result.err


def test_the_documented_report_is_the_one_given(tapeline: Tapeline) -> None:
    shapes = [
        json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    ]
    documented = next(shape for shape in shapes if "ignored" in shape and "venue" in shape)
    given = tapeline("decode", MESSAGES / "kraken" / "ws.jsonl", "--json").json
    assert list(given) == list(documented)
    assert list(given["instruments"]["BTC-USD.KRAKEN"]) == list(documented["instruments"]["BTC-USD.KRAKEN"])
