from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.cli.conftest import Tapeline
from tests.learned import MODEL, NAME, TRAINED, artifact, candles, store_with_champion

from tapeline.cli.invocation import Invocation
from tapeline.cli.mirror import mirror
from tapeline.registry import Registry
from tapeline.stores.base import KINDS
from tapeline.stores.duckdb import DuckDBStore
from tapeline.stores.rows import from_dicts


@pytest.fixture
def db(folder: Path) -> Path:
    """A database with a champion, another model, and candles whose range grew after training."""
    newer = candles()[TRAINED:]
    newer["high"] *= 1.05
    held = store_with_champion(newer)
    other = artifact(held, "huber")
    Registry(held).register(other, now=1)
    path = folder / "learned.duckdb"
    with DuckDBStore(path, threads=1) as store, store.transaction():
        for kind in KINDS:
            store.append(kind, held.read(kind))
    return path


def test_drift_names_the_feature_and_ends_with_1(tapeline: Tapeline, db: Path) -> None:
    shown = tapeline("drift", "--db", db)
    assert shown.code == 1
    assert f"{MODEL} " in shown.out
    assert "360 rows since training" in shown.out
    assert "range" in shown.out
    (told,) = tapeline("drift", "--db", db, "--json").json
    assert (told["model"], told["level"], told["reason"]) == (MODEL, "major", "")
    names = {one["column"] for one in told["features"]}
    assert "prediction" in names
    assert len(tapeline("drift", "--db", db, "--all").out.splitlines()) == 2 + len(names)


def test_monitor_tells_all_of_it(tapeline: Tapeline, db: Path) -> None:
    shown = tapeline("monitor", "--db", db)
    assert shown.code == 1
    assert "live error: no outcome of a prediction is known yet" in shown.out
    assert f"NOT WELL: {MODEL}: range" in shown.out
    told: dict[str, Any] = tapeline("monitor", "--db", db, "--json").json
    assert list(told) == ["reasons", "drift", "errors", "answers", "anomalies"]


def test_a_store_without_models_is_well(tapeline: Tapeline) -> None:
    shown = tapeline("monitor")
    assert (shown.code, "too few candles" in shown.out) == (0, True)
    assert "no champion answers" in tapeline("drift").out


def test_versions_are_compared_and_promotions_tell_who(tapeline: Tapeline, db: Path) -> None:
    both = tapeline("models", "compare", MODEL, "--db", db, "--json").json
    assert {one["status"] for one in both} == {"champion", "candidate"}
    assert {one["outcomes"] for one in both} == {0}
    version = next(one["version"] for one in both if one["status"] == "candidate")
    assert tapeline("models", "promote", MODEL, version, "--db", db).code == 0
    assert "promoted (by command)" in tapeline("models", "show", MODEL, "--db", db).out
    refused = tapeline("models", "compare", MODEL, "nothing", "--db", db)
    assert (refused.code, "is not registered: expected" in refused.err) == (2, True)


def test_a_model_whose_features_cannot_be_made_is_refused_by_name(tapeline: Tapeline, db: Path) -> None:
    with DuckDBStore(db) as store:
        version = next(entry.version for entry in Registry(store).entries() if entry.status == "candidate")
        rows = store.read("feature_sets").to_pylist()
        changed = [row | {"definition": row["definition"].replace("10", "11")} for row in rows]
        store.upsert("feature_sets", from_dicts("feature_sets", *changed))
    refused = tapeline("models", "promote", MODEL, version, "--db", db)
    assert refused.code == 2
    assert "cannot be made any more" in refused.err


def test_sync_needs_a_server(tapeline: Tapeline, db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "set TAPELINE_MLFLOW_URI" in tapeline("models", "sync", "--db", db).err
    monkeypatch.setenv("TAPELINE_MLFLOW_URI", "http://127.0.0.1:9")
    away = tapeline("models", "sync", "--db", db)
    assert (away.code, "does not answer" in away.err, "models are kept here" in away.err) == (2, True, True)


@pytest.mark.services
def test_evidently_reports(tapeline: Tapeline, db: Path, folder: Path) -> None:
    assert tapeline("drift", "--db", db, "--out", "x.html").code == 1
    page = (folder / "x.html").read_text(encoding="utf-8")
    assert "prediction" in page
    assert len(page) > 10_000


def test_a_server_that_is_away_is_told_after_training_and_harms_nothing(
    db: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TAPELINE_MLFLOW_URI", "http://127.0.0.1:9")
    mirror(Invocation(db=db))
    assert "note: not sent to MLflow: mlflow http://127.0.0.1:9: does not answer" in capfd.readouterr().err


def test_a_report_that_cannot_be_written_is_no_success(tapeline: Tapeline, folder: Path) -> None:
    refused = tapeline("drift", "--out", "x.html")
    assert refused.code == 2
    assert "drift report x.html: cannot be written, nothing was measured" in refused.err
    assert "no champion answers" in refused.err
    assert not (folder / "x.html").exists()


def test_an_altered_artefact_is_found_and_its_predictions_are_unproven(tapeline: Tapeline, db: Path) -> None:
    assert tapeline("predict", NAME, "--db", db).code == 0
    assert tapeline("verify", "--db", db, "--json").json["clean"]
    assert tapeline("doctor", "--db", db).code == 0
    with DuckDBStore(db) as store:
        row = next(row for row in store.read("models").to_pylist() if row["status"] == "champion")
        altered = row["artifact"].replace(b'"rows"', b'"rowt"')
        store.upsert("models", pa.Table.from_pylist([row | {"artifact": altered}], KINDS["models"].schema))
    found = tapeline("doctor", "--db", db)
    assert (found.code, f"model {MODEL}@{row['version']}: model artefact: was altered" in found.out) == (1, True)
    (damaged,) = tapeline("doctor", "--db", db, "--json").json["database"]["damaged_models"]
    assert (damaged["name"], damaged["status"]) == (MODEL, "champion")
    told = tapeline("verify", "--db", db)
    assert (told.code, "clean" in told.out, "0 differences, 1 predictions unproven" in told.out) == (0, False, True)
    assert f"1 predictions of {MODEL}@{row['version']}: model" in told.err
    document = tapeline("verify", "--db", db, "--json").json
    assert (document["clean"], document["unproven_predictions"]) == (False, 1)
