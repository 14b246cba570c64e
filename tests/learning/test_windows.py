"""What models are shown: never across a break, and the same live and in batch."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.clock import MINUTE
from tapeline.errors import SnapshotMismatch, UsageError
from tapeline.learning.artifact import Artifact
from tapeline.learning.dataset import Dataset, build_dataset
from tapeline.learning.windows import Recent, Stretch, run_lengths, shown
from tapeline.models.base import Model
from tapeline.models.naive import LastPrice
from tapeline.models.persistence import Persistence
from tapeline.models.regime import HiddenMarkov
from tapeline.models.seasonal import SeasonalReturn
from tapeline.predict import Predictor
from tapeline.testing.models import planted
from tapeline.types import CANDLE, Records


class Three(LastPrice):
    window: ClassVar[int] = 3


def candles(rows: int) -> Records:
    made = np.zeros(rows, CANDLE)
    made["close_time"] = np.arange(1, rows + 1) * MINUTE
    made["close"] = 100 + np.sin(np.arange(rows))
    made["complete"] = True
    return made


def dataset(rows: Records, values: np.ndarray, complete: np.ndarray | None = None) -> Dataset:
    return build_dataset(
        rows,
        values,
        instrument="BTC-USD.SIM",
        timeframe="1m",
        horizon=MINUTE,
        columns=["number"],
        feature_set="mine",
        feature_version="v",
        complete=complete,
    )


@given(st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=40))
def test_run_lengths_are_what_a_plain_loop_counts(steps: list[tuple[int, bool]]) -> None:
    as_of = np.cumsum([step for step, _ in steps]).astype(np.int64)
    usable = np.array([good for _, good in steps], bool)
    count, before, wanted = 0, -9, []
    for at, good in zip(as_of.tolist(), usable.tolist(), strict=True):
        count = (count + 1 if at - before == 1 else 1) if good else 0
        before = at
        wanted.append(count)
    assert run_lengths(as_of, usable, 1).tolist() == wanted


@pytest.mark.parametrize("breaks", ["unknown", "incomplete", "missing"])
def test_no_window_crosses_a_break(breaks: str) -> None:
    rows, values, complete = candles(20), np.arange(20.0)[:, None], np.ones(20, bool)
    if breaks == "missing":
        rows, values, complete = np.delete(rows, 9), np.delete(values, 9, axis=0), np.delete(complete, 9)
    elif breaks == "unknown":
        values[9] = np.nan
    else:
        complete[9] = False
    data = dataset(rows, values, complete).for_target("return", 3)
    seen = data.shown(Three)[:, :, 0]
    assert (np.diff(seen, axis=1) == 1).all()
    assert not ((seen[:, 0] < 9) & (seen[:, -1] >= 9)).any()
    assert data.excluded["no 3 rows in a row"] >= 2
    assert {7.0, 8.0} < set(seen[:, -1]) or breaks == "missing"


def test_a_window_reaches_back_over_rows_without_an_outcome() -> None:
    data = planted(1, 60)
    returns = data.returns.copy()
    returns[::2] = 0.0  # the price stayed: no direction
    kept = replace(data, returns=returns).for_target("direction", 3)
    assert len(kept) == 29
    assert kept.shown(Three)[0].tobytes() == data.inputs[1:4].tobytes()


def test_rows_without_a_window_are_refused() -> None:
    with pytest.raises(
        UsageError, match="for model last_price: has rows without a whole window: expected 3 rows, was 2"
    ):
        planted(1, 60).shown(Three)


def test_the_time_of_day_is_the_last_input() -> None:
    data = planted(1, 60)
    seen = shown(SeasonalReturn, data.inputs, data.as_of, np.array([5, 6]))
    assert seen.shape == (2, 6)
    assert seen[:, -1].tolist() == [6 / 1440, 7 / 1440]


def test_what_is_remembered_has_a_fixed_size_and_survives_a_restart() -> None:
    data = planted(2, 50)
    whole = Stretch(data.inputs, data.as_of, np.ones(50, bool))
    once, bit_by_bit = Recent(4, 5), Recent(4, 5)
    once.push(whole)
    for row in range(50):
        bit_by_bit.push(Stretch(whole.inputs[row : row + 1], whole.as_of[row : row + 1], whole.complete[row : row + 1]))
        bit_by_bit = Recent(4, 5).restore(bit_by_bit.snapshot())
    assert bit_by_bit.snapshot() == once.snapshot()
    assert once.stretch.inputs.tobytes() == data.inputs[-4:].tobytes()
    with pytest.raises(SnapshotMismatch, match="cannot take this state: expected 196 bytes, was 3"):
        once.restore(b"abc")
    assert Recent(0, 5).size == 0


def artifact(kind: type[Model], data: Dataset) -> Artifact:
    model = kind().fit(data.shown(kind), data.labels(kind.target), seed=1, overlap=3, past=4)
    task = (data.instrument, data.timeframe, data.horizon, kind.target, kind.name, model.dump().decode())
    return Artifact(*task, data.columns, "planted", "0", -1.0, 1.0, 0.8, 0, 1, len(data), "run", "hash", 1, "code")


def test_every_target_is_answered_in_one_way_and_only_where_it_can_be() -> None:
    data = planted(3, 400).for_target("volatility", 60)
    predictor = Predictor([artifact(kind, data) for kind in (SeasonalReturn, Persistence, HiddenMarkov)])
    assert predictor.window == 60
    seen = planted(4, 200)
    inputs = seen.inputs.copy()
    inputs[100] = np.nan
    said = predictor.says(inputs, as_of=seen.as_of)
    assert {target: answer.shape for target, answer in said.items()} == {
        "return": (200,),
        "volatility": (200,),
        "regime": (200, 3),
    }
    known = {target: np.flatnonzero(~np.isnan(answer.reshape(200, -1)[:, 0])) for target, answer in said.items()}
    assert known["return"].tolist() == [row for row in range(200) if row != 100]
    assert known["volatility"].tolist() == [*range(29, 100), *range(130, 200)]
    assert known["regime"].tolist() == [*range(59, 100), *range(160, 200)]
    part = predictor.says(inputs[140:], as_of=seen.as_of[140:], skip=59)
    assert part["regime"][59:].tobytes() == said["regime"][199:].tobytes()
    assert np.isnan(part["return"][:59]).all()


def test_without_a_model_of_the_return_there_is_no_prediction_but_an_answer() -> None:
    data = planted(3, 400).for_target("regime", 60)
    predictor = Predictor([artifact(HiddenMarkov, data)])
    asked = planted(4, 80)
    assert predictor.predict_rows(asked.inputs, as_of=asked.as_of, close=asked.close, made_at=0) == [None] * 80
    told = predictor.explain(asked.inputs[:60], as_of=asked.as_of[:60])
    assert list(told["targets"]) == ["regime"]  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="expected 5 finite inputs of 60 rows"):
        predictor.explain(asked.inputs[0])
