"""The page over the real process: it moves, predicts and scores, and comes back after a kill."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from tests.services.page_parts import seen

pytestmark = pytest.mark.services

LONG = 600
"""Seconds until it gives up on what a process begins with: it compiles and trains beside whatever else runs."""
COUNT = "Number(document.querySelector('.prediction-body').dataset.scored)"


@contextmanager
def process(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``tapeline up --demo`` in a folder inside; it is killed, not asked."""
    command = [sys.executable, "-m", "tapeline", "up", "--demo", "--headless", "--port", str(port)]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as started:
        try:
            yield started
        finally:
            started.kill()


def until_served(page: Page, url: str) -> None:
    for _ in range(LONG * 4):
        try:
            urlopen(f"{url}/health", timeout=1).close()
        except (URLError, TimeoutError):
            page.wait_for_timeout(250)
        else:
            return
    raise AssertionError(f"not served within {LONG} s")


def test_real_process_predicts_scores_and_comes_back(tmp_path: Path) -> None:
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path="/usr/bin/chromium") as browser:
        waiting = browser.new_page()
        with process(tmp_path, port):
            until_served(waiting, url)
            opened = seen(browser, url)
            sight = opened.__enter__()
            expect(sight.page.locator(".header .simulated")).to_be_visible()
            begun = sight.candles()
            sight.wait(f"Number(document.querySelector('.chart-canvas').dataset.candles) > {begun}", LONG)
            sight.wait("document.querySelector('.prediction-body').dataset.id", LONG)
            sight.wait(f"{COUNT} > 0", LONG)
            assert sight.problems == []
        expect(sight.page.locator(".banner")).to_contain_text("Reconnecting")
        with process(tmp_path, port):
            until_served(waiting, url)
            expect(sight.page.locator(".banner")).not_to_contain_text("Reconnecting")
            begun = sight.candles()
            sight.wait(f"Number(document.querySelector('.chart-canvas').dataset.candles) > {begun}", LONG)
        opened.__exit__(None, None, None)
