"""The terminal view of a live process: venues, lag, instruments, and the busiest of them in detail."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from tapeline.clock import ManualClock
from tapeline.hub import Committed
from tapeline.ledger import Admission, Run
from tapeline.pipeline import Outputs
from tapeline.runners.live_view import LiveView
from tapeline.types import Frame

VENUE = {
    "venue": "KRAKEN",
    "feed": "trade",
    "state": "healing",
    "reason": "",
    "refused": {"FOO-BAR.KRAKEN": "no such symbol"},
    "trades": 12345,
    "connects": 2,
    "healed": 67,
    "unhealable": 8,
    "skew_ms": -1.4,
}
INSTRUMENT = {
    "instrument": "BTC-USD.KRAKEN",
    "price": 60031.5,
    "trades_per_second": 19.8,
    "pending": 86,
    "gaps": {"open": 3, "healed": 19, "unhealable": 1},
    "late": 4,
    "dead_letters": 5,
}
STATUS = {
    "simulated": True,
    "health": "degraded",
    "reasons": ["BTC-USD.KRAKEN: 3 open gaps"],
    "memory_bytes": 341e6,
    "latency_ms": {"total": {"p50": 5.84, "p99": 37.96, "count": 9}},
    "venues": [VENUE],
    "instruments": [INSTRUMENT],
}


def shown(view: LiveView) -> str:
    console = Console(width=160)
    with console.capture() as captured:
        console.print(view)
    return captured.get()


def test_before_anything_came_nothing_is_invented() -> None:
    view = LiveView("1m", [], clock=ManualClock(5))
    assert "starting" in shown(view)
    assert "waiting for the first trade" in shown(view)
    unknown: dict[str, Any] = {
        "latency_ms": {"total": {"p50": None, "p99": None, "count": 0}},
        "venues": [VENUE | {"skew_ms": None}],
        "instruments": [INSTRUMENT | {"price": None, "trades_per_second": None}],
    }
    view.set_status(STATUS | unknown)
    assert "lag unknown" in shown(view)
    assert shown(view).count("unknown") == 4


def test_it_shows_how_the_process_is() -> None:
    view = LiveView("1m", [], clock=ManualClock(5))
    view.address = "http://127.0.0.1:8787"
    view.set_status(STATUS)
    head, *lines = shown(view).splitlines()
    assert head.startswith(" SIMULATED  degraded  BTC-USD.KRAKEN: 3 open gaps")
    assert "lag 5.8 ms, 99 % below 38.0 ms  341 MB  http://127.0.0.1:8787" in head
    (venue,) = (line.split() for line in lines if "KRAKEN" in line and "healing" in line)
    assert venue[:10] == ["KRAKEN", "trade", "healing", "12,345", "2", "67", "8", "-1", "ms", "FOO-BAR.KRAKEN:"]
    (instrument,) = (line.split() for line in lines if line.split()[:1] == ["BTC-USD.KRAKEN"])
    assert instrument == ["BTC-USD.KRAKEN", "60031.5", "19.8", "86", "3", "19", "1", "4", "5"]


def test_the_busiest_instrument_is_shown_in_detail() -> None:
    view = LiveView("1m", [], clock=ManualClock(5))
    for name, count in (("A-B.SIM", 2), ("C-D.SIM", 3), ("E-F.SIM", 1)):
        ids = list(range(count))
        trades = Frame.of(name, trade_id=ids, ts_event=ids, price=[1.0] * count, qty=[1.0] * count)
        nothing = Frame.empty(name)
        view.take(
            Committed(name, Outputs(Admission([Run(trades, after_gap=False)], nothing, nothing, nothing), trades))
        )
    assert "C-D.SIM" in shown(view)
    assert "A-B.SIM" not in shown(view)
