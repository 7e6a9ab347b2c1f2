"""The page in a real browser: it shows what is, says when that is no longer true, and fits a phone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[3]
OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
WIDE, PHONE = (1440, 900), (375, 812)
WITHIN_MS = 15_000
TITLES = ("robot on its track", "robot.camera", "Lap times", "robot.steering", "Loops", "Actuators", "host")


@dataclass
class Scene:
    """A demo scene in a process of its own: while the test waits for the browser, it goes on."""

    trouble: bool = False
    port: int = 0
    process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        command = [sys.executable, "-m", "tests.agentd.gateway.demo_scene", "--port", str(self.port)]
        command += ["--trouble"] if self.trouble else []
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        self.port = int(self.address.rpartition(":")[2])

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *_error: object) -> None:
        self.end()

    def end(self) -> None:
        """Stop it, as Ctrl-C would."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium, the Debian package."""
    chromium = shutil.which("chromium")
    assert chromium, "chromium is in the Debian package chromium"
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """A robot that drives."""
    with Scene() as found:
        yield found


class Visit:
    """A page, and what its console complained about."""

    def __init__(self, browser: Browser, address: str, size: tuple[int, int] = WIDE, dark: bool = False) -> None:
        self._context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light"
        )
        self.page: Page = self._context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda line: self.complaints.append(line.text) if line.type == "error" else None)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)
        expect(self.page.locator("#link")).to_have_text("live", timeout=WITHIN_MS)
        expect(self.page.locator("#pill")).not_to_have_text("connecting", timeout=WITHIN_MS)

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_error: object) -> None:
        self._context.close()

    def keep(self, name: str) -> None:
        """Keep a picture of the page where `AGENTD_SCREENSHOTS` says."""
        folder = os.environ.get("AGENTD_SCREENSHOTS")
        if folder:
            self.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def drawn(page: Page, selector: str) -> int:
    """How many pixels of a canvas are not empty."""
    script = """(canvas) => {
        const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        let count = 0;
        for (let i = 3; i < data.length; i += 4) count += data[i] > 0;
        return count;
    }"""
    return int(page.locator(selector).first.evaluate(script))


def changes(page: Page, expression: str) -> None:
    """Wait until an expression has another value; the page's policy forbids evaluating inside of it."""
    before = page.evaluate(expression)
    for _ in range(WITHIN_MS // 100):
        if page.evaluate(expression) != before:
            return
        page.wait_for_timeout(100)
    pytest.fail(f"{expression} stays {before}")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_the_page_shows_everything_without_a_complaint(
    browser: Browser, scene: Scene, size: tuple[int, int], dark: bool
) -> None:
    with Visit(browser, scene.address, size, dark) as visit:
        page = visit.page
        expect(page.locator("#pill")).to_have_text("all is well")
        expect(page.locator("#about")).to_contain_text("robot simulated")
        for title in TITLES:
            expect(page.locator("h2", has_text=title).first).to_be_visible()
        page.wait_for_timeout(1500)
        for canvas in ("canvas.map", "canvas.pixels", "canvas.overlay", "canvas.plot:not(.laps)"):
            assert drawn(page, canvas) > 100, canvas
        expect(page.locator(".loop .chip").first).to_have_text("running")
        expect(page.locator(".loop .q b").first).to_contain_text("µs")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= size[0], "the page scrolls sideways"
        assert visit.complaints == []
        visit.keep(f"{'wide' if size == WIDE else 'phone'}-{'dark' if dark else 'light'}")


def test_the_page_asks_only_its_own_daemon(browser: Browser, scene: Scene) -> None:
    with Visit(browser, scene.address) as visit:
        assert visit.requests
        assert all(url.startswith(scene.address) for url in visit.requests)


def test_the_robot_moves(browser: Browser, scene: Scene) -> None:
    with Visit(browser, scene.address) as visit:
        changes(visit.page, "[page.state.value('robot.x'), page.state.value('robot.y')]")


def test_guard_interventions_appear_as_they_happen(browser: Browser, scene: Scene) -> None:
    with Visit(browser, scene.address) as visit:
        page = visit.page
        page.get_by_role("button", name="guard").click()
        changes(page, "page.events.seen")
        expect(page.locator(".events li .k-guard").first).to_be_visible()


def test_all_signals_can_be_looked_through(browser: Browser, scene: Scene) -> None:
    with Visit(browser, scene.address) as visit:
        page = visit.page
        page.locator("summary").click()
        page.locator(".search").fill("host.")
        expect(page.locator(".signals tbody tr:visible")).to_have_count(13, timeout=WITHIN_MS)
        expect(page.locator(".signals tbody tr", has_text="host.memory_total")).to_contain_text("GiB")


def test_trouble_is_at_the_top_and_says_what_to_type(browser: Browser) -> None:
    with Scene(trouble=True) as scene, Visit(browser, scene.address) as visit:
        expect(visit.page.locator("#pill")).to_have_text("emergency stop")
        expect(visit.page.locator(".banner.stop")).to_contain_text("agentctl clear node")
        expect(visit.page.locator(".banner.warn")).to_contain_text("agentctl clear slow")
        visit.keep("trouble")


def test_a_lost_connection_is_said_and_found_again(browser: Browser) -> None:
    with Scene() as scene, Visit(browser, scene.address) as visit:
        scene.end()
        expect(visit.page.locator("#pill")).to_have_text("no connection", timeout=WITHIN_MS)
        expect(visit.page.locator(".banner.bad")).to_contain_text("as it was at")
        expect(visit.page.locator("body")).to_have_class("lost")
        visit.keep("lost")
        with Scene(port=scene.port):
            expect(visit.page.locator("#link")).to_have_text("live", timeout=WITHIN_MS)
            expect(visit.page.locator(".banner.bad")).to_have_count(0)
