"""Runs that are killed, swept, tuned, asked for other targets and objectives; and their page."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tapeline.errors import UnknownName
from tapeline.learning.checks import DataCheck
from tapeline.learning.folds import WalkForward
from tapeline.learning.ordinary import ordinary_models
from tapeline.learning.report import find_run, write_run
from tapeline.learning.trading import Costs
from tapeline.models.base import Model
from tapeline.models.linear import Huber, Logistic
from tapeline.models.naive import LastPrice, Majority, MeanReversionDirection, MomentumReturn
from tapeline.testing.models import planted
from tapeline.train import Training, TrainSettings, train
from tapeline.types import Float

FAST: list[type[Model]] = [LastPrice, MomentumReturn, Huber, Majority, MeanReversionDirection, Logistic]
SETTINGS = TrainSettings(plan=WalkForward(folds=3))


@pytest.fixture(scope="module")
def promoted() -> Training:
    return train(planted(1, 1500, r2=0.3), SETTINGS, models=FAST)


@pytest.fixture(scope="module")
def refused() -> Training:
    return train(planted(2, 700), SETTINGS, models=FAST)


class Killed(Huber):
    """Die after some fits, as a process does."""

    left = 10**9
    fits = 0

    def fit(self, rows: Float, labels: Float, **asked: Any) -> Killed:
        Killed.fits += 1
        Killed.left -= 1
        if Killed.left < 0:
            raise KeyboardInterrupt
        return super().fit(rows, labels, **asked)


def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # One fit after the other: side by side, one that has just ended may be lost with the one that dies.
    monkeypatch.setattr("tapeline.learning.together.processors", lambda: 1)
    kinds: list[type[Model]] = [LastPrice, MomentumReturn, Killed, Majority, Logistic]
    data = planted(1, 900)
    whole = train(data, SETTINGS, models=kinds)
    needed, Killed.fits, Killed.left = Killed.fits, 0, 2
    with pytest.raises(KeyboardInterrupt):
        train(data, SETTINGS, models=kinds, runs=tmp_path)
    Killed.fits, Killed.left = 0, 10**9
    resumed = train(data, SETTINGS, models=kinds, runs=tmp_path)
    assert Killed.fits == needed - 2
    assert resumed.report == whole.report
    assert [one.dump() for one in resumed.artifacts] == [one.dump() for one in whole.artifacts]


@pytest.mark.services
def test_a_sweep_and_tuning_are_reported_and_repeat_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"Ridge", "GaussianNB"}

    def models(target: str) -> list[type[Model]]:
        return [kind for kind in ordinary_models(target) if kind.name in few]

    monkeypatch.setattr("tapeline.learning.sweep.ordinary_models", models)
    asked = replace(SETTINGS, sweep=True, tune=2, plan=WalkForward(folds=2), models=("huber", "logistic", "lightgbm"))
    data = planted(1, 600, r2=0.2)
    training = train(data, asked)
    report = training.report
    assert report["tried"] == 4 + 2
    swept = report["sweep"]["return"]
    assert {row["model"]: row["served"] for row in swept["ranking"]} == {
        "huber": True,
        "lightgbm": True,
        "lightgbm_tuned": True,
        "Ridge": False,
    }
    assert [one["trials"] for one in report["tuning"] if one["target"] == "return"][:2] == [2, 2]
    assert report["targets"]["return"]["trading"]["tries"] == 4
    assert train(data, asked).report == report
    page = (write_run(training, tmp_path) / "report.html").read_text()
    assert "cannot be served" in page
    assert page.count("<svg") == 13
    assert "<script" not in page
    assert re.search(r"(src|href)=.https?:", page) is None


def test_the_page_tells_the_verdict_and_every_check(promoted: Training, tmp_path: Path) -> None:
    page = (write_run(promoted, tmp_path) / "report.html").read_text()
    assert "<b>return: huber is promoted.</b>" in page
    assert "SIMULATED" in page
    for check in promoted.report["targets"]["return"]["gate"]:
        assert f"<td>{check['name']}</td>" in page
    assert {check["name"] for check in promoted.report["targets"]["return"]["gate"]} == {
        *("edge", "coverage", "inputs", "placebo")
    }


def test_to_trade_an_edge_must_survive_the_costs() -> None:
    data = planted(1, 2500, r2=0.4)
    dear = train(data, replace(SETTINGS, objective="trade"), models=FAST).report
    assert dear["promoted"] is False
    free = train(data, replace(SETTINGS, objective="trade", costs=Costs(0.0, 0.0)), models=FAST).report
    assert (free["promoted"], free["champion"]) == (True, "huber")
    assert "more after costs than the best baseline" in free["reason"]


@pytest.mark.parametrize("target", ["direction3", "barrier", "volatility"])
def test_every_target_with_outcomes_can_be_trained(target: str) -> None:
    asked = replace(SETTINGS, main_target=target, models=("lightgbm", "logistic", "ridge"))
    training = train(planted(1, 2500, r2=0.3), asked)
    assert training.report["target"] == target
    assert training.report["promoted"] is True
    assert training.outcomes[target].artifact.target == target
    json.dumps(training.report, allow_nan=False)


def test_checks_of_the_data_are_in_the_record() -> None:
    checks = [DataCheck("gaps", True, "1.0% missing", "at most 50% missing")]
    report = train(planted(1, 900, r2=0.3), SETTINGS, models=FAST, data_checks=checks).report
    assert report["data_checks"][0]["name"] == "gaps"
    assert {"name": "data", "passed": True, "text": "holds"} in report["targets"]["return"]["gate"]


def test_a_run_is_found_by_how_its_id_begins(promoted: Training, refused: Training, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="run: is not known: expected a run in the folder"):
        find_run(tmp_path)
    folders = [write_run(one, tmp_path) for one in (promoted, refused)]
    assert find_run(tmp_path, promoted.run[:5]) == folders[0]
    assert find_run(tmp_path) == folders[1]
    with pytest.raises(UnknownName, match=f"run nothing: is not known: expected one of .*{refused.run}"):
        find_run(tmp_path, "nothing")


def test_the_newest_run_of_a_database_is_preferred(tmp_path: Path) -> None:
    for number, run in enumerate(("aa11", "bb22", "cc33")):
        (tmp_path / f"I_1m_5m_{run}").mkdir()
        report = tmp_path / f"I_1m_5m_{run}" / "report.json"
        report.write_text("{}")
        os.utime(report, (number, number))
    assert find_run(tmp_path).name.endswith("cc33")
    assert find_run(tmp_path, known={"aa11", "bb22"}).name.endswith("bb22")
    assert find_run(tmp_path, known={"dd44"}).name.endswith("cc33")
    assert find_run(tmp_path, "aa", known={"bb22"}).name.endswith("aa11")
