"""The page Now in a real browser: it lives, pauses, takes keys, stays at home and reads well."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from console_browser import FAINT_TEXTS, PATIENCE_MS, OpenPlane, launch
from playwright.sync_api import Browser, Page, Request, expect

from towplane.testing.views import a_status

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with launch() as launched:
        yield launched


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
    assert opened.evaluate(FAINT_TEXTS) == []
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
