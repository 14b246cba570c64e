"""Each fault of the simulator alone, and all together, over four venues: what truly happened is what is stored.

``TAPELINE_SEED`` picks another storm; each prints its own. ``make test-services`` runs a cut of them; ``make chaos``
runs all, and one over ``TAPELINE_STORM_SECONDS`` (default 600) with ``TAPELINE_STORM_RATE`` trades a second at each of
``TAPELINE_STORM_VENUES`` (default 5000, all four).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.chaos.storm import PAIRS, Storm, check
from tests.chaos.tally import check_memory, tallied

from tapeline.ingest.bounds import Bounds
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
LOSES = {"drop", "reorder"} | {name for name, (per, _) in FAULTS.items() if per in (Per.MESSAGE, Per.REQUEST)}
SHORT = {"stall", "drop", "past-stamp", "rest-cursor"}
"""What is tried alone wherever servers are."""

pytestmark = pytest.mark.chaos


def alone(fault: str) -> Mapping[str, float]:
    """Return a fault, with what it needs to strike often."""
    return {**COMPANY.get(FAULTS[fault][0], {}), fault: CHANCES[fault]}


async def weather(storm: Storm, seconds: float, *, at_once: bool = False) -> None:
    async with storm:
        for venue in storm.venues.values() if at_once else ():
            venue.spells.spared = frozenset()
        await storm.begin(*storm.venues)
        await storm.rage(seconds)
        await storm.calm()


@pytest.mark.parametrize(
    "fault", [pytest.param(name, marks=pytest.mark.services if name in SHORT else ()) for name in CHANCES]
)
async def test_one_fault(fault: str, tmp_path: Path) -> None:
    storm = Storm(tmp_path, alone(fault), SEED)
    with tallied(storm, SEED):
        await weather(storm, 8.0)
        assert storm.struck(fault) or fault in CANNOT_STRIKE, "the fault never struck"
        check(storm, loses=fault in LOSES)


@pytest.mark.services
async def test_all_faults_together(tmp_path: Path) -> None:
    storm = Storm(tmp_path, {name: SELDOM * chance for name, chance in CHANCES.items()}, SEED)
    with tallied(storm, SEED):
        await weather(storm, 8.0)
        check(storm)


async def test_all_faults_from_the_first_message_on(tmp_path: Path) -> None:
    storm = Storm(tmp_path, {name: SELDOM * chance for name, chance in CHANCES.items()}, SEED)
    with tallied(storm, SEED):
        await weather(storm, 8.0, at_once=True)
        check(storm)


@pytest.mark.services
@pytest.mark.parametrize("fault", ["disconnect", "stall"])
async def test_a_quiet_market_closes_no_candle_that_is_still_to_be_healed(fault: str, tmp_path: Path) -> None:
    storm = Storm(tmp_path, {fault: 0.1}, SEED, ["kraken", "coinbase", "binance"], rate=0.6)
    with tallied(storm, SEED):
        await weather(storm, 40.0)
        assert storm.struck(fault), "the fault never struck"
        check(storm)


async def test_a_long_storm(tmp_path: Path) -> None:
    values: dict[str, Any] = {
        name: os.environ.get(f"TAPELINE_STORM_{name.upper()}", usual)
        for name, usual in (("seconds", "600"), ("rate", "5000"), ("venues", ",".join(PAIRS)))
    }
    chances = {name: SELDOM * chance for name, chance in CHANCES.items()}
    names = values["venues"].split(",")
    rate, usual = float(values["rate"]), replace(Bounds(), backfill=10.0)
    storm = Storm(tmp_path, chances, SEED, names, rate=rate, speed=1.0, bounds=usual, silence=10.0)
    with tallied(storm, SEED):
        await weather(storm, float(values["seconds"]))
        check_memory(storm)
        check(storm)


@pytest.mark.services
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
    others = ["binance"] if fault == "refuse-auth" else []
    async with Storm(tmp_path, {fault: 1.0}, SEED, [venue, *others]) as storm:
        await storm.stopped(venue)
        assert says in storm.status(venue).reason
        await storm.begin(*others)


@pytest.mark.services
async def test_a_venue_that_says_goodbye_leaves_nothing_to_heal(tmp_path: Path) -> None:
    async with Storm(tmp_path, {"shutdown": 0.2}, SEED, ["binance"], speed=2.0) as storm:
        await storm.begin("binance")
        await storm.live("binance")
        requests = storm.status("binance").requests
        await storm.rage(20.0)
        assert storm.struck("shutdown")
        assert storm.status("binance").connects > 1
        assert storm.status("binance").requests == requests
        await storm.calm()
    check(storm)
