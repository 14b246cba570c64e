"""Make the pictures of the documentation from a real run of the demo: ``.venv/bin/python docs/pictures.py``."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from tapeline.clock import HOUR, SystemClock
from tapeline.config import load_settings
from tapeline.features import FeatureSet
from tapeline.runners.demo import TIMEFRAME, Demo, Plan
from tapeline.runners.replay import paced
from tapeline.runners.terminal import View
from tapeline.stores.duckdb import DuckDBStore

IMAGES = Path(__file__).with_name("images")


def main() -> None:
    """Run the demo for three simulated hours, and keep what the terminal and the training run show."""
    clock = SystemClock()
    with TemporaryDirectory() as name:
        folder = Path(name)
        store = DuckDBStore(folder / "demo.duckdb")
        demo = Demo(Plan(), store, load_settings(runs=folder / "runs"), folder, clock=clock)
        demo.record()
        demo.load(lambda at: None)
        run = demo.train(lambda text, done, total: None)
        view = View(demo.instrument, TIMEFRAME, FeatureSet.load("technical").names, clock=clock)
        begun = None
        for outputs in demo.live(lambda records: paced(records, speed=1e9, clock=clock, wait=clock.wait)):
            view.take(outputs)
            times = [int(released.frame.ts_event[-1]) for released in outputs.admission.released]
            begun = begun or times[0]
            if times[-1] - begun > 3 * HOUR:
                break
        store.close()
        console = Console(record=True, width=132, file=(folder / "screen").open("w"))
        console.print(view)
        console.save_svg(str(IMAGES / "terminal.svg"), title="tapeline demo (SIMULATED)")
        shutil.copy(run.folder / "errors.png", IMAGES / "errors.png")


if __name__ == "__main__":
    main()
