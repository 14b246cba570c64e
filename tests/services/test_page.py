"""The page in a real browser, over the made-up process of ``web/dev``: what a person sees, does and can do without."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright
from tests.services.page_parts import PICTURES, ROOT, Sight, Thread, difference, drawn, mock, pictured, seen

pytestmark = pytest.mark.services

AXE = ROOT / "web/node_modules/axe-core/axe.min.js"
CANDLES = "Number(document.querySelector('.chart-canvas').dataset.candles)"
SCORED = "Number(document.querySelector('.chart-canvas').dataset.scored)"
LEGEND = "document.querySelector('.legend')?.innerText ?? ''"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert (ROOT / "src/tapeline/web/dist/index.html").is_file(), "the page is not built: run make page"
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path="/usr/bin/chromium") as opened:
        yield opened


@pytest.fixture(scope="module")
def still() -> Iterator[str]:
    with mock(still=True) as url:
        yield url


@pytest.fixture(scope="module")
def live() -> Iterator[str]:
    with mock() as url:
        yield url


def test_page_is_light_and_says_that_it_is_simulated(browser: Browser, live: str) -> None:
    with seen(browser, live) as sight:
        thread = Thread(sight.page)
        sight.page.reload()
        expect(sight.page.locator(".header .simulated")).to_be_visible()
        expect(sight.page).to_have_title(re.compile("^SIMULATED .*BTC-USD.SIM"))
        sight.wait("document.querySelector('.reasons li') && document.querySelector('.verdict')")
        assert sight.problems == []
        assert 0.02 < thread.seconds() < 1.0  # of a core: how long that takes is up to who else uses it
        loaded = sight.page.evaluate("performance.getEntriesByType('resource').map((one) => one.name)")
        assert len([one for one in loaded if "/assets/" in one]) <= 4
        assert [one for one in loaded if not one.startswith(live)] == []


def test_page_is_loaded_within_a_second(browser: Browser, live: str) -> None:
    times = []
    for _ in range(5):
        with seen(browser, live) as sight:
            times.append(sight.page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd"))
    assert 0 < min(times) < 1000


def test_running_candle_and_tape_move_without_a_reload(browser: Browser, live: str) -> None:
    with seen(browser, live) as sight:
        sight.wait(f"{LEGEND}.includes('running')")
        legend, trade = sight.text(".legend"), sight.text(".trade")
        sight.wait(f"{LEGEND} !== {json.dumps(legend)}")
        sight.wait(f"document.querySelector('.trade').innerText !== {json.dumps(trade)}")


def test_prediction_appears_and_is_scored(browser: Browser) -> None:
    with mock(speed=60) as url, seen(browser, url) as sight:
        sight.wait("document.querySelector('.prediction-body').dataset.id")
        body = sight.page.locator(".prediction-body")
        first, scored = body.get_attribute("data-id"), int(body.get_attribute("data-scored") or 0)
        sight.wait(f"document.querySelector('.prediction-body').dataset.id !== {first!r}")
        sight.wait(f"Number(document.querySelector('.prediction-body').dataset.scored) > {scored}")
        assert re.match("[+\N{MINUS SIGN}][0-9]", sight.text(".said .big"))
        assert sight.text(".verdict") == "No edge found: the interval holds zero."
        assert sight.problems == []


def test_reconnects_when_the_process_comes_back(browser: Browser) -> None:
    with ExitStack() as opened:
        with mock() as url:
            port = int(url.rpartition(":")[2])
            sight = opened.enter_context(seen(browser, url))
            sight.wait(f"{LEGEND}.includes('running')")
        expect(sight.page.locator(".banner")).to_contain_text("Reconnecting")
        expect(sight.page.locator(".banner")).to_contain_text("what is shown stands still")
        with mock(port=port):
            expect(sight.page.locator(".banner")).to_be_hidden()
            expect(sight.page.locator(".banner")).to_have_text("")
            legend = sight.text(".legend")
            sight.wait(f"{LEGEND} !== {json.dumps(legend)}")
        assert [one for one in sight.problems if not one.startswith(("Failed to load resource", "WebSocket"))] == []


def test_hours_of_updates_leave_memory_flat(browser: Browser) -> None:
    with mock(speed=1200) as url, seen(browser, url) as sight:
        devtools = sight.page.context.new_cdp_session(sight.page)

        def held() -> tuple[float, float]:
            devtools.send("HeapProfiler.collectGarbage")
            devtools.send("HeapProfiler.collectGarbage")
            found = {row["name"]: row["value"] for row in devtools.send("Performance.getMetrics")["metrics"]}
            return found["JSHeapUsedSize"] / 1e6, found["Nodes"]

        devtools.send("Performance.enable")
        begun = sight.candles()
        sight.wait(f"{CANDLES} >= {begun + 160}", 60)
        heap, nodes = held()
        sight.wait(f"{CANDLES} >= {begun + 640}", 90)
        later, nodes_later = held()
        assert later - heap < 4
        assert nodes_later < nodes * 1.2 + 200
        assert sight.problems == []


def test_a_year_of_candles_comes_as_it_is_looked_at(browser: Browser) -> None:
    with mock(candles=525_600, still=True) as url, seen(browser, url) as sight:
        assert sight.candles() < 2000
        chart = sight.page.locator(".chart-canvas")
        chart.focus()
        while (known := sight.candles()) < 525_600:
            for _ in range(12):
                sight.page.keyboard.press("-")
            sight.wait(f"{CANDLES} > {known}", 60)
        sight.page.keyboard.press("Home")
        thread = Thread(sight.page)
        sight.page.evaluate("""() => new Promise((done) => {
            let left = 60;
            const frame = () => {
                document.querySelector('.chart-canvas').dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowLeft'}));
                left-- ? requestAnimationFrame(frame) : done(); };
            requestAnimationFrame(frame);
        })""")
        assert 0.0001 < thread.seconds() / 60 < 0.1
        assert sight.problems == []


STATES = {"nothing": "Waiting for the first trade", "warming": "Warming up", "degraded": "Degraded"}


@pytest.mark.parametrize("scenario", STATES)
def test_each_state_says_what_it_is(browser: Browser, scenario: str) -> None:
    with mock(scenario) as url, seen(browser, url, settle=False) as sight:
        expect(sight.page.locator("body")).to_contain_text(STATES[scenario])
        assert sight.problems == []


@pytest.mark.parametrize("size", ["desk", "phone"])
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_no_violation(browser: Browser, live: str, theme: str, size: str) -> None:
    with seen(browser, live, theme=theme, size=size) as sight:
        sight.wait("document.querySelector('.reasons li') && document.querySelector('.verdict')")
        for tab in ("features", "models", "quality", "venues"):
            sight.page.locator(f"#tab-{tab}").click()
            sight.wait("document.querySelector('.dock-body :is(canvas, table)')")
            assert violations(sight) == [], tab
        sight.page.locator(".chip").first.click()
        assert violations(sight) == [], "detail of the venues"
        sight.page.keyboard.press("Escape")
        sight.page.keyboard.press("?")
        assert violations(sight) == [], "help"


def violations(sight: Sight) -> list[str]:
    sight.page.evaluate(AXE.read_text("utf-8"))
    found = sight.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{one['id']}: {node['html'][:120]}" for one in found["violations"] for node in one["nodes"]]


def test_every_control_is_reached_by_the_keyboard(browser: Browser, live: str) -> None:
    with seen(browser, live) as sight:
        reached = set()
        for _ in range(60):
            sight.page.keyboard.press("Tab")
            reached.add(sight.page.evaluate("document.activeElement.className + document.activeElement.id"))
        wanted = ("instrument", "chip", "choose-indicators", "chart-canvas", "tape-rows", "tab-features", "heat-scroll")
        assert [one for one in wanted if not any(one in name for name in reached)] == []


def test_detail_opens_and_closes_by_the_keyboard(browser: Browser, live: str) -> None:
    with seen(browser, live) as sight:
        chip = sight.page.locator(".chip", has_text="Gaps")
        chip.focus()
        sight.page.keyboard.press("Enter")
        expect(sight.page.get_by_role("dialog", name="Missing trade ids")).to_contain_text("healed")
        sight.page.keyboard.press("Escape")
        expect(chip).to_have_attribute("aria-expanded", "false")
        expect(chip).to_be_focused()


def test_promotion_needs_the_token(browser: Browser, live: str) -> None:
    with seen(browser, live) as sight:
        sight.page.locator("#tab-models").click()
        sight.page.get_by_role("button", name="Promote boosting return").click()
        sight.page.locator("#token").fill("wrong")
        sight.page.keyboard.press("Enter")
        expect(sight.page.get_by_role("alert")).to_have_text("the token is missing or wrong")
        sight.page.locator("#token").fill("secret")
        sight.page.keyboard.press("Enter")
        expect(sight.page.locator("dialog.token")).to_have_count(0)


def test_token_is_asked_for_and_opens_the_page(browser: Browser) -> None:
    with mock(locked=True) as url, seen(browser, url, settle=False) as sight:
        for token, told in (("wrong", "the token is missing or wrong"), ("secret", None)):
            sight.page.get_by_label("Token").fill(token)
            sight.page.keyboard.press("Enter")
            if told:
                expect(sight.page.get_by_role("alert")).to_have_text(told)
        expect(sight.page.locator("dialog.token")).to_have_count(0)
        sight.wait("Number(document.querySelector('.chart-canvas')?.dataset.candles) > 0")
        legend = sight.text(".legend")
        sight.wait(f"{LEGEND} !== {json.dumps(legend)}")


def test_challenger_stands_beside_its_champion(browser: Browser, live: str) -> None:
    with seen(browser, live) as sight:
        sight.page.locator("#tab-models").click()
        rows = sight.page.get_by_role("table", name="Champion and challengers on the same outcomes").get_by_role("row")
        expect(rows).to_have_count(3)
        expect(rows.nth(2)).to_contain_text("forest")
        expect(rows.nth(2).get_by_role("img")).to_have_attribute("aria-label", re.compile("better by 0.040 bp"))


def test_anomalies_that_cannot_be_told_say_why(browser: Browser, live: str) -> None:
    with seen(browser, live) as sight:
        sight.page.route(
            "**/v1/anomalies*", lambda route: route.fulfill(status=503, json={"detail": "too few candles"})
        )
        switch = sight.page.get_by_role("button", name="Anomalies")
        switch.click()
        expect(switch).to_have_attribute("title", "Anomalies cannot be told: too few candles")
        sight.page.unroute("**/v1/anomalies*")
        switch.click()
        switch.click()
        expect(switch).to_have_attribute("title", re.compile("^Shade candles"))


def test_exports_say_simulated(browser: Browser, live: str) -> None:
    with seen(browser, live) as sight:
        for item, ending in (("Candles in sight (CSV)", "csv"), ("Picture of the chart (PNG)", "png")):
            sight.page.get_by_role("button", name="Export").click()
            with sight.page.expect_download() as expected:
                sight.page.get_by_role("button", name=item).click()
            assert expected.value.suggested_filename == f"BTC-USD.SIM_1m_SIMULATED.{ending}"
            if ending == "csv":
                rows = Path(expected.value.path()).read_text("utf-8").splitlines()
                assert len(rows) > 50
                assert all(row.endswith(",true") for row in rows[1:])


def test_times_switch_between_utc_and_local(browser: Browser, live: str) -> None:
    with seen(browser, live) as sight:
        before = int(sight.text(".trade span")[:2])
        sight.page.keyboard.press("u")
        sight.wait(f"Number(document.querySelector('.trade span').innerText.slice(0, 2)) === {(before + 1) % 24}")
        expect(sight.page.locator(".zone")).to_have_text("Local")


@pytest.mark.parametrize("name", PICTURES)
def test_looks_as_in_the_documentation(browser: Browser, name: str, tmp_path: Path) -> None:
    pictured(browser, name, tmp_path / "now.png")
    assert difference(tmp_path / "now.png", ROOT / f"docs/images/page-{name}.png") < 0.03


def test_what_models_of_other_targets_say_stands_beside_the_prediction(browser: Browser, live: str) -> None:
    with seen(browser, live) as sight:
        sight.wait("document.querySelectorAll('.answers dt').length === 3")
        said = " ".join(sight.text(".answers").split())
        assert re.search(r"Regime (low|normal|high) \d+% since \d\d:\d\d", said), said
        assert re.search(r"Anomaly (usual|odd) odder than \d", said), said
        assert re.search(r"Volatility \d+\.\d bp expected over 5m", said), said
        assert "No model" not in said


def test_band_of_regimes_follows_the_switch_of_predictions(browser: Browser, still: str) -> None:
    with seen(browser, still) as sight:
        sight.wait("document.querySelectorAll('.answers dt').length === 3")
        shown, gone = (_upper_edge(sight, switched=switched) for switched in (False, True))
        assert shown != gone


def _upper_edge(sight: Sight, *, switched: bool) -> bytes:
    """Return the picture of the chart's upper edge, where the band is, once the switch was pressed or not."""
    if switched:
        sight.page.locator("#toggle-predictions").click()
        sight.page.mouse.move(0, 0)
    drawn(sight)
    box = sight.page.locator(".chart-canvas").bounding_box()
    assert box is not None
    return sight.page.screenshot(clip={"x": box["x"] + 20, "y": box["y"], "width": 600, "height": 2})


@pytest.mark.parametrize(("scenario", "missing"), [("degraded", "volatility"), ("warming", "")])
def test_target_that_nothing_answers_says_how_to_train_it(browser: Browser, scenario: str, missing: str) -> None:
    with mock(scenario) as url, seen(browser, url) as sight:
        sight.wait("document.querySelector('.score').innerText")
        if missing:
            expect(sight.page.locator(".answers")).to_contain_text(f"--timeframe 1m --target {missing}")
        else:
            assert not sight.text(".answers")


def test_indicators_come_as_the_past_is_looked_at(browser: Browser, live: str) -> None:
    with seen(browser, live) as sight:
        sight.wait("document.querySelectorAll('.legend-indicators > span').length > 0")
        sight.page.locator(".chart-canvas").focus()
        with sight.page.expect_request(lambda request: "/v1/features" in request.url and "&end=" in request.url):
            for _ in range(12):
                sight.page.keyboard.press("PageUp")


def test_what_models_said_comes_as_the_past_is_looked_at(browser: Browser, still: str) -> None:
    with seen(browser, still) as sight:
        back = sight.page.get_by_role("button", name="Newest →")
        sight.wait(f"{SCORED} > 50")
        expect(back).to_be_hidden()
        sight.page.locator(".chart-canvas").focus()
        asked: list[str] = []
        sight.page.on("request", lambda request: asked.append(request.url) if "&end=" in request.url else None)
        with sight.page.expect_request(lambda request: "/v1/late" in request.url and "&end=" in request.url):
            for _ in range(14):
                sight.page.keyboard.press("PageUp")
        assert any("/v1/predictions?" in url for url in asked)
        drawn(sight)
        sight.wait(f"{SCORED} > 50")
        shown, gone = (_upper_edge(sight, switched=switched) for switched in (False, True))
        assert shown != gone
        back.click()
        expect(back).to_be_hidden()
        sight.wait(f"{SCORED} > 50")
        assert sight.problems == []


@pytest.mark.parametrize("size", ["desk", "laptop"])
def test_quality_is_told_without_a_column_cut(browser: Browser, size: str, live: str) -> None:
    with seen(browser, live, size=size) as sight:
        sight.page.locator("#tab-quality").click()
        sight.wait("document.querySelector('.stored th')")
        cut = "(() => { const all = document.querySelector('.stored'); return all.scrollWidth - all.clientWidth; })()"
        assert sight.page.evaluate(cut) == 0


def test_training_runs_stand_beside_the_models_with_the_decision_of_the_gate(browser: Browser, live: str) -> None:
    with seen(browser, live) as sight:
        sight.page.keyboard.press("2")
        sight.wait("document.querySelector('.gate li')")
        assert sight.text(".comparison .verdict").startswith("No edge found: linear is")
        expect(sight.page.locator(".gate li").first).to_contain_text("edge")
        expect(sight.page.get_by_label("Training run")).to_contain_text("no edge found")
        assert sight.problems == []
