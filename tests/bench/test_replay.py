from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import replay
from peers import pandas_idiomatic, pandas_vectorised, polars_candles, replayed, tape
from tapeline.types import Float


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tape.Tape:
    return tape.make(tmp_path_factory.mktemp("bench"), 30_000)


def test_a_tape_is_made_once(made: tape.Tape) -> None:
    before = made.plain.stat().st_mtime_ns
    assert tape.make(made.plain.parent, 30_000) == made
    assert made.plain.stat().st_mtime_ns == before


def test_the_peers_fill_quiet_periods(made: tape.Tape) -> None:
    seconds = polars_candles.candles(made.plain, [10**9])[10**9]
    assert (np.diff(seconds["ts_event"]) == 10**9).all()
    quiet = np.flatnonzero(seconds["trades"] == 0)
    assert len(quiet) > 100
    for name in ("open", "high", "low", "close"):
        np.testing.assert_array_equal(seconds[name][quiet], seconds["close"][quiet - 1])
    assert np.isnan(seconds["vwap"][quiet]).all()
    for peer in (pandas_idiomatic, pandas_vectorised):
        for name, values in peer.candles(made.plain, [10**9])[10**9].items():
            replay._equal(name, values, seconds[name])


def test_all_make_the_same(made: tape.Tape, capsys: pytest.CaptureFixture[str]) -> None:
    replay._check(made)
    assert "equal:" in capsys.readouterr().out


@pytest.mark.parametrize("column", [*polars_candles.COLUMNS, "ts_event"])
def test_a_peer_that_differs_is_noticed(made: tape.Tape, monkeypatch: pytest.MonkeyPatch, column: str) -> None:
    right = polars_candles.candles

    def wrong(file: Path, sizes: list[int]) -> dict[int, dict[str, Float]]:
        made_wrong = right(file, sizes)
        changed = made_wrong[sizes[0]][column].copy()
        changed[3] *= 1 + 1e-6
        made_wrong[sizes[0]][column] = changed
        return made_wrong

    monkeypatch.setattr(polars_candles, "candles", wrong)
    with pytest.raises(AssertionError, match=f"1m {column.replace('ts_event', 'open_time')}"):
        replay._check(made)


def test_every_feature_is_compared(made: tape.Tape) -> None:
    candles = pandas_vectorised.candles(made.plain, replay.SIZES)[replay.SIZES[0]]
    assert set(pandas_vectorised.technical(candles)) == set(replayed.FEATURES.names)
