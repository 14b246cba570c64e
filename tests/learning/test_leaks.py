from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tapeline.clock import MINUTE
from tapeline.errors import BrokenInvariant, NotEnoughData
from tapeline.learning.leaks import check_leaks, shuffled
from tapeline.types import CANDLE, Float, Records


def candles(rows: int = 200) -> Records:
    draw = np.random.default_rng(5)
    made = np.zeros(rows, CANDLE)
    made["close_time"] = np.arange(1, rows + 1) * MINUTE
    made["close"] = 100 * np.exp(np.cumsum(draw.normal(0, 0.001, rows)))
    made["volume"] = draw.exponential(size=rows)
    made["complete"] = True
    return made


def honest(rows: Records) -> Float:
    close = rows["close"]
    return np.column_stack((close / np.maximum.accumulate(close), np.cumsum(rows["volume"])))


def next_close(rows: Records) -> Float:
    close: Float = rows["close"]
    return np.append(close[1:], close[-1:]) / close


def centred_mean(rows: Records) -> Float:
    return np.convolve(rows["close"], np.ones(5) / 5, "same")


def scaled_by_all(rows: Records) -> Float:
    close: Float = rows["close"]
    scaled: Float = (close - close.mean()) / close.std()
    return scaled


def filled_from_the_future(rows: Records) -> Float:
    known: Float = np.where(np.arange(len(rows)) % 10 == 9, rows["close"], np.nan)
    later = np.minimum(np.arange(len(rows)) // 10 * 10 + 9, len(rows) - 1)
    filled: Float = known[later]
    return filled


def rank_among_all(rows: Records) -> Float:
    return np.argsort(np.argsort(rows["volume"])).astype(float)


def future_volume_only(rows: Records) -> Float:
    return np.append(rows["volume"][1:], 0.0)


@pytest.mark.parametrize(
    "peeking", [next_close, centred_mean, scaled_by_all, filled_from_the_future, rank_among_all, future_volume_only]
)
def test_a_planted_leak_is_caught_by_name(peeking: Callable[[Records], Float]) -> None:
    def build(rows: Records) -> Float:
        return np.column_stack((honest(rows), peeking(rows)))

    found = check_leaks(build, candles(), ["honest_1", "honest_2", "peeking"])
    assert {leak.column for leak in found} == {"peeking"}
    assert {leak.kind for leak in found} == {"a truncated future", "a perturbed future"}
    assert str(found[0]).startswith("leak: column peeking at 1970-01-01T0")


def test_an_honest_set_passes() -> None:
    assert check_leaks(honest, candles(), ["a", "b"]) == []


def test_nan_is_equal_to_nan_and_to_nothing_else() -> None:
    def warming(rows: Records) -> Float:
        values = rows["close"].copy()
        values[: len(rows) // 2] = np.nan
        return values[:, None]

    assert check_leaks(warming, candles(), ["x"])


def test_what_builds_other_rows_is_a_bug() -> None:
    with pytest.raises(BrokenInvariant, match="expected 200 x 1 values"):
        check_leaks(lambda rows: rows["close"][1:, None], candles(), ["x"])


def test_one_candle_cannot_be_checked() -> None:
    with pytest.raises(NotEnoughData):
        check_leaks(honest, candles(1), ["a", "b"])


def test_shuffling_keeps_the_outcomes() -> None:
    labels = np.arange(50.0)
    assert sorted(shuffled(labels, 1)) == labels.tolist()
    assert (shuffled(labels, 1) != labels).any()


def label_as_feature(rows: Records) -> Float:
    close: Float = rows["close"]
    later = np.minimum(np.arange(len(rows)) + 5, len(rows) - 1)
    return np.log(close[later] / close)


def target_encoded_id(rows: Records) -> Float:
    """Return the mean later return of the rows of the same minute of the hour, over all rows."""
    minute, outcome = rows["close_time"] // MINUTE % 10, label_as_feature(rows)
    means = np.array([outcome[minute == one].mean() for one in range(10)])
    encoded: Float = means[minute]
    return encoded


def bar_stamped_at_its_start(rows: Records) -> Float:
    """Return the close of the bar that begins at ``as_of``: its stamp is there, its end is not."""
    close: Float = rows["close"]
    begins = rows["close_time"] - MINUTE
    found = np.minimum(np.searchsorted(begins, rows["close_time"]), len(rows) - 1)
    return close[found] / close


@pytest.mark.parametrize("peeking", [label_as_feature, target_encoded_id, bar_stamped_at_its_start])
def test_the_catalogue_of_leaks_is_caught(peeking: Callable[[Records], Float]) -> None:
    def build(rows: Records) -> Float:
        return np.column_stack((honest(rows), peeking(rows)))

    found = check_leaks(build, candles(), ["honest_1", "honest_2", "peeking"])
    assert {(leak.kind, leak.column) for leak in found} == {
        ("a truncated future", "peeking"),
        ("a perturbed future", "peeking"),
    }
