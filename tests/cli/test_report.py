"""A day as one file: everything of it stands in the figure, and nothing is asked of a network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cli.conftest import Tapeline
from tests.stored import SETTINGS, START, TRADED

from tapeline import query
from tapeline.api.day import read_day
from tapeline.api.day_figure import figure
from tapeline.clock import DAY, MINUTE, format_time
from tapeline.stores import rows
from tapeline.stores.duckdb import DuckDBStore
from tapeline.types import Prediction

SAID = 0.001


def predictions(store: DuckDBStore) -> list[Prediction]:
    """Return one that always says the same, of every candle."""
    candles = query.candles(store, SETTINGS, TRADED, "1m").records
    return [
        Prediction(
            f"{at:012x}", TRADED, "1m", int(row["close_time"]), int(row["close_time"]), 5 * MINUTE,
            int(row["close_time"]) + 5 * MINUTE, SAID, -SAID, 3 * SAID, float("nan"), float(row["close"]),
            "always", "v1", "bars", "v1", "0" * 12,
        )
        for at, row in enumerate(candles)
    ]  # fmt: skip


@pytest.fixture
def store(folder: Path) -> DuckDBStore:
    store = DuckDBStore(folder / "tapeline.duckdb", threads=1)
    store.append("predictions", rows.from_predictions(predictions(store)))
    ids = store.read("trades", instrument=TRADED)["trade_id"].slice(100, 1).to_pylist()
    row = {"instrument": TRADED, "first_missing": ids[0], "last_missing": ids[0], "status": "open"}
    store.upsert("gaps", rows.from_dicts("gaps", row))
    return store


def named(made: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {trace["name"]: trace for trace in made["data"]}


def test_the_figure_shows_the_day_as_it_is_stored(store: DuckDBStore) -> None:
    made = figure(read_day(store, SETTINGS, TRADED, "1m", START))
    traces, candles = named(made), query.candles(store, SETTINGS, TRADED, "1m", START, START + DAY).records
    store.close()
    assert traces[TRADED]["close"] == candles["close"].tolist()
    assert traces["volume"]["y"] == candles["volume"].tolist()
    means = np.convolve(candles["close"], np.full(5, 0.2), "valid")
    assert traces["ma_5"]["y"][:4] == [None] * 4
    assert traces["ma_5"]["y"][4:] == pytest.approx(means.tolist())
    assert made["layout"]["title"]["text"].startswith(f"SIMULATED {TRADED} 1m, 2024-01-01")
    spans = [(shape["x0"], shape["x1"]) for shape in made["layout"]["shapes"]]
    incomplete = [row for row in candles if not row["complete"]]
    assert spans[0] == (format_time(int(incomplete[0]["open_time"])), format_time(int(incomplete[-1]["close_time"])))
    assert [note["text"] for note in made["layout"]["annotations"]] == ["1 trades missing (open)"]


def test_the_error_stands_beside_that_of_saying_that_the_price_stays(store: DuckDBStore) -> None:
    made = figure(read_day(store, SETTINGS, TRADED, "1m", START))
    candles = query.candles(store, SETTINGS, TRADED, "1m").records
    store.close()
    came = np.log(candles["close"][5:] / candles["close"][:-5])[candles["complete"][5:]]
    traces = named(made)
    ours = traces["error, 5m ahead"]["y"][-1]
    base = traces["error of \N{LEFT DOUBLE QUOTATION MARK}the price stays\N{RIGHT DOUBLE QUOTATION MARK}, 5m"]["y"][-1]
    assert ours == pytest.approx(1e4 * np.abs(SAID - came).mean())
    assert base == pytest.approx(1e4 * np.abs(came).mean())
    said = next(trace for name, trace in traces.items() if name.startswith("prediction"))
    assert said["x"][0] == format_time(int(candles["close_time"][0]) + 5 * MINUTE)
    missed = (came < -SAID) | (came > 3 * SAID)
    assert len(set(said["marker"]["color"])) == 2
    colours = np.array(said["marker"]["color"][:-5])[candles["complete"][5:]]
    assert len(set(colours[missed])) == len(set(colours[~missed])) == 1


def test_one_file_is_written_that_needs_no_network(tapeline: Tapeline, folder: Path) -> None:
    told = tapeline("report", "--html", "day.html", "--instrument", TRADED, "--day", "2024-01-01", "--json").json
    text = (folder / "day.html").read_text(encoding="utf-8")
    assert told["page"] == "day.html"
    assert told["title"].startswith("SIMULATED ")
    assert f"<title>{told['title']}</title>" in text
    assert "Plotly.newPlot" in text
    assert re.findall(r"""<(?:script|link|img)[^>]*\b(?:src|href)=""", text) == []


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        (("--day", "2024-01-01"), "names a day but no file"),
        (("abcd", "--html", "x.html"), "cannot be of a run and of a day"),
        (("--html", "x.html"), "--instrument: is missing"),
        (("--html", "x.html", "--instrument", TRADED, "--day", "2031-01-01"), "has no candles"),
        (("--html", "x.html", "--instrument", TRADED, "--day", "monday"), "monday"),
        (("--html", "no/x.html", "--instrument", TRADED), "--html no/x.html: cannot be written"),
        (("--html", "x.html", "--instrument", "XRP-USD.SIM"), "XRP-USD.SIM"),
    ],
)
def test_what_cannot_be_drawn_is_said(tapeline: Tapeline, folder: Path, asked: tuple[str, ...], what: str) -> None:
    found = tapeline("report", *asked)
    assert found.code != 0
    assert what in found.err
    assert not (folder / "x.html").exists()
