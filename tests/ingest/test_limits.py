"""Allowances: never more than the rate in any window, the urgent first."""

from __future__ import annotations

import asyncio

from tapeline.exchanges.base import Rate
from tapeline.ingest.limits import Allowance


def _now() -> float:
    return asyncio.get_running_loop().time()


async def test_never_more_than_the_rate_in_any_window() -> None:
    allowance, times = Allowance(Rate(3, 0.05)), []
    for _ in range(10):
        await allowance.take()
        times.append(_now())
    assert all(later - earlier >= 0.049 for earlier, later in zip(times, times[3:], strict=False))
    assert times[-1] - times[0] < 1


async def test_weights_count() -> None:
    allowance, began = Allowance(Rate(10, 0.05)), _now()
    await allowance.take(8)
    await allowance.take(2)
    assert _now() - began < 0.04
    await allowance.take(1000)
    assert _now() - began >= 0.049


async def test_the_urgent_go_first() -> None:
    allowance, order = Allowance(Rate(1, 0.02)), []
    await allowance.take()

    async def ask(name: str, *, urgent: bool) -> None:
        await allowance.take(urgent=urgent)
        order.append(name)

    patient = [asyncio.create_task(ask(f"backfill {n}", urgent=False)) for n in range(3)]
    await asyncio.sleep(0)
    await asyncio.gather(ask("heal", urgent=True), *patient)
    assert order == ["heal", "backfill 0", "backfill 1", "backfill 2"]


async def test_a_closed_venue_is_left_alone() -> None:
    allowance, began = Allowance(Rate(100, 1)), _now()
    allowance.close(0.05)
    await allowance.take()
    assert _now() - began >= 0.049


async def test_who_stops_waiting_does_not_block_the_others() -> None:
    allowance = Allowance(Rate(1, 0.03))
    await allowance.take()
    waiting = asyncio.create_task(allowance.take())
    await asyncio.sleep(0)
    waiting.cancel()
    async with asyncio.timeout(1):
        await allowance.take(urgent=False)
