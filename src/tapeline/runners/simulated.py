"""The simulated market that stands in where no venue can be reached: the same one again after every start.

Its whole path follows from a seed and an instant, which are kept beside the database. So it goes on while the process
is down, as a real venue does, and what was missed can be asked for and healed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from tapeline.clock import DAY, MINUTE
from tapeline.errors import UnreadableFile, UsageError
from tapeline.simulator.sources import MarketSource
from tapeline.stores import rows
from tapeline.stores.base import KINDS

VENUE = "SIM"
SPEAKS = "KRAKEN"
"""The venue whose wire protocol the simulated one speaks."""
PAIRS = {"BTC-USD": 3 * DAY, "ETH-USD": DAY // 2, "SOL-USD": DAY // 2}
"""What it trades, and how much of its past there is when it opens (ns)."""
_RESOLUTION = 1_000


class Simulation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What makes the market.

    Attributes:
        start: when it goes live for the first time, ns UTC: a whole minute.
        seed: of its path.
        edge: the planted share (R^2) of predictable variance; 0: there is nothing to find.
        trades_per_second: of each instrument.
    """

    start: int
    seed: int = 7
    edge: float = 0.1
    trades_per_second: float = 2.0

    @classmethod
    def beside(cls, db: Path, *, now: int, seed: int | None = None, edge: float | None = None) -> Simulation:
        """Return the simulation of a database: the one begun there, or a new one that starts now.

        Raises:
            UsageError: another one was begun there.
            UnreadableFile: the file that tells it was damaged.
        """
        file = db.with_name(f"{db.name}.simulation.json")
        asked = {name: value for name, value in {"seed": seed, "edge": edge}.items() if value is not None}
        if not file.exists():
            made = msgspec.convert({"start": now - now % MINUTE, **asked}, cls)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(msgspec.json.encode(made))
            return made
        try:
            kept = msgspec.json.decode(file.read_bytes(), type=cls)
        except msgspec.DecodeError as error:
            step = f"remove it and {db.name} to begin anew"
            raise UnreadableFile(f"simulation {file}", f"cannot be read ({error})", next_step=step) from error
        if any(getattr(kept, name) != value for name, value in asked.items()):
            was = ", ".join(f"{name} {value:g}" for name, value in asked.items())
            rule = f"seed {kept.seed}, edge {kept.edge:g}, as it was begun"
            step = "leave the options out, or name another database with --db"
            raise UsageError(f"simulation {file}", "is another market", expected=rule, was=was, next_step=step)
        return kept

    @property
    def instruments(self) -> tuple[str, ...]:
        """Return what it trades, as it is kept."""
        return tuple(f"{pair}.{VENUE}" for pair in PAIRS)

    def sources(self) -> list[MarketSource]:
        """Return the market of each instrument, from the beginning of its past on."""
        return [
            MarketSource(
                f"{pair}.{SPEAKS}",
                self.seed,
                now=self.start,
                history=past,
                rate=self.trades_per_second,
                edge=self.edge,
                resolution=_RESOLUTION,
            )
            for pair, past in PAIRS.items()
        ]

    def record(self, folder: Path) -> list[Path]:
        """Write the past of each instrument, up to ``start``, as a recording, and return the files."""
        schema = KINDS["trades"].schema.with_metadata({"tapeline": "1"})
        files = []
        for name, source in zip(self.instruments, self.sources(), strict=True):
            past = replace(source.until(self.start), instrument=name)
            files.append(folder / f"simulated-{name}.parquet")
            pq.write_table(pa.table(rows.from_frame(past)).cast(schema), files[-1], compression="zstd")
        return files
