from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tapeline.clock import MINUTE
from tapeline.errors import NotEnoughData, UsageError
from tapeline.labels import past_return
from tapeline.learning.dataset import Dataset, build_dataset
from tapeline.testing.models import planted
from tapeline.types import CANDLE, Float, Records, Timeframe


def candles(rows: int) -> Records:
    made = np.zeros(rows, CANDLE)
    made["close_time"] = np.arange(1, rows + 1) * MINUTE
    made["close"] = 100 + np.sin(np.arange(rows))
    made["complete"] = True
    return made


def build(rows: Records, values: Float | None = None, **changes: Any) -> Dataset:
    settings: dict[str, Any] = {"instrument": "BTC-USD.SIM", "timeframe": "1m", "horizon": 2 * MINUTE}
    settings |= {"columns": ["a", "b"], "feature_set": "mine", "feature_version": "v1"}
    return build_dataset(rows, np.ones((len(rows), 2)) if values is None else values, **(settings | changes))


def test_the_past_return_is_the_last_column() -> None:
    rows = candles(10)
    data = build(rows)
    assert data.columns == ("a", "b", "return_2")
    assert data.past == 2
    assert data.overlap == 2
    assert data.inputs[:, 2].tolist() == past_return(rows, Timeframe.parse("1m"), 2 * MINUTE)[2:8].tolist()
    assert data.as_of.tolist() == [minute * MINUTE for minute in range(3, 9)]


def test_a_past_return_that_is_given_is_taken_as_it_is() -> None:
    data = build(candles(10), columns=["return_2", "b"])
    assert data.columns == ("return_2", "b")
    assert data.past == 0
    assert (data.inputs[:, 0] == 1).all()


def test_what_is_left_out_is_counted_by_its_first_reason() -> None:
    rows = candles(12)
    values = np.ones((12, 2))
    values[:3, 1] = np.nan
    values[5, 0] = np.inf
    whole = np.ones(12, bool)
    whole[[2, 7]] = False
    data = build(rows, values, complete=whole)
    assert data.excluded == {
        "incomplete candles in the window": 2,
        "inputs unknown (warming up)": 2,
        "inputs infinite": 1,
        "outcome unknown": 2,
    }
    assert len(data) == 12 - 7
    assert np.isfinite(data.inputs).all()
    assert np.isfinite(data.returns).all()


def test_nothing_left_names_the_column_that_is_never_known() -> None:
    values = np.ones((9, 2))
    values[:, 1] = np.nan
    text = r"among 9 \(9 inputs unknown \(warming up\)\): .* never known in 9 candles: b; "
    with pytest.raises(NotEnoughData, match=text):
        build(candles(9), values)


def test_all_incomplete_is_said() -> None:
    rows = candles(9)
    rows["complete"] = False
    with pytest.raises(NotEnoughData, match="9 incomplete candles in the window"):
        build(rows)


def test_no_candles_is_said() -> None:
    with pytest.raises(NotEnoughData, match="has no candles"):
        build(candles(0))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"columns": ["a", "a"]}, "names a column twice: expected each name once, was 'a'"),
        ({"columns": ["a"]}, r"expected 9 x 1 values, was \(9, 2\)"),
        ({"horizon": 0}, "positive multiple of 1m"),
        ({"timeframe": "7m"}, "is not a timeframe"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        build(candles(9), **changes)


def test_the_digest_follows_every_part() -> None:
    data = planted(1, 50)
    others = [
        replace(data, columns=("x", *data.columns[1:])),
        replace(data, returns=data.returns + 1e-12),
        replace(data, inputs=data.inputs * 2),
        replace(data, as_of=data.as_of + 1),
        replace(data, close=data.close + 1),
        replace(data, horizon=data.horizon * 2),
    ]
    assert data.digest() == planted(1, 50).digest()
    assert len({data.digest(), *(other.digest() for other in others)}) == 7
