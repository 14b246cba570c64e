from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import lfilter
from tests.learned import HORIZON, MODEL, NAME, SETTINGS, TRAINED, artifact, candles, store_with_champion

from tapeline.anomalies import anomalies
from tapeline.clock import MINUTE
from tapeline.drift_watch import DriftWatch
from tapeline.monitoring import monitored
from tapeline.outcomes import LiveError, _worsened, live_errors, parted
from tapeline.registry import Registry
from tapeline.serving import Champion
from tapeline.simulator.market import JANUARY_2024
from tapeline.stores import rows
from tapeline.stores.memory import MemoryStore
from tapeline.types import Float, Prediction, Records


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


@pytest.mark.parametrize("by", ["version", "hour"])
def test_a_champion_that_wins_is_well(by: str) -> None:
    store = store_with_champion()
    store.append("predictions", rows.from_predictions(predictions(store, 0.0)))
    found = monitored(store, SETTINGS, DriftWatch(SETTINGS), now=1, by=by)
    assert (found.reasons, len(found.errors)) == ([], 6 if by == "hour" else 1)


def test_a_champion_is_judged_by_what_it_was_chosen_by() -> None:
    """Where most returns are 0, a model that is right about the others loses in absolute error, and wins squared."""
    held = candles(3_000)
    came = np.where(np.arange(3_000) % 40 == 0, 0.01, 0.0)
    held["close"] = 100 * np.exp(came.cumsum())
    store = MemoryStore()
    store.append("candles", rows.from_candles(NAME, "1m", held, source="imported"))
    outcome = np.log(held["close"][5:] / held["close"][:-5])
    (found,) = live_errors(store, said_at(held, np.full(len(outcome), outcome.mean())))
    assert found.gain.high < 0 < found.squared.low
    assert not found.worse


def test_one_bad_hour_of_many_is_shown_but_condemns_no_champion() -> None:
    store = store_with_champion()
    made = predictions(store, 0.0)
    bad = [replace(one, value=one.value + 0.01) if at < 60 else one for at, one in enumerate(made)]
    store.append("predictions", rows.from_predictions(bad))
    found = monitored(store, SETTINGS, DriftWatch(SETTINGS), now=1, by="hour")
    assert [one.worse for one in found.errors] == [True, False, False, False, False, False]
    assert found.failing == {}


def test_an_altered_model_that_answers_is_named_and_a_retired_one_is_not() -> None:
    store = store_with_champion()
    other, registry = artifact(store, "huber"), Registry(store)
    (first,) = registry.entries()
    registry.register(other, now=2)
    altered = [row | {"artifact": row["artifact"][:-9]} for row in store.read("models").to_pylist()]
    store.upsert("models", rows.from_dicts("models", *altered))
    (reason,) = monitored(store, SETTINGS, DriftWatch(SETTINGS), now=1).reasons
    assert reason.startswith(f"model {MODEL}@{first.version}: model artefact: was altered or truncated")


def said_at(held: Records, said: Float) -> list[Prediction]:
    """Return what a model said at the first candles."""
    first = Prediction(
        "", NAME, "1m", 0, 0, HORIZON, 0, 0.0, -1.0, 1.0, math.nan, 0.0, "m", "v", "bars", "", row_hash=""
    )
    return [
        replace(first, as_of=at, made_at=at, target_time=at + HORIZON, close=close, value=value)
        for at, close, value in zip(held["close_time"].tolist(), held["close"].tolist(), said.tolist(), strict=False)
    ]


def live(seed: int, *, lost_at: int | None = None, count: int = 6_000) -> LiveError:
    """Return the live error of a model that knows a fifth of the variance, in a market that gets loud halfway."""
    draw, held = np.random.default_rng(seed), candles(count, seed=seed)
    loudness = np.repeat((1.0, 2.0), count // 2)
    held["close"] = 100 * np.exp((np.diff(np.log(held["close"]), prepend=np.log(100)) * loudness).cumsum())
    came = np.log(held["close"][5:] / held["close"][:-5])
    said = 0.2 * came + 0.4 * came[: count // 2].std() * loudness[5:] * draw.normal(size=len(came))
    if lost_at is not None:
        said[lost_at:] = draw.permutation(said[lost_at:])
    store = MemoryStore()
    store.append("candles", rows.from_candles(NAME, "1m", held, source="imported"))
    (found,) = live_errors(store, said_at(held, said))
    return found


def test_a_model_that_loses_what_it_knew_is_noticed_though_it_still_wins_on_the_whole() -> None:
    found = [live(seed, lost_at=4_500) for seed in range(6)]
    lost = JANUARY_2024 + 4_501 * MINUTE
    noticed = [one.worsened for one in found if one.worsened is not None and one.worsened >= lost]
    print(
        f"noticed in {len(noticed)} of 6 streams, after {(np.median(noticed) - lost) / MINUTE:.0f} rows in the median"
    )
    assert len(noticed) >= 5
    assert not any(one.worse for one in found)


def loudness(kind: str, draw: np.random.Generator, shocks: Float) -> Float:
    """Return the volatility of each step of a drawn market."""
    count = len(shocks)
    if kind == "wandering":
        return np.exp(lfilter([1.0], [1.0, -0.999], 0.03 * draw.normal(size=count)))
    if kind == "GARCH":
        square, made = 1.0, np.empty(count)
        for at, shock in enumerate(shocks.tolist()):
            made[at] = square**0.5
            square = 0.02 + 0.08 * square * shock**2 + 0.9 * square
        return made
    before, after = {"constant": (1.0, 1.0), "loud": (1.0, 4.0), "quiet": (4.0, 1.0)}[kind]
    return np.where(np.arange(count) < count // 2, before, after)


def noticed(seed: int, kind: str, known: float, *, lost_at: int | None = None) -> int | None:
    """Return at which of 8,000 outcomes, five of which overlap, a model was noticed to get worse."""
    draw, count, overlap = np.random.default_rng(seed), 8_000, 5
    shocks = draw.standard_t(4, count + overlap) / 2**0.5
    loud = loudness(kind, draw, shocks)
    came = np.convolve(loud * shocks, np.ones(overlap), "valid")[1 : count + 1] * (1 - known) ** 0.5
    said = (known * overlap) ** 0.5 * draw.normal(size=count) * loud[:count]
    came += said
    if lost_at is not None:
        said[lost_at:] = (known * overlap) ** 0.5 * draw.normal(size=count - lost_at) * loud[lost_at:count]
    return _worsened(np.arange(count), np.abs(said - came) - np.abs(came), np.abs(came), overlap)


@pytest.mark.chaos
def test_models_that_stay_as_they_were_hardly_ever_alarm_and_those_that_do_not_are_noticed() -> None:
    kinds = ("constant", "GARCH", "loud", "quiet", "wandering")
    quiet = [noticed(seed, kind, known) for kind in kinds for known in (0.0, 0.02, 0.1) for seed in range(60)]
    lost = [noticed(seed, kind, 0.1, lost_at=5_000) for kind in kinds for seed in range(30)]
    alarms, found = sum(at is not None for at in quiet), [at for at in lost if at is not None and at >= 5_000]
    waited = np.median(found) - 5_000
    print(f"{alarms} of {len(quiet)} alarmed; {len(found)} of {len(lost)} noticed, after {waited:.0f} outcomes")
    assert alarms <= 0.01 * len(quiet)
    assert len(found) >= 0.95 * len(lost)


def test_a_market_that_gets_loud_makes_no_model_worse() -> None:
    alarms = sum(live(seed).worsened is not None for seed in range(6))
    assert alarms == 0


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


def test_anomalies_of_a_span_are_those_of_the_whole_in_it() -> None:
    store, held = MemoryStore(), candles(6_000, seed=3)
    held["volume"][np.arange(4_700, 6_000, 100)] *= 60
    store.append("candles", rows.from_candles(NAME, "1m", held, source="imported"))
    whole = anomalies(store, SETTINGS, NAME, "1m", newest=3_000)
    start, end = (int(JANUARY_2024 + at * MINUTE) for at in (4_801, 5_001))
    found = anomalies(store, SETTINGS, NAME, "1m", start=start, end=end, newest=10_000)
    assert found.judged == 200
    assert [one.close_time for one in found.found] == [
        one.close_time for one in whole.found if start <= one.close_time < end
    ]
    assert {start, start + 100 * MINUTE} <= {one.close_time for one in found.found}
    assert anomalies(store, SETTINGS, NAME, "1m", start=end, newest=3_000).judged == 1_000


def test_too_few_candles_are_judged_by_nobody() -> None:
    store = MemoryStore()
    store.append("candles", rows.from_candles(NAME, "1m", candles(50), source="imported"))
    found = anomalies(store, SETTINGS, NAME, "1m")
    assert (found.judged, found.found) == (0, ())
    assert np.isnan(found.share)
