"""The demo: the whole job on the project's own simulated market, from history to live predictions with their score.

Everything it shows is simulated and says so. A history is imported as a user's file would be, a model is trained on
it and must pass the gate, and then the same market goes on live: trades are folded, committed and predicted from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tapeline.clock import DAY, MINUTE, Clock
from tapeline.config import Settings
from tapeline.importing import ImportReport, Progress, import_files
from tapeline.lane import Lane
from tapeline.learning.artifact import model_name
from tapeline.pipeline import Outputs
from tapeline.recorder import Recorder
from tapeline.runners.replay import Pace
from tapeline.runs import Run, train_instrument
from tapeline.serving import Champion, champion_loader
from tapeline.simulator.market import Market
from tapeline.stores import rows
from tapeline.stores.base import KINDS, Store
from tapeline.train import Progress as TrainProgress
from tapeline.train import TrainSettings
from tapeline.types import Decision, DecisionKind, Frame

TIMEFRAME = "1m"
HORIZON = 5 * MINUTE


@dataclass(frozen=True, slots=True)
class Plan:
    """What the demo simulates.

    Attributes:
        seed: of the market.
        edge: the planted predictable share (R^2) of five-minute returns; 0 plants nothing, and nothing should be found.
        history: how much of the market is there before it goes live, ns.
        trades_per_second: of the market.
    """

    seed: int = 7
    edge: float = 0.1
    history: int = 5 * DAY
    trades_per_second: float = 2.0


class Demo:
    """The demo's steps, to be called in order.

    Args:
        plan: what to simulate.
        store: an empty database.
        settings: timeframes and feature sets; the timeframe 1m and the set ``technical`` must be among them.
        folder: takes the simulated recording.
        clock: tells when models were registered and predictions made.
    """

    def __init__(self, plan: Plan, store: Store, settings: Settings, folder: Path, *, clock: Clock) -> None:
        self.market = Market(plan.seed, edge=plan.edge, trades_per_second=plan.trades_per_second)
        self.instrument = self.market.instrument
        self._plan = plan
        self._store = store
        self._settings = settings
        self._file = folder / "simulated-history.parquet"
        self._clock = clock
        self._future: Iterator[Frame] = iter(())

    def record(self) -> Path:
        """Write the market's history as a recording, and return the file."""
        frames = self.market.frames()
        schema = KINDS["trades"].schema.with_metadata({"tapeline": "1"})
        with pq.ParquetWriter(self._file, schema, compression="zstd") as writer:
            end = None
            for frame in frames:
                end = int(frame.ts_event[0]) + self._plan.history if end is None else end
                keep = int(frame.ts_event.searchsorted(end))
                writer.write_table(pa.table(rows.from_frame(frame.take(slice(0, keep)))).cast(schema))
                if keep < len(frame):
                    self._future = chain([frame.take(slice(keep, None))], frames)
                    return self._file
        return self._file

    def load(self, progress: Progress) -> ImportReport:
        """Import the recording."""
        return import_files([self._file], self._store, self._settings, clock=self._clock, progress=progress)

    def train(self, progress: TrainProgress) -> Run:
        """Train on the history; the gate decides who answers."""
        return train_instrument(
            self._store,
            self._settings,
            self.instrument,
            timeframe=TIMEFRAME,
            horizon=HORIZON,
            feature_set="market",
            asked=TrainSettings(),
            clock=self._clock,
            progress=progress,
        )

    def live(self, pace: Pace) -> Iterator[Outputs]:
        """Let the market go on: fold, commit and predict, each step in one transaction."""
        recorder = Recorder(self._store, self._settings, clock=self._clock, load_model=champion_loader(self._store))
        lane = recorder.lane(self.instrument)
        with self._store.transaction():
            recorder.feed(lane, self._champion(lane))
            recorder.write_state(lane)
        for record in pace(self._future):
            with self._store.transaction():
                outputs = recorder.feed(lane, record)
                recorder.write_state(lane)
            yield outputs

    def _champion(self, lane: Lane) -> Decision:
        """Return the decision that the champion answers from now on."""
        champion = Champion.of(self._store, model_name(self.instrument, TIMEFRAME, HORIZON))
        position = lane.pipeline.ledger.position
        assert position is not None
        closed = int(lane.pipeline.running()[TIMEFRAME]["open_time"][0])
        return Decision(self.instrument, DecisionKind.MODEL, position[1], closed, champion.key)
