"""How the process is: told by the live process, or for a stored database by what it holds."""

from __future__ import annotations

from functools import partial
from typing import Any

from tapeline import __version__
from tapeline.api import reads
from tapeline.api.context import Context
from tapeline.clock import format_time


async def status_of(shared: Context) -> dict[str, Any]:
    """Return the status of the process."""
    if shared.live is not None:
        return shared.live.status()
    held = (await shared.read(partial(reads.instruments, settings=shared.settings))).items
    return {
        "simulated": any(one.simulated for one in held),
        "version": __version__,
        "started": None,
        "now": format_time(shared.clock.now()),
        "venues": [],
        "instruments": [
            {
                "instrument": one.instrument,
                "venue": one.venue,
                "simulated": one.simulated,
                "timeframes": one.timeframes,
                "last_trade": one.last,
                "gaps": {"open": one.open_gaps},
            }
            for one in held
        ],
        "latency_ms": {},
        "anomaly_threshold": 1 - shared.settings.anomaly_rate,
        "health": "healthy",
        "reasons": ["a stored database: nothing is live"],
    }
