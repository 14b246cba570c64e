"""What the tests of the page share: a made-up process, a browser, and pictures that may differ a little."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tapeline.types import Float

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ("live-desk-dark", "live-desk-light", "live-phone-dark", "warming-laptop-light", "degraded-desk-dark")
PATIENCE = 120
"""Seconds until a test gives up. No claim: with a dozen busy processes a core, a page took 15 to open its panels."""
expect.set_options(timeout=PATIENCE * 1000)
SIZES = {"desk": (1440, 900), "laptop": (1024, 768), "phone": (390, 844)}


@contextmanager
def mock(
    scenario: str = "live",
    *,
    port: int = 0,
    candles: int = 3000,
    speed: float = 1,
    still: bool = False,
    locked: bool = False,
) -> Iterator[str]:
    """Run the made-up process of ``web/dev`` inside, and give its address.

    Args:
        scenario: what it is made up of.
        port: where it listens, 0 for any.
        candles: how many it has.
        speed: how fast its time goes.
        still: whether its time stands still instead.
        locked: whether it asks for its token.
    """
    options = ["--port", str(port), "--scenario", scenario, "--candles", str(candles), "--speed", str(speed)]
    options += [f"--{name}" for name, on in (("still", still), ("locked", locked)) if on]
    command = ["node", str(ROOT / "web/dev/mock.mjs"), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


class Sight:
    """A page that remembers what went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("console", lambda said: self.problems.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.problems.append(str(error)))

    def text(self, selector: str) -> str:
        """Return what stands in the first such element."""
        return self.page.locator(selector).first.inner_text()

    def wait(self, condition: str, seconds: float = PATIENCE) -> None:
        """Wait until a condition in JavaScript holds; the browser's own way to wait is refused by the page's CSP."""
        end = monotonic() + seconds
        while not self.page.evaluate(condition):
            assert monotonic() < end, f"not within {seconds} s: {condition}"
            self.page.wait_for_timeout(50)

    def candles(self) -> int:
        """Return how many candles the page holds."""
        return int(self.page.locator(".chart-canvas").get_attribute("data-candles") or 0)


class Thread:
    """What a page's own thread uses of a core from now on, whatever else uses it meanwhile."""

    def __init__(self, page: Page) -> None:
        self._devtools = page.context.new_cdp_session(page)
        self._devtools.send("Performance.enable", {"timeDomain": "threadTicks"})

    def seconds(self) -> float:
        """Return what it has used."""
        found = {row["name"]: row["value"] for row in self._devtools.send("Performance.getMetrics")["metrics"]}
        return float(found["TaskDuration"])


@contextmanager
def seen(
    browser: Browser, url: str, *, size: str = "desk", theme: str = "dark", settle: bool = True
) -> Iterator[Sight]:
    """Open a page inside; by default wait until it shows candles."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="light" if theme == "light" else "dark",
        timezone_id="Europe/Zurich",
    )
    context.set_default_timeout(PATIENCE * 1000)
    try:
        sight = Sight(context.new_page())
        sight.page.goto(url)
        if settle:
            sight.wait("Number(document.querySelector('.chart-canvas')?.dataset.candles) > 0")
        yield sight
    finally:
        context.close()


def drawn(sight: Sight) -> None:
    """Wait until what is known is drawn."""
    sight.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def difference(one: Path, other: Path) -> float:
    """Return the share of blocks of 8 x 8 pixels that differ visibly; 1 where the sizes do.

    Blocks, for all of the chart is a few pixels further left or right by how wide its prices were when it was drawn.
    """
    ours, theirs = (_blocks(path) for path in (one, other))
    if ours.shape != theirs.shape:
        return 1.0
    return float((np.abs(ours - theirs).max(axis=2) > 0.15).mean())


def _blocks(path: Path) -> Float:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB").reduce(8), np.float64) / 255


def pictured(browser: Browser, name: str, path: Path) -> None:
    """Take the picture of a state, such as ``live-desk-dark``, once all that stands still is there."""
    scenario, size, theme = name.split("-")
    with mock(scenario, still=True) as url, seen(browser, url, size=size, theme=theme) as sight:
        sight.wait("document.fonts.status === 'loaded' && !document.querySelector('.trade').hidden")
        sight.wait("document.querySelector('.prediction-body').innerText && document.querySelector('.score').innerText")
        sight.wait("document.querySelector('.dock canvas').height > 100")
        sight.wait("document.querySelectorAll('.dock .segments button').length === 2")
        sight.wait(f"document.querySelector('{'.empty progress' if scenario == 'warming' else '.reasons li'}')")
        drawn(sight)
        sight.page.screenshot(path=path)
