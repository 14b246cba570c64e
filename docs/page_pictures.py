"""Make the pictures of the page for the documentation: ``make pictures``.

They show a made-up process (``web/dev/mock.mjs``), so that the tests can compare them with the page as it is.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright
from tests.services.page_parts import PICTURES, pictured

IMAGES = Path(__file__).with_name("images")


def main() -> None:
    """Take a picture of each state."""
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path="/usr/bin/chromium") as browser:
        for name in PICTURES:
            path = IMAGES / f"page-{name}.png"
            pictured(browser, name, path)
            with Image.open(path) as picture:
                small = picture.convert("RGB").quantize(
                    256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
                )
            small.save(path, optimize=True)


if __name__ == "__main__":
    main()
