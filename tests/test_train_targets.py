"""Every target a person may ask for is trained, judged, and promoted or refused with a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.learned import HORIZON, NAME, candles

from tapeline.clock import MINUTE
from tapeline.errors import NotEnoughData, UsageError
from tapeline.features import FeatureFold
from tapeline.learning.dataset import Dataset
from tapeline.learning.folds import WalkForward
from tapeline.learning.report import write_run
from tapeline.model_rows import ModelRows, dataset_of, learning_set
from tapeline.models.anomaly import RobustZScore, rows_needed
from tapeline.models.base import find_models
from tapeline.models.targets import TARGETS
from tapeline.predict import Predictor
from tapeline.train import Training, TrainSettings, train
from tapeline.types import Float

BASELINES: tuple[str, ...] = ()
SETTINGS = TrainSettings(models=BASELINES, plan=WalkForward(folds=3), resamples=300, beside=())


def dataset(moves: Float, seed: int = 1) -> Dataset:
    """Return the rows of a market whose price moves so."""
    made = candles(len(moves), seed=seed)
    made["close"] = 100 * np.exp(moves.cumsum())
    made["open"] = np.concatenate(([100.0], made["close"][:-1]))
    for name, bound in (("high", np.maximum), ("low", np.minimum)):
        made[name] = bound(made["open"], made["close"])
    features = learning_set("bars", "1m", HORIZON)
    rows = FeatureFold(features).feed(made)
    inputs, columns = features.inputs(rows.values, made["close"])
    return dataset_of(ModelRows(NAME, "1m", features, made, rows, inputs, columns, "imported"), HORIZON)


def walk(rows: int = 1500, seed: int = 1) -> Dataset:
    return dataset(5e-4 * np.random.default_rng(seed).standard_normal(rows))


def switching(rows: int = 6000, seed: int = 1, *, scale: tuple[float, ...] = (2e-4, 8e-4, 4e-3)) -> Dataset:
    """Return a market that stays quiet, normal or loud for 300 minutes on average."""
    draw = np.random.default_rng(seed + 9)
    loud = np.zeros(rows, int)
    for row in range(1, rows):
        loud[row] = loud[row - 1] if draw.random() < 0.995 else draw.integers(3)
    return dataset(np.array(scale)[loud] * draw.standard_normal(rows), seed)


@pytest.mark.parametrize("target", list(TARGETS))
def test_every_target_is_trained_judged_and_can_be_served(target: str, tmp_path: Path) -> None:
    training = train(walk(), replace(SETTINGS, main_target=target))
    report = training.report
    assert (report["target"], report["promoted"]) == (target, False)
    assert "only baselines" in report["reason"]
    (artifact,) = training.artifacts
    assert artifact.target == target
    kind = find_models()[artifact.model, target]
    assert kind.baseline
    said = Predictor([artifact])
    rows = training.dataset.inputs[-kind.window :]
    answer = said.says(rows, as_of=training.dataset.as_of[-kind.window :])[target][-1:]
    assert TARGETS[target].usable(answer).all()
    page = (write_run(training, tmp_path) / "report.html").read_text()
    assert f"<h2>{target}</h2>" in page


def gate(training: Training) -> dict[str, bool]:
    target = training.report["target"]
    return {check["name"]: check["passed"] for check in training.report["targets"][target]["gate"]}


def test_regimes_that_remember_are_promoted_where_the_market_switches() -> None:
    training = train(switching(), replace(SETTINGS, models=("hmm",), main_target="regime"))
    assert training.report["champion"] == "hmm", training.report["reason"]
    assert gate(training) == dict.fromkeys(("edge", "persistent", "ordered", "inputs", "placebo"), True)


def test_regimes_that_say_nothing_are_refused() -> None:
    training = train(walk(4000), replace(SETTINGS, models=("hmm",), main_target="regime"))
    assert (training.report["champion"], training.report["promoted"]) == ("mixture", False)
    assert training.report["reason"].startswith("no edge found: hmm is ")
    assert gate(training)["ordered"] is False


def wandering(rows: int = 8000, seed: int = 3) -> Dataset:
    """Return a market whose steps follow each other a little for 1,100 minutes, and undo each other as long."""
    held = np.where(np.arange(rows) // 1100 % 2 > 0, 0.3, -0.3)
    moves = 5e-4 * np.random.default_rng(seed).standard_normal(rows)
    for row in range(1, rows):
        moves[row] += held[row] * moves[row - 1]
    return dataset(moves, seed)


@pytest.mark.services
def test_trends_are_promoted_where_steps_follow_each_other_for_hours() -> None:
    training = train(wandering(), replace(SETTINGS, models=("hmm",), main_target="trend"))
    assert training.report["champion"] == "hmm", training.report["reason"]
    assert gate(training) == dict.fromkeys(("edge", "persistent", "ordered", "inputs", "placebo"), True)


def test_trends_of_a_walk_are_refused_also_where_it_is_now_loud_now_quiet() -> None:
    training = train(switching(4000), replace(SETTINGS, models=("hmm",), main_target="trend"))
    assert (training.report["champion"], training.report["promoted"]) == ("mixture", False)
    assert training.report["reason"].startswith("no edge found: hmm is ")
    assert gate(training)["ordered"] is False


def test_over_one_step_there_is_no_way_to_tell_a_trend() -> None:
    made = candles(600)
    features = learning_set("bars", "1m", MINUTE)
    rows = FeatureFold(features).feed(made)
    inputs, columns = features.inputs(rows.values, made["close"])
    data = dataset_of(ModelRows(NAME, "1m", features, made, rows, inputs, columns, "imported"), MINUTE)
    training = train(data, replace(SETTINGS, models=("hmm",), main_target="trend"))
    assert "the outcome is constant (1)" in training.report["reason"]


def test_volatility_that_lasts_is_foretold_and_its_baselines_are_those_of_the_field() -> None:
    training = train(switching(4000), replace(SETTINGS, models=("ridge",), main_target="volatility"))
    rows = {row["model"]: row["value"] for row in training.report["models"] if row["metric"] == "mae"}
    assert set(rows) == {"constant", "last_volatility", "persistence", "ewma", "har", "ridge"}
    assert min(rows, key=lambda name: rows[name]) != "constant"
    assert training.report["targets"]["volatility"]["trading"]["text"].endswith(
        "names no side to take: nothing to trade"
    )


def test_on_quiet_data_the_flagged_rate_is_the_one_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    rate, shares, found = 0.02, [], []
    for seed in range(12):
        data = np.random.default_rng(seed).standard_t(5, (4000, 6))
        model = RobustZScore().fit(data[:2000], np.zeros(2000), seed=seed)
        flagged = model.predict(data[2000:]) > 1 - rate
        shares.append(flagged.mean())
        spiked = np.zeros(2000, bool)
        spiked[::50] = True
        odd = data[2000:] + spiked[:, None] * 15 * np.eye(6)[seed % 6]
        said = model.predict(odd) > 1 - rate
        found.append(((said & spiked).sum() / said.sum(), said[spiked].mean()))
    error = np.std(shares, ddof=1) / np.sqrt(len(shares))
    precision, recall = np.mean(found, axis=0)
    with capsys.disabled():
        told = f"{np.mean(shares):.2%} +- {2 * error:.2%} of quiet rows flagged, asked for {rate:.0%}"
        print(f"\n{told}; planted spikes: precision {precision:.2f}, recall {recall:.2f}")
    assert abs(np.mean(shares) - rate) < 3 * error
    assert precision > 0.4  # one row in fifty is a spike, and one quiet row in fifty is flagged
    assert recall > 0.95


def test_the_oddest_row_is_flagged_as_soon_as_there_are_rows_enough() -> None:
    draw = np.random.default_rng(1)
    needed = rows_needed(0.01)
    for rows in (2 * needed, 2 * needed + 2, 400, 3000):
        model = RobustZScore().fit(draw.normal(size=(rows, 3)), np.zeros(rows), seed=1, overlap=1)
        assert model.compared >= needed
        assert model.predict(np.full((1, 3), 50.0))[0] > 0.99
    few = RobustZScore().fit(draw.normal(size=(100, 3)), np.zeros(100), seed=1)
    assert few.predict(np.full((1, 3), 50.0))[0] < 0.99


def test_too_few_rows_to_tell_the_rarest_are_refused_by_name() -> None:
    asked = replace(SETTINGS, main_target="anomaly", anomaly_rate=0.005)
    with pytest.raises(NotEnoughData, match=r"anomalies of BTC-USD\.SIM 1m: have too few rows .*at least 199, was \d+"):
        train(walk(600), asked)
    both = train(walk(600), replace(asked, main_target="return", beside=("anomaly",)))
    assert list(both.report["targets"]) == ["return"]
    assert "at least 199" in both.report["not_evaluated"]["anomaly"]


@pytest.mark.parametrize("rate", [0.0, 0.0001, 0.5, float("nan")])
def test_a_rate_that_cannot_be_told_is_refused(rate: float) -> None:
    with pytest.raises(UsageError, match="settings anomaly_rate: cannot be told"):
        train(walk(300), replace(SETTINGS, anomaly_rate=rate))


def test_what_names_no_side_cannot_be_traded() -> None:
    with pytest.raises(UsageError, match="cannot be traded"):
        train(walk(300), replace(SETTINGS, main_target="regime", objective="trade"))
