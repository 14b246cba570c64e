"""A folder that a Parquet store has written is read back as a tape, to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tapeline.clock import DAY
from tapeline.errors import UnreadableFile
from tapeline.recordings.base import open_recording
from tapeline.simulator.market import Market
from tapeline.stores import rows
from tapeline.stores.parquet import ParquetStore
from tapeline.types import Frame

TAPE = Frame.concat(list(Market(2, trades_per_second=0.02).frames(duration=3 * DAY)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = ParquetStore(tmp_path / "store")
    store.append(
        "instruments",
        rows.from_dicts(
            "instruments",
            {"instrument": TAPE.instrument, "venue": "SIM", "id_kind": "trade", "contiguous": True, "first_seen": 0},
        ),
    )
    store.append("trades", rows.from_frame(TAPE))
    store.close()
    return tmp_path / "store"


def test_the_trades_come_back_to_the_bit(folder: Path) -> None:
    files = sorted((folder / "trades").rglob("*.parquet"))
    assert len(files) == 3
    chunks = [chunk for file in files for chunk in open_recording(file).chunks(rows=500)]
    assert sum(chunk.read for chunk in chunks) == len(TAPE)
    again = Frame.concat([frame for chunk in chunks for frame in chunk.frames])
    for mine, theirs in zip(TAPE.columns(), again.columns(), strict=True):
        assert np.array_equal(mine, theirs)


def test_a_file_of_another_kind_is_refused(folder: Path) -> None:
    (file,) = (folder / "instruments").rglob("*.parquet")
    with pytest.raises(UnreadableFile, match="holds no trades: expected trades, was 'instruments'"):
        open_recording(file)
