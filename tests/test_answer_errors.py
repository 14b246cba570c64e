from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.learned import HORIZON, NAME, SETTINGS, artifact, candles, store_with_champion

from tapeline import labels
from tapeline.answer_errors import AnswerError, answer_errors
from tapeline.clock import MINUTE
from tapeline.drift_watch import DriftWatch
from tapeline.learning.outcomes import outcomes
from tapeline.monitoring import monitored
from tapeline.registry import Registry
from tapeline.stores import rows
from tapeline.stores.memory import MemoryStore
from tapeline.types import Answer, Float, Records, Timeframe

COUNT = 900
GRID = Timeframe.parse("1m")
EMPTY = Answer("", NAME, "1m", "", 0, 0, HORIZON, (), "m", "v1", "bars", "f", row_hash="")


def came(held: Records, target: str) -> Float:
    returns, _ = labels.forward_return(held, GRID, HORIZON)
    known = {made: one.values for made, one in outcomes(held, GRID, HORIZON, returns).items()}
    return (known | {"direction": labels.direction(returns)})[target]


def store() -> MemoryStore:
    kept = MemoryStore()
    kept.append("candles", rows.from_candles(NAME, "1m", candles(COUNT), source="imported"))
    return kept


def answered(target: str, said: Float, *, late: int = 0) -> list[Answer]:
    """Return an answer at each candle; the first ``late`` of them are made a horizon later."""
    told = said.reshape(len(said), -1).tolist()
    return [
        replace(
            EMPTY,
            id=f"{target} {at}",
            target=target,
            as_of=closed,
            made_at=closed + HORIZON * (at < late),
            said=tuple(one),
        )
        for at, (closed, one) in enumerate(zip(candles(COUNT)["close_time"].tolist(), told, strict=True))
    ]


def judged(target: str, said: Float, *, late: int = 0) -> AnswerError:
    (found,) = answer_errors(store(), answered(target, said, late=late))
    return found


def test_classes_stand_beside_the_shares_known_before() -> None:
    true = came(candles(COUNT), "direction3")
    known = np.flatnonzero(~np.isnan(true))
    losses = []
    for at in known.tolist():
        before = true[known[known + HORIZON // MINUTE <= at]]
        losses.append(-np.log((1 + (before == true[at]).sum()) / (3 + len(before))))
    said = np.full((COUNT, 3), 0.2)
    said[known, true[known].astype(int)] = 0.6
    found = judged("direction3", said, late=7)
    assert (found.outcomes, found.late) == (len(known[known >= 7]), int((known < 7).sum()))
    assert found.error.challenger == pytest.approx(-np.log(0.6))
    assert judged("direction3", said).error.champion == pytest.approx(np.mean(losses))
    assert found.hits is not None
    assert found.hits.challenger == 1
    assert (found.error.gain.low > 0, found.worse) == (True, False)


def test_the_direction_is_that_of_rows_where_the_price_moved() -> None:
    held = candles(COUNT)
    true = came(held, "direction")
    found = judged("direction", np.full(COUNT, 0.5))
    assert found.outcomes == (~np.isnan(true)).sum()
    assert found.error.challenger == pytest.approx(np.log(2))


def test_a_volatility_stands_beside_the_median_of_the_last_that_are_known() -> None:
    true = came(candles(COUNT), "volatility")
    errors = [
        abs(np.median(true[max(0, at - 5 - 29) : at - 4]) - true[at])
        for at in range(5, COUNT)
        if not np.isnan(true[at])
    ]
    found = judged("volatility", np.where(np.isnan(true), 1.0, true))
    assert (found.error.challenger, found.outcomes, found.hits) == (0, len(errors), None)
    assert found.error.champion == pytest.approx(np.mean(errors))
    assert found.unit == ("bp", 1e4)
    assert judged("volatility", np.ones(COUNT)).worse


def test_what_has_no_outcome_is_not_judged() -> None:
    assert answer_errors(store(), answered("regime", np.full((COUNT, 3), 1 / 3))) == []
    assert answer_errors(store(), answered("direction", np.full(COUNT, 0.5), late=COUNT)) == []
    assert answer_errors(MemoryStore(), []) == []


def test_a_champion_that_says_less_than_the_outcomes_before_is_not_well() -> None:
    kept = store_with_champion()
    made = artifact(kept, target="volatility")
    Registry(kept).register(made, now=1)
    Registry(kept).promote(made.name, made.version, now=2)
    wrong = [replace(one, model_version=made.version) for one in answered("volatility", np.ones(COUNT))]
    other = [replace(one, id=f"x{one.id}", model_version="v0") for one in wrong]
    kept.append("answers", rows.from_answers([*wrong, *other]))
    found = monitored(kept, SETTINGS, DriftWatch(SETTINGS), now=1)
    assert [one.first.model_version for one in found.answers] == [made.version]
    (reason,) = found.reasons
    assert reason.startswith(f"{made.name}: its answers ({made.version}) do worse live than what was known before: -")
