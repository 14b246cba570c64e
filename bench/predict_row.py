"""How long one prediction takes in process: a row of 40 inputs to a whole `Prediction` (both targets, id, row hash).

Beside the same two models asked through their libraries' own estimators. Rounds alternate. On a busy machine the 99th
percentile is the scheduler's, not ours: run it alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.linear_model import HuberRegressor, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from results import record
from tapeline.learning.dataset import Dataset
from tapeline.models.base import find_models
from tapeline.predict import Predictor
from tapeline.testing.models import planted
from tapeline.train import TrainSettings, train
from tapeline.types import Float

BUDGET_US = 1000.0
COMMAND = "python bench/predict_row.py"
INPUTS = 40
Ask = Callable[[Float], object]


def dataset(rows: int) -> Dataset:
    data = planted(1, rows, r2=0.3)
    more = np.random.default_rng(2).normal(size=(rows, INPUTS - data.inputs.shape[1]))
    columns = (*(f"x_{k}" for k in range(more.shape[1])), *data.columns)
    inputs = np.column_stack((more, data.inputs))
    return replace(data, inputs=inputs, columns=columns, past=INPUTS - 1)


def ours(data: Dataset, names: tuple[str, str]) -> Ask:
    found = find_models()
    kinds = [found[names[0], "return"], found[names[1], "direction"]]
    always = [type(kind.__name__, (kind,), {"baseline": True}) for kind in kinds]
    predictor = Predictor(train(data, TrainSettings(), models=always).artifacts)
    return lambda row: predictor.predict(row[0], as_of=0, close=1.0, made_at=0)


def theirs(data: Dataset, kind: str) -> Ask:
    up = data.labels("direction")
    if kind == "linear":
        regressor = make_pipeline(StandardScaler(), HuberRegressor(max_iter=1000)).fit(data.inputs, data.returns * 1e4)
        classifier = make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss")).fit(data.inputs, up)
    else:
        regressor = LGBMRegressor(num_leaves=15, n_jobs=1, verbosity=-1).fit(data.inputs, data.returns)
        classifier = LGBMClassifier(num_leaves=15, n_jobs=1, verbosity=-1).fit(data.inputs, up)
    return lambda row: (regressor.predict(row), classifier.predict_proba(row))


def quantiles_us(asks: dict[str, Ask], rows: Float, rounds: int) -> dict[str, tuple[float, float]]:
    times: dict[str, list[int]] = {name: [] for name in asks}
    for index in range(rounds):
        row = rows[index % len(rows)][None]
        for name, ask in asks.items():
            begin = time.perf_counter_ns()
            ask(row)
            times[name].append(time.perf_counter_ns() - begin)
    return {name: (np.percentile(taken, 50) / 1e3, np.percentile(taken, 99) / 1e3) for name, taken in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5000)
    parser.add_argument("--smoke", action="store_true", help="few rounds: only that it works")
    options = parser.parse_args()
    data = dataset(1000 if options.smoke else 10_000)
    for kind, names in (("linear", ("huber", "logistic")), ("lightgbm", ("lightgbm", "lightgbm"))):
        asks = {"ours": ours(data, names), "peer": theirs(data, kind)}
        quantiles_us(asks, data.inputs, 50)
        got = quantiles_us(asks, data.inputs, 200 if options.smoke else options.rounds)
        for place, name in enumerate(("p50", "p99")):
            value, peer = got["ours"][place], got["peer"][place]
            record(f"predict_row_{kind}_{name}", value, "us", peer, peer / value, COMMAND)
        print(f"  {'within' if got['ours'][1] < BUDGET_US else 'OVER'} the budget of {BUDGET_US:.0f} us")


if __name__ == "__main__":
    main()
