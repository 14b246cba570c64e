"""What all tests share: the recorded data, and the profiles of Hypothesis."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the tests of services alone where they are not asked for: what they import is not installed then."""
    unasked = "not services" in config.getoption("markexpr")
    return True if unasked and collection_path == ROOT / "tests" / "services" else None


def shared_folder() -> Path:
    """Return the folder of recorded data: ``TAPELINE_SHARED``, from the repository's root, else ``../shared``."""
    return (ROOT / os.environ.get("TAPELINE_SHARED", "../shared")).resolve()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of recorded data, or skip: the closing lines of the run then say so aloud."""
    folder = shared_folder()
    if not (folder / "data").is_dir():
        pytest.skip(f"recorded data is absent: no {folder / 'data'}; set TAPELINE_SHARED")
    return folder


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the root of the repository."""
    return ROOT


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [
        report for report in terminalreporter.getreports("skipped") if "recorded data is absent" in str(report.longrepr)
    ]
    if skipped:
        terminalreporter.section("NOT PROVEN", sep="!", red=True, bold=True)
        terminalreporter.line(
            f"{len(skipped)} tests were skipped: recorded data is absent, no {shared_folder() / 'data'}"
        )
