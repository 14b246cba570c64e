"""Replay of a tape to 1m, 5m and 1h candles and the ``technical`` features, beside Polars and pandas with TA-Lib.

All read the same trades from Parquet, warm in the page cache, in alternating runs of one process: we from our store
through the runner of ``tapeline replay``, the peers from a plain file that suits them better. Polars makes the candles
only; pandas with TA-Lib makes candles and features, once as it is commonly written (``pandas_talib``) and once
vectorised by hand (``pandas_vectorised``). The results must be equal before any time counts.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

import results
from peers import pandas_idiomatic, pandas_vectorised, polars_candles, replayed, tape
from tapeline.stores.duckdb import DuckDBStore
from tapeline.types import Float, Timeframe

SIZES = [Timeframe.parse(name).size for name in replayed.TIMEFRAMES]
FIRST_CALL = """
import time
begin = time.perf_counter()
import numpy as np
from peers import replayed, tape
from tapeline.types import Frame
ids = np.arange(1, 2001)
trades = Frame.of(tape.INSTRUMENT, trade_id=ids, ts_event=ids * 10**9, price=100.0 + ids % 7, qty=ids * 0.01)
assert len(replayed.pipeline().feed(trades).candles["1m"]) == 33
print(time.perf_counter() - begin)
"""


def main() -> None:
    """Run the bench."""
    options = _options()
    command = f"python bench/replay.py --trades {options.trades} --repeat {options.repeat}"
    made = tape.make(Path(options.folder), options.trades)
    _print_sizes(made, Path(options.folder))
    _check(made)
    runs = {
        "tapeline": lambda: replayed.replay(made),
        "polars": lambda: polars_candles.candles(made.plain, SIZES),
        "pandas_talib": lambda: _with_features(pandas_idiomatic.candles(made.plain, SIZES)),
        "pandas_vectorised": lambda: _with_features(pandas_vectorised.candles(made.plain, SIZES)),
    }
    seconds = _alternate(runs, options.repeat)
    ours = seconds.pop("tapeline")
    results.record("replay_rate", options.trades / ours / 1e6, "million trades/s", None, None, command)
    for peer, theirs in seconds.items():
        results.record(f"replay_vs_{peer}", ours, "s", theirs, theirs / ours, command)
    first, cached = _first_calls()
    results.record("replay_first_call", first, "s", cached, None, command)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=10_000_000)
    parser.add_argument("--repeat", type=int, default=5, help="alternating runs; the median counts")
    parser.add_argument("--folder", default="build/bench", help="where the tape is kept between runs")
    parser.add_argument("--smoke", action="store_true", help="small and once")
    options = parser.parse_args()
    if options.smoke:
        options.trades, options.repeat = 300_000, 1
        os.environ.setdefault("TAPELINE_BENCH_RESULTS", "build/bench-smoke.json")
    return options


def _alternate(runs: Mapping[str, Callable[[], object]], repeat: int) -> dict[str, float]:
    """Return the median time of each, s, measured in turns.

    The time of all cores is printed too: other load disturbs it less.
    """
    walls: dict[str, list[float]] = {name: [] for name in runs}
    cores: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeat):
        for name, run in runs.items():
            gc.collect()
            begin = time.perf_counter(), time.process_time()
            run()
            walls[name].append(time.perf_counter() - begin[0])
            cores[name].append(time.process_time() - begin[1])
    for name in runs:
        print(f"{name}: {statistics.median(walls[name]):.3f} s, {statistics.median(cores[name]):.3f} s of cores")
    return {name: statistics.median(taken) for name, taken in walls.items()}


def _with_features(candles: Mapping[int, dict[str, Float]]) -> list[dict[str, Float]]:
    return [pandas_vectorised.technical(columns) for columns in candles.values()]


def _check(made: tape.Tape) -> None:
    """Stop unless all make the same candles and features; ours has no candle that is not closed."""
    ours = replayed.replay(made)
    for candles_of in (polars_candles.candles, pandas_idiomatic.candles, pandas_vectorised.candles):
        peer = candles_of(made.plain, SIZES)
        for name, size in zip(replayed.TIMEFRAMES, SIZES, strict=True):
            candles = ours.candles[name]
            _equal(f"{name} open_time", candles["open_time"].astype(np.float64), peer[size]["ts_event"])
            for column in polars_candles.COLUMNS:
                _equal(f"{name} {column}", candles[column].astype(np.float64), peer[size][column])
    for name in replayed.TIMEFRAMES:
        fields = {column: ours.candles[name][column] for column in ("open", "high", "low", "close", "volume")}
        peers_features = pandas_vectorised.technical(fields)
        assert list(peers_features) != [], "no features"
        for index, column in enumerate(replayed.FEATURES.names):
            _equal(f"{name} {column}", ours.features[name][:, index], peers_features[column])
    print(f"equal: {sum(map(len, ours.candles.values())):,} candles, {len(replayed.FEATURES.names)} features each")


def _equal(what: str, ours: Float, theirs: Float) -> None:
    # A difference near 0, as in MACD, has the error of what it is taken of.
    noise = 1e-12 * np.fmax.reduce(np.abs(ours), initial=0.0)
    np.testing.assert_allclose(ours, theirs[: len(ours)], rtol=1e-9, atol=noise, err_msg=what)


def _first_calls() -> tuple[float, float]:
    """Return the time to a first answer in a new process, with nothing compiled before and with all of it cached, s."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"NUMBA_CACHE_DIR": folder, "TAPELINE_CACHE": folder, "PYTHONPATH": "bench"}
        call = [sys.executable, "-c", FIRST_CALL]
        outputs = [subprocess.check_output(call, env=environment, text=True) for _ in range(2)]
    first, cached = (float(output) for output in outputs)
    print(f"first call {first:.2f} s, from the cache {cached:.2f} s")
    return first, cached


def _print_sizes(made: tape.Tape, folder: Path) -> None:
    """Print what a trade takes on disk, in Parquet and, of the first million trades, in DuckDB."""
    parquet = sum(file.stat().st_size for file in made.store.rglob("*.parquet")) / made.trades
    database = folder / "sizes.duckdb"
    database.unlink(missing_ok=True)
    few = min(made.trades, 1_000_000)
    store = DuckDBStore(database)
    tape.fill(store, few)
    store.close()
    print(f"bytes a trade: {parquet:.2f} in Parquet, {database.stat().st_size / few:.2f} in DuckDB")
    database.unlink()


if __name__ == "__main__":
    main()
