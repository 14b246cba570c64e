from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from tests.recordings import tools

from tapeline.errors import UnreadableFile
from tapeline.recordings.base import open_recording


def test_an_export_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "export.parquet"
    path.write_bytes(tools.export(6, ("BTC-USD.SIM", "ETH-USD.SIM")))
    whole = tools.read(path)
    assert {name: frame.trade_id.tolist() for name, frame in whole.frames.items()} == {
        "BTC-USD.SIM": [0, 2, 4],
        "ETH-USD.SIM": [1, 3, 5],
    }
    frame = whole.frames["BTC-USD.SIM"]
    assert [column[1].item() for column in frame.columns()] == [
        2, (tools.START_MS + 2) * 10**6, (tools.START_MS + 2) * 10**6 + 5, 1.5, 2.0, -1, 3,
    ]  # fmt: skip


def test_parquet_without_our_mark_or_columns_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    path.write_bytes(tools.parquet(pa.table({"x": [1]})))
    with pytest.raises(UnreadableFile, match="has no column for price"):
        open_recording(path)
    with pytest.raises(UnreadableFile, match="is no export of the tape"):
        open_recording(path, format="tapeline-parquet")
