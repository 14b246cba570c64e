"""How long one prediction takes in process: a row of 40 inputs to a whole `Prediction` (both targets, id, row hash).

Beside the same two models asked through their libraries' own estimators. Rounds alternate. Then every model of every
target: its row, with those before it where it looks back, to its answer. On a busy machine the 99th percentile is the
scheduler's, not ours: run it alone.
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
from tapeline.clock import MINUTE
from tapeline.errors import MissingDependency
from tapeline.learning.artifact import Artifact
from tapeline.learning.dataset import Dataset
from tapeline.learning.fitting import fit
from tapeline.models.base import Model, find_models
from tapeline.predict import Predictor
from tapeline.testing.models import planted
from tapeline.train import TrainSettings, train
from tapeline.types import Float

BUDGET_US = 1000.0
LSTM_BUDGET_US = 3000.0
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


def answer_of(kind: type[Model], rows: int) -> Ask:
    """Return what asks a model, fitted on planted rows, about one row and those before it."""
    data = dataset(rows).for_target(kind.target, kind.window)
    model = fit(kind, data, seed=1)
    task = (data.instrument, data.timeframe, data.horizon, kind.target, kind.name, model.dump().decode())
    made = Artifact(*task, data.columns, "planted", "0", -1.0, 1.0, 0.8, 0, 1, len(data), "run", "hash", 1, "code")
    predictor = Predictor([made])
    as_of = MINUTE * np.arange(1, kind.window + 1)
    return lambda rows: predictor.says(rows, as_of=as_of, skip=kind.window - 1)


def measure_all(options: argparse.Namespace) -> None:
    """Measure every model whose extra is installed."""
    rounds = 50 if options.smoke else options.rounds
    rows = dataset(1000).inputs
    for (name, target), kind in find_models().items():
        if options.smoke and kind.extra == "sequence":
            continue
        try:
            ask = answer_of(kind, 600 if options.smoke else 4000)
        except MissingDependency as error:
            print(f"  not measured: {error}")
            continue
        windows = np.lib.stride_tricks.sliding_window_view(rows, kind.window, axis=0).transpose(0, 2, 1)
        times = []
        for index in range(rounds + 50):
            window = np.ascontiguousarray(windows[index % len(windows)])
            begin = time.perf_counter_ns()
            ask(window)
            times.append((time.perf_counter_ns() - begin) / 1e3)
        p99 = float(np.percentile(times[50:], 99))
        record(f"predict_row_{name}_{target}_p99", p99, "us", None, None, COMMAND)
        budget = LSTM_BUDGET_US if name == "lstm" else BUDGET_US
        if p99 > budget:
            print(f"  OVER the budget of {budget:.0f} us")


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
    measure_all(options)


if __name__ == "__main__":
    main()
