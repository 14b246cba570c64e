from __future__ import annotations

import numpy as np
import pytest
from tests.learned import MODEL, NAME, SETTINGS, TRAINED, candles, store_with_champion

from tapeline.anomalies import anomalies
from tapeline.clock import MINUTE
from tapeline.drift_watch import DriftWatch
from tapeline.monitoring import monitored
from tapeline.outcomes import live_errors, parted
from tapeline.serving import Champion
from tapeline.simulator.market import JANUARY_2024
from tapeline.stores import rows
from tapeline.stores.memory import MemoryStore
from tapeline.types import Prediction


def predictions(store: MemoryStore, error: float, *, up: float = 0.5) -> list[Prediction]:
    """Return predictions that miss what came by an error, made at each of the newest candles."""
    ours, held = Champion.of(store, MODEL).predictor, candles()
    made = []
    for at in range(TRAINED, len(held) - 5):
        close, later = float(held["close"][at]), float(held["close"][at + 5])
        as_of, said = int(held["close_time"][at]), np.log(later / close) + error
        (one,) = ours.predict_rows(
            np.zeros((1, len(ours.columns))), as_of=np.array([as_of]), close=np.array([close]), made_at=as_of
        )
        assert one is not None
        changes = {"id": str(at), "value": said, "low": said - 1, "high": said + 1, "p_up": up}
        made.append(Prediction(**{name: changes.get(name, getattr(one, name)) for name in Prediction.__slots__}))
    return made


def test_a_champion_that_loses_to_its_baseline_live_is_named() -> None:
    store = store_with_champion()
    store.append("predictions", rows.from_predictions(predictions(store, 0.01)))
    found = monitored(store, SETTINGS, DriftWatch(SETTINGS), now=1)
    assert list(found.failing) == [MODEL]
    assert found.reasons[0].startswith(f"{MODEL}: it does worse live than saying that the price stays: -")
    assert found.errors[0].predictions == 355


def test_a_champion_that_wins_is_well() -> None:
    store = store_with_champion()
    store.append("predictions", rows.from_predictions(predictions(store, 0.0)))
    assert monitored(store, SETTINGS, DriftWatch(SETTINGS), now=1).reasons == []


def test_errors_are_told_apart_by_hour_and_by_age() -> None:
    store = store_with_champion()
    made = predictions(store, 0.0, up=0.9)
    by_hour = live_errors(store, made, parted(store, "hour"))
    assert [one.part for one in by_hour] == ["00", "01", "02", "03", "04", "05"]
    assert sum(one.predictions for one in by_hour) == len(made)
    (by_age,) = live_errors(store, made, parted(store, "age"))
    assert by_age.part == "0 d"
    assert by_age.brier is not None
    rose = np.mean([np.log(c) > 0 for c in candles()["close"][TRAINED + 5 :] / candles()["close"][TRAINED:-5]])
    assert by_age.brier.value == pytest.approx(0.81 - 0.8 * rose)
    assert by_age.calibration == pytest.approx(abs(0.9 - rose))


def test_planted_spikes_are_found_and_quiet_candles_alarm_as_often_as_asked() -> None:
    store, held = MemoryStore(), candles(6_000, seed=3)
    spikes = np.arange(4_700, 6_000, 100)
    held["volume"][spikes] *= 60
    store.append("candles", rows.from_candles(NAME, "1m", held, source="imported"))
    found = anomalies(store, SETTINGS, NAME, "1m", newest=1_440, rate=0.02)
    told = {one.close_time for one in found.found}
    planted = {int(JANUARY_2024 + (at + 1) * MINUTE) for at in spikes}
    recall, precision = len(told & planted) / len(planted), len(told & planted) / len(told)
    print(f"planted spikes of volume: precision {precision:.2f}, recall {recall:.2f}, rate asked {found.rate:.2%}")
    assert recall == 1
    assert found.judged == 1_440
    assert len(told - planted) / found.judged < 2 * 0.02


def test_too_few_candles_are_judged_by_nobody() -> None:
    store = MemoryStore()
    store.append("candles", rows.from_candles(NAME, "1m", candles(50), source="imported"))
    found = anomalies(store, SETTINGS, NAME, "1m")
    assert (found.judged, found.found) == (0, ())
    assert np.isnan(found.share)
