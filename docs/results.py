"""Train on the real recordings and write docs/results.md: ``.venv/bin/python docs/results.py FOLDER``.

The folder holds the recordings by name, at any depth; they belong to others and are not part of the repository. The
commands are run as they are printed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PAGE = Path(__file__).with_name("results.md")


@dataclass(frozen=True)
class Study:
    """What is imported and what is trained on it."""

    title: str
    files: tuple[str, ...]
    instrument: str
    train: tuple[str, ...]
    options: tuple[str, ...] = ()

    @property
    def commands(self) -> tuple[list[str], list[str]]:
        """Return the words after ``tapeline``: to import, and to train."""
        return ["import", *self.files, *self.options], ["train", self.instrument, *self.train]


SEEN = ("--set", "technical")
MONTH = ("--timeframe", "1m", "--horizon", "5m", *SEEN)
STUDIES = (
    Study(
        "NEAR-USDT, November 2025 (one-minute candles of Binance)",
        ("NEARUSDT-1m-2025-11.csv.gz",),
        "NEAR-USDT.BINANCE",
        (*MONTH, "--sweep", "--tune", "30"),
    ),
    Study(
        "BTC-PERP, January 2022 (one-minute candles of FTX)",
        ("btc-perp-20211231-20220201_1m.csv.gz",),
        "BTC-USD-PERP.FTX",
        MONTH,
        ("--instrument", "BTC-USD-PERP.FTX"),
    ),
    Study(
        "SPY, 8 October 2013 (every trade of the day)",
        ("tick_spy_20131008_trade.zip",),
        "SPY.US",
        ("--timeframe", "10s", "--horizon", "1m", "--fee-bp", "0.5", "--half-spread-bp", "0.3", *SEEN),
    ),
    Study(
        "BTC-USDT, eleven minutes of 8 and 9 August 2024 (every trade on Binance)",
        ("spot_btcusdt_20240808.gz", "spot_btcusdt_20240809.gz"),
        "BTC-USDT.BINANCE",
        ("--timeframe", "1s", "--horizon", "10s", *SEEN),
    ),
)


def main() -> None:
    """Run every study in a database of its own, and write the page."""
    recordings = Path(sys.argv[1])
    with TemporaryDirectory() as folder:
        reports = [run(study, recordings, Path(folder) / str(number)) for number, study in enumerate(STUDIES)]
    PAGE.write_text(page(STUDIES, reports), encoding="utf-8")


def run(study: Study, recordings: Path, place: Path) -> dict[str, Any]:
    """Import and train as a person would; return the report, with the seconds it took."""
    place.mkdir()
    for name in study.files:
        (place / name).symlink_to(next(recordings.resolve().rglob(name)))
    importing, training = study.commands
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "tapeline", *importing, "--quiet"], cwd=place, check=True)
    command = [sys.executable, "-m", "tapeline", *training, "--json"]
    done = subprocess.run(command, cwd=place, check=True, stdout=subprocess.PIPE, text=True)
    report: dict[str, Any] = json.loads(done.stdout)
    print(f"{study.title}: {time.perf_counter() - begun:.0f} s; {report['reason']}", flush=True)
    return report | {"seconds": time.perf_counter() - begun}


def page(studies: Sequence[Study], reports: Sequence[dict[str, Any]]) -> str:
    """Return the page as Markdown."""
    return "\n".join(_lines(studies, reports)) + "\n"


def _lines(studies: Sequence[Study], reports: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "# What it finds on real data"
    yield ""
    yield "<!-- Made by docs/results.py from the reports of the runs; not written by hand. -->"
    yield ""
    yield "Two real months of one-minute candles, a day of SPY and eleven minutes of Bitcoin, trade by trade. The files"
    yield "are recordings of others and are not part of this repository; the commands are given in full."
    yield ""
    yield "```sh"
    for study in studies:
        yield from (f"tapeline {' '.join(command)}" for command in study.commands)
    yield "```"
    yield ""
    yield f"**{_verdict(reports)}** The best candidate of each, out of sample, beside the best baseline:"
    yield ""
    yield "| data | rows | target | best candidate | against | better by | 95 %, corrected | verdict |"
    yield "|---|---:|---|---|---|---:|---|---|"
    for study, report in zip(studies, reports, strict=True):
        yield from _rows(study, report)
    yield ""
    yield from _reading(reports)
    for study, report in zip(studies, reports, strict=True):
        yield ""
        yield from _study(study, report)
    yield ""
    yield "## The other way round"
    yield ""
    yield "A gate that always says no would be right here, too. On a planted signal it promotes, and the advantage it"
    yield "states agrees with the planted one (`tests/test_train.py`). With the sweep and tuning on, `make chaos`"
    yield "counts how often it promotes in 100 data sets with nothing to be found (`tests/learning/test_null.py`):"
    yield "at most 5 times."


def _verdict(reports: Sequence[dict[str, Any]]) -> str:
    edges = [
        f"{found['champion']} for the {target} of {report['instrument']}"
        for report in reports
        for target, found in report["targets"].items()
        if found["promoted"]
    ]
    if not edges:
        return "No edge was found on any of them, neither for the return nor for the direction."
    return f"An edge in forecast error was found in {len(edges)} of the cases: {', '.join(edges)}."


def _best(report: dict[str, Any], target: str) -> dict[str, Any]:
    found = report["targets"][target]
    rows = [row for row in report["models"] if (row["target"], row["metric"]) == (target, found["metric"])]
    base: float = next(row["value"] for row in rows if row["model"] == row["baseline"])
    row = next(row for row in rows if row["model"] == (found["candidate"] or found["baseline"]))
    shares = {name: 100 * row[name] / abs(base) for name in ("difference", "difference_low", "difference_high")}
    return {**row, **shares, "rows": found["rows"]}


def _rows(study: Study, report: dict[str, Any]) -> Iterator[str]:
    for target, found in report["targets"].items():
        best = _best(report, target)
        ends = f"[{best['difference_low']:+.3f}, {best['difference_high']:+.3f}]"
        verdict = "promoted" if found["promoted"] else found["reason"].split(":")[0]
        cells = (
            study.instrument,
            f"{best['rows']:,}",
            target,
            best["model"],
            f"{best['metric']} of {best['baseline']}",
            f"{best['difference']:+.3f} %",
            ends,
            verdict,
        )
        yield f"| {' | '.join(cells)} |"


def _reading(reports: Sequence[dict[str, Any]]) -> Iterator[str]:
    tried = ", ".join(f"{report['tried']} on {report['instrument']}" for report in reports)
    yield "Positive is better. Every number is out of sample: five expanding folds, all learnt anew in each, seed"
    yield f"{reports[0]['seed']}, the set `{reports[0]['feature_set']}`. Intervals come from a block bootstrap and are"
    yield f"corrected for the number of candidates that could be promoted ({tried}). Less than a tenth of a"
    yield "per cent is a small edge even where it is real; whether it would pay is answered below."


def _study(study: Study, report: dict[str, Any]) -> Iterator[str]:
    yield f"## {study.title}"
    yield ""
    yield f"{report['rows']:,} rows from {report['first']} to {report['last']}, {report['timeframe']} candles,"
    yield f"{report['horizon']} ahead; data `{report['data_hash'][:12]}`, run `{report['run']}`."
    for target, found in report["targets"].items():
        yield ""
        told: str = found["trading"]["text"]
        yield f"- **{target}**: {found['reason']}. {told[:1].upper()}{told[1:]}."
        if found["coverage"] is not None:
            low, high = (100 * end for end in found["coverage_interval"])
            asked = f"{found['coverage_asked']:.0%} intervals of {found['champion']}"
            yield f"  The {asked} held {found['coverage']:.1%} of the outcomes [{low:.1f}, {high:.1f}]."
        if target in report["sweep"]:
            yield from _swept(report["sweep"][target], _best(report, target)["baseline"])


def _swept(swept: dict[str, Any], baseline: str) -> Iterator[str]:
    others = [row for row in swept["ranking"] if not row["served"]]
    above = [row["model"] for row in others if row["difference_low"] is not None and row["difference_low"] > 0]
    better = f"{len(above)} ({', '.join(above)})" if above else "none"
    yield f"  {swept['tried']} ordinary models of scikit-learn walked the same way: {len(swept['failed'])} failed or"
    yield f"  took too long; better than {baseline} with their whole interval: {better}."
    if others:
        yield f"  The best was {others[0]['model']}."


if __name__ == "__main__":
    main()
