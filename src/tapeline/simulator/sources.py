"""Where the trades of a simulated venue come from: a market that goes on for ever, or a recorded tape told anew."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from tapeline.clock import SECOND
from tapeline.errors import UsageError
from tapeline.simulator.market import Market
from tapeline.simulator.tape import Listing
from tapeline.types import Float, Frame, check_instrument

_MOST_DECIMALS = 12
_MOST_HISTORY = 50_000_000
_ROWS = 4096
_SCALES = {
    "BTC": (60_000.0, 1, 0.01),
    "ETH": (3_000.0, 2, 0.1),
    "BNB": (600.0, 2, 0.5),
    "SOL": (150.0, 2, 2.0),
    "XRP": (0.6, 5, 500.0),
    "ADA": (0.45, 5, 600.0),
    "DOGE": (0.12, 6, 2_000.0),
    "AVAX": (30.0, 3, 10.0),
    "DOT": (6.0, 4, 50.0),
    "LINK": (14.0, 3, 20.0),
}
_COIN = (10.0, 3, 10.0)
_STOCK = (200.0, 2, 50.0)
_LOT_DECIMALS = 5


class Source(Protocol):
    """The trades of one instrument, ever later."""

    listing: Listing

    def until(self, now: int) -> Frame:
        """Return what has happened since it was asked last, up to ``now`` (ns UTC)."""


class MarketSource:
    """A simulated market of an instrument, which begins ``history`` before ``now``.

    Args:
        instrument: its name; well-known coins begin at about the price they had.
        seed: with the name it picks the path.
        now: when the venue opens, ns UTC.
        history: how long it has gone on by then, ns.
        rate: mean trades per second.
        edge: as in `Market`.
        steady: as in `Market`.
        resolution: the grid of ts_event, ns.

    Raises:
        UsageError: the history would be of more trades than fit into memory.
    """

    def __init__(
        self,
        instrument: str,
        seed: int,
        *,
        now: int,
        history: int,
        rate: float,
        edge: float = 0.0,
        steady: bool = False,
        resolution: int = 1,
    ) -> None:
        base, _, quote = check_instrument(instrument).rpartition(".")[0].partition("-")
        price, decimals, size = _SCALES.get(base, _COIN if quote else _STOCK)
        if rate * history / SECOND > _MOST_HISTORY:
            rule = f"at most {_MOST_HISTORY:,} trades before the start"
            was = f"{rate * history / SECOND:,.0f}"
            raise UsageError("simulator history", "is too long", expected=rule, was=was, next_step="shorten it")
        lot_decimals = _LOT_DECIMALS if quote else 0
        self.listing = Listing(instrument, base, quote, decimals, lot_decimals)
        market = Market(
            zlib.crc32(f"{seed} {instrument}".encode()),
            instrument=instrument,
            start=now - history,
            price=price,
            tick=10.0**-decimals,
            lot=10.0**-lot_decimals,
            size=size,
            trades_per_second=rate,
            edge=edge,
            steady=steady,
        )
        self._released = _Released(market.frames(rows=_ROWS), instrument, resolution)

    def until(self, now: int) -> Frame:
        """Return what has happened since it was asked last, up to ``now`` (ns UTC)."""
        return self._released.until(now)


class RecordedSource:
    """A recorded tape told as if it happened now: ids are kept, times are shifted.

    Args:
        tape: its trades in the order in which they happened.
        shift: how much later it happens than it did, ns; instruments recorded together are shifted together.
        speed: how many seconds of it pass in one, from ``begin`` on.
        begin: the instant (ns UTC, as recorded) that passes at any speed.
        resolution: the grid of ts_event, ns.
    """

    def __init__(self, tape: Frame, *, shift: int = 0, speed: float = 1.0, begin: int = 0, resolution: int = 1) -> None:
        base, _, quote = tape.instrument.rpartition(".")[0].partition("-")
        self.listing = Listing(tape.instrument, base, quote, decimals_of(tape.price), decimals_of(tape.qty))
        passed = tape.ts_event - begin
        if speed != 1.0:
            passed = (passed / speed).astype(np.int64)
        stamps = np.maximum.accumulate(begin + passed + shift)
        told = Frame(tape.instrument, tape.trade_id, stamps, stamps, *tape.columns()[3:])
        self._released = _Released(iter([told]), tape.instrument, resolution)

    def until(self, now: int) -> Frame:
        """Return what has happened since it was asked last, up to ``now`` (ns UTC)."""
        return self._released.until(now)


def recorded_sources(
    frames: Sequence[Frame], venue: str, *, now: int | None, speed: float = 1.0, resolution: int = 1
) -> list[RecordedSource]:
    """Return sources that tell recorded tapes together: the first of their trades happens ``now`` (None: when it did).

    They take the name of the venue that tells them.
    """
    begin = min(int(frame.ts_event.min()) for frame in frames)
    shift = 0 if now is None else now - begin
    return [
        RecordedSource(
            Frame(listed(frame.instrument, venue), *frame.columns()),
            shift=shift,
            speed=speed,
            begin=begin,
            resolution=resolution,
        )
        for frame in frames
    ]


def listed(instrument: str, venue: str) -> str:
    """Return the name under which a venue lists an instrument, whatever venue it is said to be of.

    >>> listed("BTC-USD", "KRAKEN"), listed("BTC-USD.SIM", "KRAKEN"), listed("BRK.B.MASSIVE", "MASSIVE")
    ('BTC-USD.KRAKEN', 'BTC-USD.KRAKEN', 'BRK.B.MASSIVE')
    """
    base, dot, said = instrument.rpartition(".")
    known = dot and (said in {venue, "SIM"} or "-" in base)
    return f"{base if known else instrument}.{venue}"


def decimals_of(values: Float) -> int | None:
    """Return how many decimals write every number exactly; None where more than 12 would be needed.

    >>> import numpy as np
    >>> decimals_of(np.array([0.1, 0.25])), decimals_of(np.array([1 / 3]))
    (2, None)
    """
    for decimals in range(_MOST_DECIMALS + 1):
        if (np.round(values, decimals) == values).all():
            return decimals
    return None


class _Released:
    """Trades that wait for their instant."""

    def __init__(self, frames: Iterator[Frame], instrument: str, resolution: int) -> None:
        self._frames = frames
        self._resolution = resolution
        self._waiting = Frame.empty(instrument)
        self._over = False

    def until(self, now: int) -> Frame:
        due: list[Frame] = []
        while True:
            cut = int(np.searchsorted(self._waiting.ts_event, now, side="right"))
            due.append(self._waiting.take(slice(cut)))
            self._waiting = self._waiting.take(slice(cut, None))
            if len(self._waiting) or self._over:
                return Frame.concat(due)
            found = next(self._frames, None)
            self._over = found is None
            if found is not None:
                self._waiting = _on_grid(found, self._resolution)


def _on_grid(frame: Frame, resolution: int) -> Frame:
    stamps = frame.ts_event - frame.ts_event % resolution
    return Frame(frame.instrument, frame.trade_id, stamps, *frame.columns()[2:])
