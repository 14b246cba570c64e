import io
import json
from typing import Any

from tapeline import wire
from tapeline.clock import ManualClock
from tapeline.hub import Committed
from tapeline.ingest.base import State, Status
from tapeline.pipeline import Layout, Pipeline
from tapeline.runners.journal import Journal, json_lines
from tapeline.types import Frame

MINUTE = 60_000_000_000


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def journal() -> tuple[Journal, io.StringIO]:
    stream = io.StringIO()
    return Journal(json_lines(stream, ManualClock(5 * MINUTE))), stream


def test_a_closed_candle_is_one_line_with_its_instrument_and_time() -> None:
    book, stream = journal()
    pipeline = Pipeline("BTC-USD.SIM", Layout(timeframes=("1m",)))
    frame = Frame.of("BTC-USD.SIM", trade_id=[1, 2], ts_event=[0, MINUTE], price=[10, 11], qty=[1, 1])

    book.take(Committed("BTC-USD.SIM", pipeline.feed(frame)))

    (line,) = lines(stream)
    assert line["event"] == "candle"
    assert line["instrument"] == "BTC-USD.SIM"
    assert line["time"] == "1970-01-01T00:05:00Z"
    assert (line["timeframe"], line["open_time"], line["close"]) == ("1m", "1970-01-01T00:00:00Z", 10.0)


def test_a_connection_is_told_when_it_changes_and_only_then() -> None:
    book, stream = journal()
    status = Status("KRAKEN", "trade", 3)

    book.take_connection(status)
    book.take_connection(status)
    status.state, status.reason = State.STALE, "no message for 10 s"
    book.take_connection(status)
    status.messages += 1
    book.take_connection(status)

    told = [(line["venue"], line["connection"], line["state"], line["level"]) for line in lines(stream)]
    assert told == [("KRAKEN", 3, "connecting", "info"), ("KRAKEN", 3, "stale", "warning")]


def test_gaps_are_warnings() -> None:
    book, stream = journal()
    outputs = Pipeline("A.SIM", Layout(timeframes=("1m",))).feed(Frame.empty("A.SIM"))

    book.take(Committed("A.SIM", outputs, gaps=[wire.gap("A.SIM", 5, 9, "open")]))

    (line,) = lines(stream)
    assert (line["event"], line["level"], line["first_missing"], line["last_missing"]) == ("gap", "warning", 5, 9)


def test_a_gap_is_told_once_for_each_thing_that_becomes_of_it() -> None:
    book, stream = journal()
    outputs = Pipeline("A.SIM", Layout(timeframes=("1m",))).feed(Frame.empty("A.SIM"))
    first, second = wire.gap("A.SIM", 5, 9, "open"), wire.gap("A.SIM", 20, 20, "open")

    book.take(Committed("A.SIM", outputs, gaps=[first]))
    book.take(Committed("A.SIM", outputs))
    book.take(Committed("A.SIM", outputs, gaps=[first, second]))
    book.take(Committed("A.SIM", outputs, gaps=[wire.gap("A.SIM", 5, 9, "healed"), second]))

    told = [(line["first_missing"], line["status"], line["level"]) for line in lines(stream)]
    assert told == [(5, "open", "warning"), (20, "open", "warning"), (5, "healed", "info")]
