"""The page Now in a real browser: it lives, pauses, takes keys, stays at home and reads well."""

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from towplane.api.server import AdminServer
from towplane.console.pages import pages
from towplane.testing.views import FakePlaneView, a_status

pytestmark = pytest.mark.browser

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 30_000


class OpenPlane:
    """A fake plane's admin port, open in a thread with a loop of its own."""

    def __init__(self) -> None:
        self.view = FakePlaneView()
        self.url = ""
        self._up = threading.Event()
        self._stop: asyncio.Event
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()))
        self._thread.start()
        assert self._up.wait(30)

    def close(self) -> None:
        """Stop the port; its live pages are told."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive()

    async def _live(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = AdminServer(self.view, listen="127.0.0.1:0", pages=pages)
        beat = 0
        for beat in range(3):
            self.view.serve_traffic(beat)
            await server.pulse.look()
        self.url = await server.start()
        self._up.set()
        while not self._stop.is_set():
            beat += 1
            self.view.serve_traffic(beat)
            await server.pulse.look()
            await asyncio.wait([asyncio.ensure_future(self._stop.wait())], timeout=0.1)
        await server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    if not CHROMIUM.exists():
        missing = f"{CHROMIUM} is missing: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def shared_plane() -> Iterator[OpenPlane]:
    """One port for all stories; each begins with a plane that is well."""
    opened = OpenPlane()
    yield opened
    opened.close()


@pytest.fixture
def plane(shared_plane: OpenPlane) -> OpenPlane:
    """A plane with traffic."""
    shared_plane.view.state = a_status()
    return shared_plane


@pytest.fixture
def page(browser: Browser, plane: OpenPlane) -> Iterator[Page]:
    """The page Now, live; whatever goes wrong in it fails the test."""
    context = browser.new_context(viewport={"width": 1360, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    wrong: list[str] = []
    opened.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("request", lambda request: _stay_home(request, plane.url, wrong))
    opened.goto(plane.url)
    expect(opened.locator("#live-words")).to_have_text("live", timeout=PATIENCE_MS)
    yield opened
    context.close()
    assert wrong == []


def _stay_home(request: Request, home: str, wrong: list[str]) -> None:
    if not request.url.startswith(f"{home}/"):
        wrong.append(f"a request left the plane: {request.url}")


def test_the_page_lives(page: Page, plane: OpenPlane) -> None:
    """A change of the plane reaches an open page, and what did not change is left alone."""
    page.evaluate("window.table = document.querySelector('#part-targets table')")
    plane.view.state.targets[0].state = "down"
    plane.view.state.targets[0].reason = "crash loop"
    expect(page.locator("#part-verdict")).to_contain_text("embedded/0 is down: crash loop.")
    expect(page.locator("#part-targets")).to_contain_text("crash loop")
    plane.view.state.targets[0].state = "ready"
    plane.view.state.targets[0].reason = ""
    expect(page.locator("#part-verdict")).to_contain_text("All is well.")
    assert page.evaluate("window.table.isConnected")


def test_focus_survives_an_update(page: Page) -> None:
    link = page.locator("#card-requests .value a")
    link.focus()
    before = page.locator("#part-verdict time").get_attribute("datetime")
    assert before is not None
    expect(page.locator("#part-verdict time")).not_to_have_attribute(
        "datetime", before, timeout=PATIENCE_MS
    )
    expect(link).to_be_focused()


def test_a_paused_page_does_not_change(page: Page, plane: OpenPlane) -> None:
    page.keyboard.press("p")
    expect(page.locator("#live-words")).to_have_text("paused")
    expect(page.locator("#pause")).to_have_text("Resume")
    assert page.url.endswith("/?live=off")
    before = page.locator("#main").inner_html()
    plane.view.state.plane = "renamed"
    plane.view.state.workers[0].state = "down"
    page.wait_for_timeout(1000)  # ten beats in which an unpaused page would have changed
    assert page.locator("#main").inner_html() == before
    page.reload()
    expect(page.locator("#live-words")).to_have_text("paused")
    page.locator("#pause").click()
    expect(page.locator("#live-words")).to_have_text("live")
    assert "live=off" not in page.url


def test_everything_is_reached_by_keyboard(page: Page) -> None:
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("globex")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=globex")
    expect(page.locator("#part-tenants")).to_contain_text("globex")
    expect(page.locator("#part-targets")).to_contain_text("Nothing here is named “globex”")
    page.keyboard.press(":")
    expect(page.locator("#go")).to_be_visible()
    page.keyboard.type("sources")
    expect(page.locator("#go-places li")).to_have_count(1)
    page.keyboard.press("Enter")
    page.wait_for_url("**/sources")
    expect(page.locator("h1")).to_have_text("Where do the numbers come from?")


def test_each_number_leads_to_its_source(page: Page) -> None:
    page.locator("#card-ttft .value a").click()
    page.wait_for_url("**/sources#ttft")
    expect(page.locator("#ttft")).to_contain_text("towplane_ttft_seconds_bucket")


def test_the_page_is_whole_without_script(browser: Browser, plane: OpenPlane) -> None:
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(plane.url)
    expect(opened.locator("#part-tenants")).to_contain_text("$1,204.50000025")
    expect(opened.locator("svg.spark, .spark.none")).to_have_count(6)
    opened.locator(".windows a", has_text="15 min").click()
    opened.wait_for_url("**/?window=900")
    opened.locator("#pause").click()
    opened.wait_for_url("**/?window=900&live=off")
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_light_and_dark(
    browser: Browser, plane: OpenPlane, scheme: str, tmp_path: Path
) -> None:
    """WCAG AA, 4.5 : 1, for every text against what it stands on."""
    plane.view.state.document.is_valid = False
    plane.view.state.workers[1].state = "starting"
    plane.view.state.targets[0].state = "down"
    context = browser.new_context(color_scheme="light" if scheme == "light" else "dark")
    opened = context.new_page()
    opened.goto(f"{plane.url}/?live=off")
    opened.screenshot(path=tmp_path / f"now-{scheme}.png", full_page=True)
    assert opened.evaluate(_FAINT_TEXTS) == []
    context.close()


def test_no_width_makes_the_page_wider_than_the_screen(browser: Browser, plane: OpenPlane) -> None:
    context = browser.new_context()
    opened = context.new_page()
    for width in (360, 768, 1024, 1920):
        opened.set_viewport_size({"width": width, "height": 800})
        opened.goto(f"{plane.url}/?live=off")
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_an_open_page_hears_that_the_plane_stops(browser: Browser) -> None:
    plane = OpenPlane()
    context = browser.new_context()
    opened = context.new_page()
    opened.goto(plane.url)
    expect(opened.locator("#live-words")).to_have_text("live", timeout=PATIENCE_MS)
    plane.close()
    expect(opened.locator("#live-words")).to_have_text("the plane has stopped")
    context.close()


_FAINT_TEXTS = """() => {
  const parse = (css) => (css.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => {
      v /= 255;
      return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = parse(getComputedStyle(at).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const element of document.querySelectorAll('body *')) {
    const text = [...element.childNodes]
      .filter((node) => node.nodeType === 3).map((node) => node.nodeValue.trim()).join('');
    if (!text || !element.checkVisibility()) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(`${text}: ${ratio.toFixed(2)}`);
  }
  return faint;
}"""
