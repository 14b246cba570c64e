"""Each fault of the simulator alone, and all together, over four venues: what truly happened is what is stored.

``TAPELINE_SEED`` picks another storm; a failing one is printed. ``make chaos`` goes on with ever new ones for
``TAPELINE_CHAOS_SECONDS`` (default 600), with ``TAPELINE_CHAOS_RATE`` trades a second at each venue (default 500).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest
from tests.chaos.storm import Storm, check, check_verified

from tapeline.simulator.faults import FAULTS, Per

SEED = int(os.environ.get("TAPELINE_SEED", "1"))
OFTEN = {
    Per.SECOND: 0.3,
    Per.CONNECTION: 0.7,
    Per.BATCH: 0.1,
    Per.MESSAGE: 0.1,
    Per.REQUEST: 0.4,
    Per.START: 1.0,
}
CHANCES = {name: OFTEN[per] for name, (per, _) in FAULTS.items() if per in OFTEN} | {"huge": 0.05}
SELDOM = 0.1
"""How often each of all faults strikes, compared with one alone."""
COMPANY: Mapping[Per, Mapping[str, float]] = {
    Per.CONNECTION: {"disconnect": 0.3},
    Per.REQUEST: {"disconnect": 0.3, "drop": 0.2},
}
"""What makes connections and requests at which these can strike."""
CANNOT_STRIKE = {"fight", "slow-reader"}
"""Our client is alone, and reads at once: that these may be asked for is all that is tried."""
LIES = {"restart-ids", "past-stamp"}
LOSES = {"drop", "reorder"} | {name for name, (per, _) in FAULTS.items() if per in (Per.MESSAGE, Per.REQUEST)}


def alone(fault: str) -> Mapping[str, float]:
    """Return a fault, with what it needs to strike often."""
    return {**COMPANY.get(FAULTS[fault][0], {}), fault: CHANCES[fault]}


@pytest.mark.chaos
@pytest.mark.parametrize("fault", CHANCES)
async def test_one_fault(fault: str, tmp_path: Path) -> None:
    print(f"TAPELINE_SEED={SEED}")
    storm = Storm(tmp_path, alone(fault), SEED)
    async with storm:
        await storm.begin()
        await storm.rage(8)
        await storm.calm()
    assert storm.struck(fault) or fault in CANNOT_STRIKE, "the fault never struck"
    for name in storm.venues:
        check(storm, name, lies=fault in LIES, loses=fault in LOSES)


@pytest.mark.chaos
@pytest.mark.parametrize("seed", [SEED])
async def test_all_faults_together(seed: int, tmp_path: Path) -> None:
    await all_together(seed, tmp_path, {name: SELDOM * chance for name, chance in CHANCES.items()})


async def all_together(
    seed: int, folder: Path, chances: Mapping[str, float], *, seconds: float = 8.0, rate: float = 40.0
) -> None:
    print(f"TAPELINE_SEED={seed}")
    storm = Storm(folder, chances, seed, rate=rate)
    async with storm:
        await storm.begin()
        await storm.rage(seconds)
        await storm.calm()
    for name in storm.venues:
        check(storm, name, lies=True)
    check_verified(storm)


@pytest.mark.chaos
async def test_ever_new_storms(tmp_path: Path) -> None:
    end, rate = time.monotonic() + float(os.environ.get("TAPELINE_CHAOS_SECONDS", "600")), _rate()
    seed = SEED
    while time.monotonic() < end:
        random = Random(seed)
        chances = {name: chance * SELDOM * random.random() for name, chance in CHANCES.items() if random.random() < 0.5}
        folder = tmp_path / str(seed)
        folder.mkdir()
        await all_together(seed, folder, chances, seconds=60.0, rate=rate)
        seed += 1


def _rate() -> float:
    return float(os.environ.get("TAPELINE_CHAOS_RATE", "500"))


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("fault", "venue", "says"),
    [
        ("refuse-symbol", "kraken", "refused"),
        ("refuse-symbol", "coinbase", "refused"),
        ("refuse-auth", "massive", "key"),
    ],
)
async def test_what_a_venue_refuses_stops_with_its_reason_and_the_others_go_on(
    fault: str, venue: str, says: str, tmp_path: Path
) -> None:
    storm = Storm(tmp_path, {fault: 1.0}, SEED, [venue, "binance"] if fault == "refuse-auth" else [venue])
    async with storm:
        await storm.stopped(venue)
        assert says in storm.status(venue).reason
        await storm.begin(*(storm.venues.keys() - {venue}))
