"""How long LightGBM takes to walk forward over six months of one-minute candles: 260,000 rows of 40 inputs, 5 folds.

Folds are fitted side by side, one to a processor.

Beside the naive loop: the same folds and trees through LightGBM's scikit-learn estimator, asked row by row, as a live
loop would. The loop asks a sample of the test rows, and its time is scaled up to all of them.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from functools import partial

import numpy as np
from lightgbm import LGBMRegressor

from results import record
from tapeline.learning.dataset import Dataset
from tapeline.learning.folds import Fold, WalkForward, split
from tapeline.learning.together import together
from tapeline.learning.walking import Walker
from tapeline.models.base import Model, model_class
from tapeline.testing.models import planted
from tapeline.types import Float

BUDGET_S = 60.0
COMMAND = "python bench/walk_forward.py"
INPUTS = 40
SAMPLE = 2000


def dataset(rows: int) -> Dataset:
    data = planted(1, rows, r2=0.02)
    more = np.random.default_rng(2).normal(size=(rows, INPUTS - data.inputs.shape[1]))
    columns = (*(f"x_{k}" for k in range(more.shape[1])), *data.columns)
    return replace(data, inputs=np.column_stack((more, data.inputs)), columns=columns, past=INPUTS - 1)


def said(data: Dataset, fold: Fold, kind: type[Model]) -> Float:
    """Return what the model says of one fold, as `tapeline.evaluate.evaluate` asks it."""
    return Walker(data, data.returns, [fold], 7).ask(kind, 0).read


def naive(data: Dataset, fold: Fold) -> float:
    """Fit and ask row by row; return seconds for the whole test part."""
    begin = time.perf_counter()
    model = LGBMRegressor(num_leaves=15, learning_rate=0.05, n_estimators=200, n_jobs=2, verbosity=-1)
    model.fit(data.inputs[fold.train], data.returns[fold.train])
    fitted = time.perf_counter() - begin
    rows = data.inputs[fold.test][:SAMPLE]
    begin = time.perf_counter()
    for row in rows:
        model.predict(row[None])
    tested = float(fold.test.stop - fold.test.start)
    return fitted + (time.perf_counter() - begin) * tested / len(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=260_000)
    parser.add_argument("--smoke", action="store_true", help="few rows: only that it works")
    options = parser.parse_args()
    data = dataset(3000 if options.smoke else options.rows)
    folds = split(data, WalkForward())
    kind = model_class("lightgbm", "return")
    jobs = [partial(said, data, fold, kind) for fold in folds]
    begin, cpu = time.perf_counter(), time.process_time()
    parts = {done.place: done.gave for done in together(jobs)}
    seconds, used = time.perf_counter() - begin, time.process_time() - cpu
    print(f"  {sum(map(len, parts.values())):,} predictions, {used:.1f} s of processor time")
    peer = sum(naive(data, fold) for fold in folds)
    record("walk_forward_lightgbm", seconds, "s", peer, peer / seconds, COMMAND)
    if not options.smoke:
        print(f"  {'within' if seconds < BUDGET_S else 'OVER'} the budget of {BUDGET_S:.0f} s")


if __name__ == "__main__":
    main()
