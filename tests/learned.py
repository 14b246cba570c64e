"""A store with imported candles of two days and a champion trained on the first, for tests of monitors."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from tapeline.clock import DAY, MINUTE
from tapeline.config import Settings, load_settings
from tapeline.learning.artifact import Artifact
from tapeline.learning.fitting import fit
from tapeline.model_rows import dataset_of, learning_set, model_rows
from tapeline.models.base import find_models
from tapeline.registry import Registry
from tapeline.serving import keep_definition
from tapeline.simulator.market import JANUARY_2024
from tapeline.stores import rows
from tapeline.stores.base import Store
from tapeline.stores.memory import MemoryStore
from tapeline.types import CANDLE, Records

NAME, HORIZON = "BTC-USD.SIM", 5 * MINUTE
MODEL = f"{NAME}_1m_5m"
TRAINED, NEWER = 2 * 1440, 360
SETTINGS: Settings = load_settings(timeframes=("1m",), feature_sets=("bars",))


def candles(count: int = TRAINED + NEWER, *, seed: int = 1, start: int = JANUARY_2024, memory: float = 0.0) -> Records:
    """Return the candles of a random walk; with a memory, each return holds so much of the one before."""
    draw = np.random.default_rng(seed)
    made = np.zeros(count, CANDLE)
    made["open_time"] = start + MINUTE * np.arange(count)
    made["close_time"] = made["open_time"] + MINUTE
    returns = lfilter([1.0], [1.0, -memory], 1e-3 * draw.standard_normal(count))
    made["close"] = 100 * np.exp(returns.cumsum())
    made["open"] = np.concatenate(([100.0], made["close"][:-1]))
    made["high"] = np.maximum(made["open"], made["close"]) * (1 + 1e-4 * draw.random(count))
    made["low"] = np.minimum(made["open"], made["close"]) * (1 - 1e-4 * draw.random(count))
    made["volume"] = draw.exponential(2.0, count)
    for name in ("quote_volume", "vwap", "buy_volume", "realized_vol"):
        made[name] = np.nan
    made["trades"] = -1
    made["complete"] = True
    return made


def artifact(store: Store, name: str = "ridge", *, target: str = "return", seed: int = 1) -> Artifact:
    """Return a model, of the return unless asked for another, fitted on all stored rows whatever the gate would say."""
    features = learning_set("bars", "1m", HORIZON)
    keep_definition(store, features)
    kind = find_models()[name, target]
    data = dataset_of(model_rows(store, SETTINGS, NAME, "1m", features), HORIZON).for_target(target, kind.window)
    content = fit(kind, data, seed=seed).dump().decode()
    first, last = int(data.as_of[0]), int(data.known_at[-1])
    made = (NAME, "1m", HORIZON, target, name, content, data.columns, features.name, features.version)
    return Artifact(*made, -0.001, 0.001, 0.8, first, last, len(data), f"run {seed}", data.digest(), seed, "test")


def store_with_champion(newer: Records | None = None) -> MemoryStore:
    """Return a store whose champion has learnt from all but the newest candles."""
    store, whole = MemoryStore(), candles()
    store.append("candles", rows.from_candles(NAME, "1m", whole[:TRAINED], source="imported"))
    made, registry = artifact(store), Registry(store)
    registry.register(made, now=JANUARY_2024 + 2 * DAY)
    registry.promote(made.name, made.version, now=JANUARY_2024 + 2 * DAY)
    store.append(
        "candles", rows.from_candles(NAME, "1m", whole[TRAINED:] if newer is None else newer, source="imported")
    )
    return store
