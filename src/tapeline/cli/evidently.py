"""Evidently's report of the rows that drift was measured on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from tapeline.errors import MissingDependency, StoreUnavailable
from tapeline.types import Float


def write_report(columns: Sequence[str], reference: Float, newer: Float, name: str, out: Path) -> None:
    """Write Evidently's report on data drift as a page.

    Args:
        columns: names (k).
        reference: rows of training (n x k).
        newer: rows to compare (m x k).
        name: of the model, for the title.
        out: the file.

    Raises:
        MissingDependency: the extra ``evidently`` is not installed.
        StoreUnavailable: the file cannot be written.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pandas as pd
            from evidently import Report
            from evidently.presets import DataDriftPreset
    except ImportError as error:
        step = "pip install 'tapeline[evidently]'"
        raise MissingDependency("drift report", "needs Evidently", expected="it", was="none", next_step=step) from error
    frames = [pd.DataFrame(rows, columns=list(columns)) for rows in (newer, reference)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Evidently's own, about constant columns
        made = Report([DataDriftPreset()], metadata={"model": name}).run(*frames)
        try:
            made.save_html(str(out))
        except OSError as error:
            raise StoreUnavailable(f"report {out}", f"cannot be written: {error.strerror or error}") from error
