from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tapeline.mlflow_sync import _metrics
from tapeline.registry import Entry

FOLDS = """target,model,fold,train_start,mse,log_loss
return,huber,0,2024-01-01T00:00:00Z,9.0,
return,huber_tuned,0,2024-01-01T00:00:00Z,2.5,
return,huber_tuned,1,2024-01-02T00:00:00Z,3.5,
direction,huber_tuned,0,2024-01-01T00:00:00Z,,0.7
"""


@pytest.mark.parametrize(
    ("report", "folds"),
    [({"champion": "huber_tuned"}, [(2.5, 0), (3.5, 1)]), ({"champion": "huber"}, [(9.0, 0)]), ({}, [(9.0, 0)])],
)
def test_figures_of_the_folds_are_those_of_the_model_that_walked(
    tmp_path: Path, report: dict[str, Any], folds: list[tuple[float, int]]
) -> None:
    """A tuned model is served as the plain one it found, but it is the tuned one that was judged."""
    (tmp_path / "folds.csv").write_text(FOLDS, encoding="utf-8")
    task = ("BTC-USD.SIM_1m_5m", "v1", "BTC-USD.SIM", "1m", 300, "return", "huber", "champion", 1, 2, "bars", "f1")
    sent = list(_metrics(Entry(*task, {"report": {**report, "rows": 40}}), tmp_path))
    assert sent == [("rows", 40.0, 0), *(("fold_mse", value, step) for value, step in folds)]
