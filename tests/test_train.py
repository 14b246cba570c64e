from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from tapeline.errors import NotEnoughData, StoreUnavailable, UnknownName, UsageError
from tapeline.learning.conformal import conformal_bounds, rate_of
from tapeline.learning.folds import WalkForward
from tapeline.learning.leaks import Leak
from tapeline.learning.metrics import METRICS
from tapeline.learning.report import draw, write_run
from tapeline.learning.trading import Costs
from tapeline.learning.walking import Said, Walker
from tapeline.models.base import Model
from tapeline.models.linear import Huber, Logistic
from tapeline.models.naive import LastPrice, Majority, MeanReversionDirection, MomentumReturn
from tapeline.testing.models import planted
from tapeline.train import Training, TrainSettings, pick_models, train
from tapeline.types import Float

FAST: list[type[Model]] = [LastPrice, MomentumReturn, Huber, Majority, MeanReversionDirection, Logistic]
SETTINGS = TrainSettings(plan=WalkForward(folds=3))


@pytest.fixture(scope="module")
def promoted() -> Training:
    return train(planted(1, 2500, r2=0.2), SETTINGS, models=FAST)


@pytest.fixture(scope="module")
def refused() -> Training:
    return train(planted(2, 700), SETTINGS, models=FAST)


def test_the_report_has_the_fields_of_the_contract(promoted: Training) -> None:
    report = json.loads(json.dumps(promoted.report, allow_nan=False))
    fields = ["run", "instrument", "timeframe", "horizon", "rows", "champion", "promoted", "reason"]
    assert list(report)[:8] == fields
    row = {"model", "metric", "value", "low", "high", "baseline", "difference", "difference_low", "difference_high"}
    assert all(set(model) == row | {"target"} for model in report["models"])
    told = {target: {row["metric"] for row in report["models"] if row["target"] == target} for target in METRICS}
    assert told["return"] == {
        *("mse", "mae", "rmse", "r2_last_price", "directional_accuracy", "information_coefficient")
    }
    assert told["direction"] == {"log_loss", "accuracy", "brier", "balanced_accuracy", "calibration_error"}
    assert (report["instrument"], report["timeframe"], report["horizon"]) == ("BTC-USD.SIM", "1m", "3m")
    assert (report["champion"], report["promoted"], report["rows"]) == ("huber", True, 2500)
    assert report["targets"]["direction"]["champion"] == "logistic"


def test_promotion_is_what_the_intervals_say(promoted: Training, refused: Training) -> None:
    for training in (promoted, refused):
        for target, told in training.report["targets"].items():
            rows = [
                row
                for row in training.report["models"]
                if (row["target"], row["metric"]) == (target, told["metric"]) and row["model"] in ("huber", "logistic")
            ]
            assert told["promoted"] == any(row["difference_low"] > 0 for row in rows)


def test_no_edge_leaves_the_best_baseline(refused: Training) -> None:
    assert refused.report["promoted"] is False
    assert refused.report["reason"].startswith("no edge found: ")
    assert refused.report["champion"] in ("last_price", "momentum")
    assert [artifact.model for artifact in refused.artifacts] == [
        refused.report["targets"][target]["champion"] for target in ("return", "direction")
    ]


def test_two_runs_with_one_seed_are_equal(promoted: Training) -> None:
    again = train(planted(1, 2500, r2=0.2), SETTINGS, models=FAST)
    assert again.report == promoted.report
    assert again.settings == promoted.settings
    assert [artifact.dump() for artifact in again.artifacts] == [artifact.dump() for artifact in promoted.artifacts]


def test_other_data_settings_or_seed_are_other_runs(promoted: Training) -> None:
    others = [
        train(planted(2, 2500), SETTINGS, models=FAST[:1] + FAST[3:4]),
        train(planted(1, 2500, r2=0.2), replace(SETTINGS, seed=8), models=FAST[:1] + FAST[3:4]),
        train(planted(1, 2500, r2=0.2), SETTINGS, models=FAST[:1] + FAST[3:4]),
    ]
    assert len({promoted.run, *(other.run for other in others)}) == 4


def test_the_champion_is_fitted_on_all_rows(promoted: Training) -> None:
    data = planted(1, 2500, r2=0.2)
    artifact = promoted.artifacts[0]
    whole = Huber().fit(data.inputs, data.returns, seed=SETTINGS.seed, overlap=3, past=4)
    assert artifact.content.encode() == whole.dump()
    assert (artifact.rows, artifact.trained_to) == (2500, int(data.known_at[-1]))
    assert (artifact.data_hash, artifact.columns) == (data.digest(), data.columns)


def test_intervals_cover_what_they_promise(promoted: Training, refused: Training) -> None:
    assert promoted.report["targets"]["return"]["coverage"] == pytest.approx(0.8, abs=0.04)
    assert refused.report["targets"]["return"]["coverage"] == pytest.approx(0.8, abs=0.08)
    assert promoted.report["targets"]["direction"]["coverage"] is None
    artifact = promoted.artifacts[0]
    assert artifact.low < 0 < artifact.high
    assert artifact.interval_rate == rate_of(3)
    assert np.isnan(promoted.artifacts[1].low)
    assert promoted.artifacts[1].interval_rate == 0.0


def test_conformal_bounds_are_order_statistics() -> None:
    residuals = np.arange(1.0, 20.0)
    assert np.isnan(conformal_bounds(residuals, 0.8)).all()
    assert conformal_bounds(np.arange(1.0, 40.0)[::-1], 0.9) == (2.0, 38.0)
    assert np.isnan(conformal_bounds(np.arange(30.0), 0.95)).all()


def test_a_leak_keeps_the_baseline(promoted: Training) -> None:
    leak = Leak("a perturbed future", "signal", 0, 1.0, 2.0)
    caught = train(planted(1, 2500, r2=0.2), SETTINGS, models=FAST, leak_check=lambda: [leak])
    assert caught.report["promoted"] is False
    assert caught.report["reason"].startswith("refused: leak: column signal")
    assert caught.report["leak_check"] == [str(leak)]
    assert promoted.report["leak_check"] is None


def test_a_procedure_that_leaks_is_caught_on_shuffled_outcomes(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(walker: Walker, kind: type[Model], number: int) -> Said:
        came, known = walker.labels[walker.folds[number].test], 0.0 if kind.baseline else 0.5
        said = known * came + ((0.5 if kind.baseline else 0.25) if kind.target == "direction" else 0.0)
        return Said(said, said)

    monkeypatch.setattr(Walker, "ask", ask)
    caught = train(planted(1, 900), SETTINGS, models=FAST)
    assert caught.report["promoted"] is False
    assert caught.report["reason"] == "refused: huber also finds an edge in shuffled outcomes: the procedure leaks"


def test_models_are_picked_by_name_and_baselines_always_run() -> None:
    names = {(kind.name, kind.target) for kind in pick_models(TrainSettings(models=("huber",)))}
    assert names == {
        ("last_price", "return"),
        ("drift", "return"),
        ("momentum", "return"),
        ("mean_reversion", "return"),
        ("seasonal", "return"),
        ("seasonal", "direction"),
        ("majority", "direction"),
        ("momentum", "direction"),
        ("mean_reversion", "direction"),
        ("huber", "return"),
    }
    assert len(pick_models(TrainSettings())) > len(names)


def test_an_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(
        UnknownName, match=r"model oracle: is not known: expected one of .*huber, .*last_price, .*lightgbm, "
    ):
        train(planted(1, 700), TrainSettings(models=("huber", "oracle")))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (replace(SETTINGS, level=1.0), "settings level: is no share: expected between 0 and 1, was 1.0"),
        (replace(SETTINGS, coverage=0.0), "settings coverage: is no share"),
        (replace(SETTINGS, main_target="colour"), "settings main_target: is unknown: expected return or direction"),
        (replace(SETTINGS, costs=Costs(float("nan"))), "settings costs: are no costs"),
        (replace(SETTINGS, costs=Costs(-9.0)), "settings costs: are no costs"),
    ],
)
def test_settings_without_sense_are_refused(settings: TrainSettings, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        train(planted(1, 700), settings, models=FAST)


def test_too_few_rows() -> None:
    with pytest.raises(NotEnoughData, match="expected at least"):
        train(planted(1, 60), SETTINGS, models=FAST)


def test_telling_quiet_from_busy_is_not_telling_the_direction() -> None:
    data = planted(3, 2500)
    quiet = np.random.default_rng(0).random(2500) < 1 / (1 + np.exp(-3 * data.inputs[:, 0]))
    data.returns[quiet] = 0.0
    training = train(data, SETTINGS, models=FAST)
    told = training.report["targets"]["direction"]
    assert (told["rows"], told["stayed"]) == (2500 - quiet.sum(), quiet.sum())
    assert told["promoted"] is False
    assert training.outcomes["direction"].artifact.rows == told["rows"]
    assert training.outcomes["return"].artifact.rows == 2500


def test_a_trade_on_a_price_that_stays_earns_nothing() -> None:
    data = planted(1, 2500, r2=0.2)
    data.returns[::2] = 0.0
    told = train(data, SETTINGS, models=FAST).outcomes["direction"]
    said, rows = told.evaluation.said, told.evaluation.rows
    sides = np.sign(said[told.trading.model] - said["majority"])
    assert told.trading.gross.value == pytest.approx(0.5 * np.mean(sides * told.dataset.returns[rows]))


def test_a_price_that_never_moves_leaves_only_the_direction_out() -> None:
    data = planted(1, 700)
    data.returns[:] = 0.0
    training = train(data, SETTINGS, models=FAST)
    assert list(training.report["targets"]) == ["return"]
    assert "(left out: 700 the price stayed): expected at least" in training.report["not_evaluated"]["direction"]
    with pytest.raises(NotEnoughData, match="700 the price stayed"):
        train(data, replace(SETTINGS, main_target="direction"), models=FAST)


@pytest.mark.parametrize("outcome", [0.0, 1e-4, -1e-4])
def test_a_constant_outcome_is_a_result_and_said(outcome: float) -> None:
    data = planted(1, 700)
    data.returns[:] = outcome
    report = train(data, SETTINGS).report
    assert report["promoted"] is False
    assert report["reason"].startswith(f"no edge found: the outcome is constant ({outcome:g}) in all ")
    json.dumps(report, allow_nan=False)


def test_constant_inputs_find_nothing() -> None:
    data = planted(1, 700)
    data.inputs[:] = 1.0
    assert train(data, SETTINGS).report["promoted"] is False


class Weighed(Huber):
    """Note what weights it is given."""

    given: ClassVar[list[Float | None]] = []

    def fit(self, rows: Float, labels: Float, **asked: Any) -> Weighed:
        self.given.append(asked.get("weights"))
        return super().fit(rows, labels, **asked)


@pytest.mark.parametrize("weighted", [False, True])
def test_rows_count_by_the_uniqueness_of_their_outcomes_where_that_is_asked(weighted: bool) -> None:
    Weighed.given.clear()
    kinds: list[type[Model]] = [LastPrice, Weighed, Majority]
    training = train(planted(1, 900, r2=0.3), replace(SETTINGS, weighted=weighted), models=kinds)
    assert training.report["champion"] == "huber"
    assert len(Weighed.given) > SETTINGS.plan.folds + 1, "in the folds, in the placebos, for importance, and at last"
    assert all((weights is not None) == weighted for weights in Weighed.given)
    last = Weighed.given[-1]
    if last is not None:
        assert last.mean() == pytest.approx(1)
        assert last.max() > last.min(), "the first and the last outcomes overlap fewer others"


def test_the_main_target_is_a_setting() -> None:
    report = train(planted(1, 2500, r2=0.2), replace(SETTINGS, main_target="direction"), models=FAST).report
    assert (report["target"], report["champion"]) == ("direction", "logistic")


def test_progress_counts_to_its_end() -> None:
    told: list[tuple[str, int, int]] = []
    train(planted(2, 700), SETTINGS, models=FAST, progress=lambda *step: told.append(step))
    assert [done for _, done, _ in told[:18]] == list(range(1, 19))
    assert told[-1][1:] == (18, 18)
    assert told[0][0] == "last_price (return) fold 1 of 3"


def test_the_run_folder_holds_everything(promoted: Training, tmp_path: Path) -> None:
    folder = write_run(promoted, tmp_path / "runs")
    assert folder.name == f"BTC-USD.SIM_1m_3m_{promoted.run}"
    files = ["errors.png", "folds.csv", "report.html", "report.json", "settings.json"]
    assert sorted(path.name for path in folder.iterdir()) == files
    assert json.loads((folder / "report.json").read_text()) == promoted.report
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["data_hash"] == planted(1, 2500, r2=0.2).digest()
    assert {"seed", "code_version", "feature_set", "feature_version", "feature_definition", "libraries"} <= set(
        settings
    )
    assert (folder / "errors.png").read_bytes().startswith(b"\x89PNG")
    with (folder / "folds.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * len(FAST)
    assert all(row["train_known_at"] <= row["test_start"] for row in rows)


def test_the_picture_ends_at_the_stated_difference(promoted: Training) -> None:
    panel = draw(promoted).axes[0]
    found = promoted.outcomes["return"].evaluation
    line = next(line for line in panel.lines if str(line.get_label()).startswith("huber"))
    ends = float(np.asarray(line.get_ydata())[-1])
    assert ends == pytest.approx(found.score("huber").difference.value * len(found.labels) * 1e8)
    assert panel.get_title(loc="left") == "return: huber is promoted"


def test_a_folder_that_cannot_be_written_is_named(promoted: Training, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match=r"run folder .*file.*: cannot be written"):
        write_run(promoted, tmp_path / "file")


def test_a_model_of_a_user_runs_and_its_code_is_in_the_record(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    text = "from tapeline.models.naive import LastPrice as L\nclass Mine(L):\n    name = 'mine'\n    baseline = False\n"
    path.write_text(text)
    asked = replace(SETTINGS, models=("mine",), model_paths=(str(path),))
    first = train(planted(1, 700), asked)
    assert {row["model"] for row in first.report["models"]} >= {"mine", "last_price"}
    assert first.report["tried"] == 1
    path.write_text(text + "\n# changed\n")
    assert train(planted(1, 700), asked).run != first.run
    assert str(tmp_path) not in json.dumps(first.settings)
    assert re.fullmatch(r"\d+\.\d+\.\d+\+[0-9a-f]{8}", first.settings["code_version"])
