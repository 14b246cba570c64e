from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from tapeline.clock import MINUTE
from tapeline.errors import UnknownName, UsageError
from tapeline.learning.artifact import Artifact
from tapeline.learning.folds import WalkForward
from tapeline.models.base import Model, find_models
from tapeline.predict import Predictor, prediction_id, row_hash
from tapeline.testing.models import planted
from tapeline.train import TrainSettings, train

PAIRS = [("huber", "logistic"), ("lightgbm", "lightgbm"), ("last_price", "majority"), ("momentum", "mean_reversion")]


def artifacts(of_return: str, of_direction: str) -> list[Artifact]:
    """Return two artefacts of the models named, whatever a gate would say."""
    found = find_models()
    kinds: list[type[Model]] = []
    for name, target in ((of_return, "return"), (of_direction, "direction")):
        kind = found[name, target]
        kinds.append(type(kind.__name__, (kind,), {"baseline": True}))
    return train(planted(1, 800, r2=0.3), TrainSettings(plan=WalkForward(folds=2)), models=kinds).artifacts


@pytest.fixture(scope="module", params=PAIRS, ids=["+".join(pair) for pair in PAIRS])
def predictor(request: pytest.FixtureRequest) -> Predictor:
    return Predictor(artifacts(*request.param))


@pytest.fixture(scope="module")
def linear() -> Predictor:
    return Predictor(artifacts("huber", "logistic"))


def test_one_by_one_is_the_same_as_together(predictor: Predictor) -> None:
    data = planted(2, 300)
    together = predictor.predict_rows(data.inputs, as_of=data.as_of, close=data.close, made_at=data.as_of + 7)
    for row in range(300):
        at = int(data.as_of[row])
        one = predictor.predict(data.inputs[row], as_of=at, close=float(data.close[row]), made_at=at + 7)
        assert one == together[row]


def test_stored_and_loaded_says_the_same(predictor: Predictor) -> None:
    data = planted(3, 50)
    again = Predictor([Artifact.load(artifact.dump()) for artifact in predictor.artifacts.values()])
    asked = {"as_of": data.as_of, "close": data.close, "made_at": 0}
    assert again.predict_rows(data.inputs, **asked) == predictor.predict_rows(data.inputs, **asked)  # type: ignore[arg-type]


def test_a_prediction_says_who_about_what_and_when(linear: Predictor) -> None:
    row = planted(4, 10).inputs[3]
    got = linear.predict(row, as_of=5 * MINUTE, close=101.5, made_at=5 * MINUTE + 9)
    assert got is not None
    ours, theirs = (linear.artifacts[target] for target in ("return", "direction"))
    assert (got.model, got.model_version) == ("huber+logistic", f"{ours.version}+{theirs.version}")
    assert (got.as_of, got.horizon, got.target_time) == (5 * MINUTE, 3 * MINUTE, 8 * MINUTE)
    assert got.made_at == 5 * MINUTE + 9
    assert (got.feature_set, got.feature_version, got.close) == ("planted", "0", 101.5)
    assert got.low < got.value < got.high
    assert 0 < got.p_up < 1
    assert got.row_hash == row_hash(row)
    task = ("BTC-USD.SIM", "1m", 180 * 10**9, 300 * 10**9)
    assert got.id == prediction_id(*task, "huber+logistic", got.model_version)


def test_ids_tell_every_question_and_model_apart() -> None:
    base = ("BTC-USD.SIM", "1m", 60, 0, "huber", "v")
    others = [("ETH-USD.SIM", "5m", 61, 1, "momentum", "w")[k] for k in range(6)]
    asked = {base, *((*base[:k], others[k], *base[k + 1 :]) for k in range(6))}
    assert len({prediction_id(*question) for question in asked}) == 7  # type: ignore[arg-type]


@pytest.mark.parametrize("unknown", [math.nan, math.inf, -math.inf])
def test_an_unknown_input_gives_no_prediction(linear: Predictor, unknown: float) -> None:
    data = planted(5, 6)
    data.inputs[2, 1] = unknown
    made = linear.predict_rows(data.inputs, as_of=data.as_of, close=data.close, made_at=0)
    assert [one is None for one in made] == [False, False, True, False, False, False]
    assert linear.predict(data.inputs[2], as_of=0, close=1.0, made_at=0) is None


def test_an_unknown_input_that_no_model_reads_changes_nothing() -> None:
    kinds = [kind for kind in find_models().values() if kind.baseline]
    settings = TrainSettings(plan=WalkForward(folds=2), main_target="regime")
    found = Predictor(train(planted(1, 800), settings, models=kinds).artifacts)
    data = planted(5, 60)
    whole = found.says(data.inputs, as_of=data.as_of)["regime"]
    data.inputs[50, 1] = math.nan
    assert found.says(data.inputs, as_of=data.as_of)["regime"].tobytes() == whole.tobytes()
    data.inputs[50, -1] = math.nan
    assert np.isnan(found.says(data.inputs, as_of=data.as_of)["regime"][50:]).all()


def test_an_incomplete_window_gives_no_prediction(linear: Predictor) -> None:
    assert linear.predict(planted(5, 6).inputs[0], as_of=0, close=1.0, made_at=0, complete=False) is None


def test_without_a_direction_model_the_probability_is_unknown(linear: Predictor) -> None:
    alone = Predictor([linear.artifact])
    got = alone.predict(planted(5, 6).inputs[0], as_of=0, close=1.0, made_at=0)
    assert got is not None
    assert math.isnan(got.p_up)
    assert got.model == "huber"


def test_models_that_do_not_belong_together_are_refused(linear: Predictor) -> None:
    ours, theirs = linear.artifacts["return"], linear.artifacts["direction"]
    other, later = replace(theirs, feature_version="1"), replace(theirs, horizon=MINUTE)
    for wrong in ([], [ours, ours], [ours, other], [ours, later]):
        with pytest.raises(UsageError, match="predictor: has models that do not fit"):
            Predictor(wrong)


def test_rows_of_another_feature_version_are_refused_by_name(linear: Predictor) -> None:
    linear.check("planted", "0", linear.columns)
    text = r"BTC-USD.SIM_1m_3m: learnt from other features: expected planted 0 \(5 inputs\), was 'planted 1 "
    with pytest.raises(UsageError, match=text):
        linear.check("planted", "1", linear.columns)
    with pytest.raises(UsageError, match="learnt from other features"):
        linear.check("planted", "0", linear.columns[::-1])
    with pytest.raises(UsageError, match="has other inputs: expected n x 5"):
        linear.predict(np.zeros(4), as_of=0, close=1.0, made_at=0)


def test_an_explanation_adds_up_and_is_sorted(predictor: Predictor) -> None:
    row = planted(6, 5).inputs[1]
    got = json.loads(json.dumps(predictor.explain(row)))
    assert got["row_hash"] == row_hash(row)
    for target in ("return", "direction"):
        told = got["targets"][target]
        score = told["base"] + sum(part["added"] for part in told["contributions"])
        said = told["prediction"]
        assert score == pytest.approx(said if target == "return" else math.log(said / (1 - said)), rel=1e-6, abs=1e-12)
        sizes = [abs(part["added"]) for part in told["contributions"]]
        assert sizes == sorted(sizes, reverse=True)
        values = {part["column"]: part["value"] for part in told["contributions"]}
        assert values == dict(zip(predictor.columns, row, strict=True))


def test_what_cannot_be_explained_says_so(linear: Predictor) -> None:
    with pytest.raises(UsageError, match="cannot explain the row: expected 5 finite inputs"):
        linear.explain(np.full(5, np.nan))


def test_the_planted_signal_is_what_explains(linear: Predictor) -> None:
    got = linear.explain(np.array([2.0, 0.1, 0.1, 0.1, 0.0]))
    first = got["targets"]["return"]["contributions"][0]  # type: ignore[index]
    assert first["column"] == "signal"


def test_a_model_of_a_user_is_served_from_its_file(tmp_path: Path) -> None:
    text = "from tapeline.models.naive import LastPrice\n\nclass Mine(LastPrice):\n    name = 'mine'\n"
    (tmp_path / "mine.py").write_text(text)
    content = '{"model": "mine", "target": "return", "state": {}}'
    made = replace(artifacts("last_price", "majority")[0], model="mine", content=content)
    served = Predictor([made], paths=[tmp_path / "mine.py"])
    got = served.predict(np.zeros(5), as_of=0, close=1.0, made_at=0)
    assert got is not None
    assert asdict(got)["model"] == "mine"
    with pytest.raises(UnknownName, match=r"model mine \(return\): is not known"):
        Predictor([made])
