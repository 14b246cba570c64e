"""Schemathesis over the OpenAPI document with all its checks, the stateful ones too: no 5xx, no undocumented answer."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from tests.api.conftest import TOKEN, app, hub, live, settings, store, template
from tests.test_client import address

pytestmark = pytest.mark.services

__all__ = ["address", "app", "hub", "live", "settings", "store", "template"]

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CONFIG = f"""
generation.deterministic = true
headers = {{ Authorization = "Bearer {TOKEN}" }}
request-timeout = 20.0

[checks]
positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "503"]
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "413", "422", "503"]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "503"]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "schemathesis.toml"
    file.write_text(CONFIG)
    return file


async def test_every_check_passes(address: str, config: Path) -> None:
    command = [str(SCHEMATHESIS), "--config-file", str(config), "run", f"{address}/openapi.json"]
    command += ["--exclude-path", "/v1/stream/sse"]  # it never ends: see tests/api/test_stream.py
    command += ["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "20", "--seed", "7"]
    command += ["--workers", "1", "--checks", "all", "--no-color"]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)

    done = await asyncio.to_thread(run)
    assert done.returncode == 0, f"{done.stdout[-8_000:]}\n{done.stderr[-2_000:]}"
