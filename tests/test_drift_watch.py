from __future__ import annotations

import numpy as np
from tests.learned import MODEL, NEWER, SETTINGS, TRAINED, artifact, candles, store_with_champion

from tapeline.clock import MINUTE
from tapeline.drift_watch import OUTPUT, DriftWatch
from tapeline.registry import Registry
from tapeline.simulator.market import JANUARY_2024
from tapeline.stores import rows
from tapeline.stores.memory import MemoryStore
from tapeline.types import Records


def newer(**factors: float) -> Records:
    made = candles()[TRAINED:]
    for name, factor in factors.items():
        made[name] *= factor
    return made


def test_quiet_candles_after_training_are_no_drift_and_the_output_is_watched_too() -> None:
    (one,) = DriftWatch(SETTINGS).measure(store_with_champion())
    assert (one.entry.name, one.reason, one.level) == (MODEL, "", "none")
    assert one.drifts[-1].column == OUTPUT
    assert one.rows == NEWER
    assert one.reference_rows > 2_000
    assert one.first == JANUARY_2024 + (TRAINED + 1) * MINUTE


def test_a_wider_range_is_found_in_the_feature_of_the_range() -> None:
    (one,) = DriftWatch(SETTINGS).measure(store_with_champion(newer(high=1.05)))
    assert one.level == "major"
    assert {drift.column for drift in one.drifts if drift.level == "major"} <= {"range_to_close", "range", OUTPUT}
    assert one.worst is not None
    assert one.worst.outside > 0.9


def test_what_is_missing_is_said_until_there_are_rows_enough() -> None:
    store = store_with_champion(newer()[:20])
    (one,) = DriftWatch(SETTINGS).measure(store)
    assert (one.level, one.drifts) == ("none", ())
    assert "has few rows" in one.reason
    assert "was 20" in one.reason


def test_the_training_is_read_once_and_a_new_champion_is_seen() -> None:
    store, watch = store_with_champion(), DriftWatch(SETTINGS)
    before = watch.measure(store)
    kept = dict(watch._kept)
    assert watch.measure(store) == before
    assert watch._kept == kept
    assert list(kept) == [(MODEL, Registry(store).entries()[0].version)]
    other = artifact(store, "huber")
    Registry(store).register(other, now=1)
    Registry(store).promote(other.name, other.version, now=2)
    assert [one.entry.version for one in watch.measure(store)] == [other.version]
    assert list(watch._kept) == [(MODEL, other.version)] or not watch._kept


def test_an_instrument_without_champion_has_no_drift() -> None:
    assert DriftWatch(SETTINGS).measure(MemoryStore()) == []
    assert DriftWatch(SETTINGS).measure(store_with_champion(), "ETH-USD.SIM") == []


def test_a_champion_whose_features_cannot_be_made_is_named() -> None:
    store = store_with_champion()
    store.upsert(
        "feature_sets",
        rows.from_dicts(
            "feature_sets",
            *[
                row | {"definition": row["definition"].replace("5", "6", 1)}
                for row in store.read("feature_sets").to_pylist()
            ],
        ),
    )
    (one,) = DriftWatch(SETTINGS).measure(store)
    assert one.drifts == ()
    assert "cannot be made any more" in one.reason


def test_rows_that_follow_the_training_are_the_served_ones() -> None:
    store, watch = store_with_champion(), DriftWatch(SETTINGS)
    (one,) = watch.measure(store)
    columns, reference, seen = watch.rows_of(one.entry)
    assert reference.shape[1] == seen.shape[1] == len(columns)
    assert np.isfinite(seen).all()
