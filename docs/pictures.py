"""Make the picture of the page from a real run on the simulated market: ``.venv/bin/python docs/pictures.py``.

It needs what ``make test-services`` installs, Chromium with it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).with_name("images")
SEEN_AFTER_MS = 110_000
"""By then models were trained and some predictions have met their outcome."""


def main() -> None:
    """Follow the simulated market for some minutes, and keep what the page shows."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tapeline", "up", "--demo", "--headless", "--port", "0"]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            lines = (json.loads(line) for line in process.stdout)
            photograph(next(line["address"] for line in lines if line["event"] == "serving"))
        finally:
            process.stdout.close()
            process.terminate()
            process.wait()


def photograph(address: str) -> None:
    """Keep the page as it is on a desk, light and dark."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium")
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme=scheme)
            page.goto(address)
            page.wait_for_timeout(SEEN_AFTER_MS if scheme == "light" else 3_000)
            page.screenshot(path=IMAGES / f"page-{scheme}.png")
        browser.close()


if __name__ == "__main__":
    main()
