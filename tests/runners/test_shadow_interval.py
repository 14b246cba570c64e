"""The interval of a challenger follows what came, like that of a champion."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from tests.learned import MODEL, NAME, SETTINGS, artifact
from tests.runners.test_shadow import Stage

from tapeline.model_rows import model_rows
from tapeline.runners import shadow
from tapeline.serving import Champion
from tapeline.stores import rows
from tapeline.types import Prediction


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    yield made
    made.shadow.close()


async def test_it_is_that_of_a_champion(stage: Stage) -> None:
    made = replace(artifact(stage.store, "huber"), interval_rate=0.02)
    version = stage.challenge(made)
    await stage.live(20)
    told = {one.as_of: one for one in rows.to_predictions(stage.store.read("shadow_predictions"))}
    champion = Champion.of(stage.store, MODEL, version)
    data = model_rows(stage.store, SETTINGS, NAME, "1m", champion.features)
    said = champion.predict(NAME, data.rows, data.candles["close"])
    ours = [one for one in said if isinstance(one, Prediction) and one.as_of in told]
    assert len(ours) == len(told) == 21
    for one in ours:
        theirs = told[one.as_of]
        assert (theirs.low, theirs.high) == pytest.approx((one.low, one.high), rel=1e-9, abs=1e-12)
    widths = [one.high - one.low for one in ours]
    assert len({round(width, 12) for width in widths[7:]}) > 10
    assert {round(width, 12) for width in widths[:5]} == {0.002}


async def test_one_trained_long_ago_looks_back_no_further_than_it_may(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow, "_FOLLOWED", 30)
    made = replace(artifact(stage.store, "huber"), interval_rate=0.02, trained_to=0)
    stage.challenge(made)
    asked = stage.shadow._asked(next(entry for entry in stage.shadow._challengers()))
    assert asked is not None
    assert asked.skip == 500 + 30
