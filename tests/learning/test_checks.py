from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tapeline.clock import MINUTE
from tapeline.errors import InputError
from tapeline.learning.checks import Limits, check_candles, profile, refuse_bad_data
from tapeline.types import CANDLE, Records

NAMES = ["schema", "ranges", "duplicates", "monotonic time", "grid", "gaps", "incomplete rows", "frozen feed"]


def candles(rows: int = 400) -> Records:
    draw = np.random.default_rng(5)
    made = np.zeros(rows, CANDLE)
    made["close_time"] = np.arange(1, rows + 1) * MINUTE
    made["open"] = made["close"] = 100 * np.exp(np.cumsum(draw.normal(0, 0.001, rows)))
    made["high"], made["low"] = made["close"] * 1.001, made["close"] * 0.999
    made["volume"] = draw.exponential(size=rows)
    made["quote_volume"] = made["buy_volume"] = np.nan
    made["trades"], made["complete"] = 3, True
    return made


def failed(rows: Records, limits: Limits | None = None, now: int | None = None) -> list[str]:
    return [check.name for check in check_candles(rows, "1m", limits=limits, now=now) if not check.passed]


def test_good_candles_pass_every_check() -> None:
    assert [check.name for check in check_candles(candles(), "1m")] == NAMES
    assert failed(candles()) == []


def test_an_unknown_count_of_trades_is_no_fault() -> None:
    rows = candles()
    rows["trades"] = -1
    assert failed(rows) == []
    rows["trades"][7] = -2
    assert failed(rows) == ["schema"]


def negative_price(rows: Records) -> None:
    rows["low"][7] = -1.0


def high_below_low(rows: Records) -> None:
    rows["high"][7] = rows["low"][7] / 2


def infinite(rows: Records) -> None:
    rows["high"][7] = np.inf


def unknown_close(rows: Records) -> None:
    rows["close"][7] = np.nan


def negative_volume(rows: Records) -> None:
    rows["volume"][7] = -1.0


def twice(rows: Records) -> None:
    rows["close_time"][7] = rows["close_time"][6]


def backwards(rows: Records) -> None:
    rows["close_time"][[6, 7]] = rows["close_time"][[7, 6]]


def beside(rows: Records) -> None:
    rows["close_time"][7] += 1


def hole(rows: Records) -> None:
    rows["close_time"][200:] += 1000 * MINUTE


def half_seen(rows: Records) -> None:
    rows["complete"][:300] = False


def frozen(rows: Records) -> None:
    rows[100:160] = rows[99]
    rows["close_time"][100:160] = np.arange(101, 161) * MINUTE


@pytest.mark.parametrize(
    ("plant", "names"),
    [
        (negative_price, ["schema"]),
        (high_below_low, ["ranges"]),
        (infinite, ["ranges"]),
        (unknown_close, ["schema", "ranges"]),
        (negative_volume, ["schema"]),
        (twice, ["duplicates"]),
        (backwards, ["monotonic time"]),
        (beside, ["grid"]),
        (hole, ["gaps"]),
        (half_seen, ["incomplete rows"]),
        (frozen, ["frozen feed"]),
    ],
)
def test_each_planted_fault_is_named(plant: Callable[[Records], None], names: list[str]) -> None:
    rows = candles()
    plant(rows)
    assert failed(rows) == names


def test_quiet_candles_are_no_frozen_feed() -> None:
    rows = candles()
    frozen(rows)
    rows["trades"][100:160] = 0
    assert failed(rows) == []


def test_old_data_fails_only_where_an_age_is_asked() -> None:
    rows, now = candles(), 1000 * MINUTE
    assert failed(rows, Limits(max_age=10 * MINUTE), now) == ["staleness"]
    assert failed(rows, Limits(max_age=600 * MINUTE), now) == []
    assert failed(rows, None, now) == []


def test_what_fails_stops_by_name() -> None:
    rows = candles()
    hole(rows)
    rows["complete"] = False
    text = r"training X: data check gaps, and incomplete rows failed: expected at most 50% missing, was '71.4% missing'"
    with pytest.raises(InputError, match=text):
        refuse_bad_data("training X", check_candles(rows, "1m"))
    refuse_bad_data("training X", check_candles(candles(), "1m"))


def test_a_profile_says_what_is_unknown() -> None:
    told = profile(["a", "b"], np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan], [3.0, np.nan]]))
    assert told[0]["unknown"] == 0.25
    assert told[0]["mean"] == pytest.approx(7 / 3)
    assert (told[0]["median"], told[0]["distinct"]) == (3.0, 2.0)
    assert (told[1]["unknown"], told[1]["mean"], told[1]["most"], told[1]["shape"]) == (1.0, None, None, None)


def test_a_profile_shows_the_shape_of_each_column() -> None:
    even = np.arange(1000.0)
    one_sided = np.where(even < 900, 0.0, even)
    flat, skewed, constant = (row["shape"] for row in profile(["a", "b", "c"], np.c_[even, one_sided, 0 * even]))
    assert flat == 20 * "█"
    assert isinstance(skewed, str)
    assert (skewed[0], set(skewed[1:17])) == ("█", {" "})
    assert skewed[18:].strip(" █")
    assert constant == "█" + 19 * " "
