"""Tenants, Keys, Usage and Providers in a real browser: by keyboard alone, without script, in light
and dark, on small screens."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from console_browser import CHROMIUM, FAINT_TEXTS, FLAGS, PATIENCE_MS, OpenPlane, launch
from playwright.sync_api import Browser, Page, expect

from towplane.api.tenant_views import KeyRow
from towplane.testing.views import SECRET, START, FakePlaneView

PAGES = (
    "/tenants", "/tenants/globex", "/keys", "/keys/key0", "/usage", "/usage?by=day", "/providers",
    "/providers/spare?by=target",
)  # fmt: skip
TOKEN = "a-token-for-the-story"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launch() as launched:
        yield launched


@pytest.fixture(scope="module")
def console() -> Iterator[OpenPlane]:
    opened = OpenPlane()
    _fill(opened.view)
    yield opened
    opened.close()


def _fill(view: FakePlaneView) -> None:
    """Two keys, and states that are not well."""
    view.made = {
        "key0": KeyRow(id="key0", tenant="globex", state="active", name="ci", created_at=START),
        "key1": KeyRow(id="key1", tenant="default", state="revoked", created_at=START),
    }
    credential = view.state.providers[0].credentials[1]
    credential.state, credential.reason, credential.parked_s = "parked", "HTTP 401", 60.0
    view.state.targets[1].parked_s = 9.0


@pytest.fixture
def patient_page(browser: Browser) -> Iterator[Page]:
    """A page that minds no refusal of the plane, which the browser calls an error."""
    context = browser.new_context()
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    yield opened
    context.close()


@pytest.fixture
def page(browser: Browser, console: OpenPlane) -> Iterator[Page]:
    """A page that fails the test when something goes wrong in it."""
    context = browser.new_context(viewport={"width": 1360, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    wrong: list[str] = []
    opened.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on(
        "request",
        lambda request: None if request.url.startswith(console.url) else wrong.append(request.url),
    )
    yield opened
    context.close()
    assert wrong == []


def _tab_to(page: Page, words: str, *, role: str = "") -> None:
    """Press Tab until something with these words has the focus, which must be visible."""
    for _ in range(120):
        page.keyboard.press("Tab")
        found = page.evaluate(_FOCUSED)
        if found and words in found["words"] and role in found["tag"]:
            assert found["outline"], f"the focus on {words} cannot be seen"
            return
    raise AssertionError(f"Tab does not reach {words}")


_FOCUSED = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const label = at.labels && at.labels.length ? at.labels[0].textContent : '';
  const style = getComputedStyle(at);
  return {
    words: [at.textContent, label, at.getAttribute('aria-label') || ''].join(' '),
    tag: at.tagName,
    outline: style.outlineStyle !== 'none' && style.outlineWidth !== '0px',
  };
}"""


def test_every_room_is_reached_from_every_other_by_keyboard(page: Page, console: OpenPlane) -> None:
    page.goto(f"{console.url}/tenants")
    for title in ("Keys", "Usage", "Providers", "Now", "Tenants"):
        page.keyboard.press(":")
        expect(page.locator("#go")).to_be_visible()
        page.keyboard.type(title.lower())
        path = "/" if title == "Now" else f"/{title.lower()}"
        links = page.locator("#go-places a")
        hrefs = [links.nth(n).get_attribute("href") for n in range(links.count())]
        place = hrefs.index(path)
        for _ in range(place + 1):
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_url(f"{console.url}{path}", wait_until="load")
        expect(page.locator(".rooms a[aria-current=page]")).to_have_text(title)


def test_a_key_is_made_rotated_and_revoked_by_keyboard_alone(
    page: Page, console: OpenPlane
) -> None:
    page.goto(f"{console.url}/keys")
    _tab_to(page, "Tenant, needed", role="SELECT")
    page.keyboard.type("globex")
    _tab_to(page, "Name", role="INPUT")
    page.keyboard.type("by-keyboard")
    _tab_to(page, "Make the key", role="BUTTON")
    page.keyboard.press("Enter")
    expect(page.locator("#token")).to_have_value(SECRET)
    expect(page.locator("#token")).to_be_focused()
    made = next(key for key in console.view.made.values() if key.name == "by-keyboard")

    page.goto(f"{console.url}/keys/{made.id}")
    _tab_to(page, "Rotate", role="BUTTON")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("The key has a new secret.")
    assert console.view.overlaps[-1] == 86_400

    page.goto(f"{console.url}/keys/{made.id}")
    _tab_to(page, "cannot be undone", role="INPUT")
    page.keyboard.press("Space")
    _tab_to(page, "Revoke", role="BUTTON")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{console.url}/keys/{made.id}")
    expect(page.locator("#part-key")).to_contain_text("revoked")
    expect(page.locator("form[aria-label=Revoke]")).to_have_count(0)
    assert SECRET not in page.content()


def test_a_box_that_is_not_ticked_revokes_nothing(page: Page, console: OpenPlane) -> None:
    page.goto(f"{console.url}/keys/key0")
    page.get_by_role("button", name="Revoke").click()
    page.wait_for_timeout(200)  # the browser itself asks for the tick
    assert console.view.made["key0"].state == "active"


def test_a_form_that_is_sent_again_does_nothing_twice(
    patient_page: Page, console: OpenPlane
) -> None:
    page = patient_page
    page.goto(f"{console.url}/keys")
    count = len(console.view.made)
    send = """(seal) => fetch('/keys', {
      method: 'POST', body: new URLSearchParams({seal, tenant: 'globex'}),
    }).then((answer) => answer.text())"""
    seal = page.locator("#part-new input[name=seal]").get_attribute("value")
    assert SECRET in page.evaluate(send, seal)
    page.get_by_label("Tenant, needed").select_option("globex")
    page.get_by_role("button", name="Make the key").click()
    expect(page.locator("[role=alert]")).to_contain_text("is not done twice")
    assert len(console.view.made) == count + 1


def test_usage_is_asked_by_form_and_the_url_holds_the_question(
    page: Page, console: OpenPlane
) -> None:
    page.goto(f"{console.url}/usage")
    page.get_by_label("A row for each").select_option("model")
    page.get_by_role("textbox", name="Tenant").fill("globex")
    page.get_by_label("Till, included").fill("2026-11-20")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**/usage?by=model&since=*&until=2026-11-20&tenant=globex*")
    expect(page.locator("#part-rows h2")).to_contain_text("tenant globex")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV", exact=True).click()
    assert download.value.suggested_filename.startswith("usage-by-model-from-")
    assert Path(download.value.path()).read_text().startswith("model,requests,")


def test_providers_live_and_pause(page: Page, console: OpenPlane) -> None:
    page.goto(f"{console.url}/providers")
    expect(page.locator("#live-words")).to_have_text("live", timeout=PATIENCE_MS)
    credential = console.view.state.providers[0].credentials[0]
    credential.state, credential.reason = "missing", "the secret cannot be read"
    expect(page.locator("#part-credentials")).to_contain_text("the secret cannot be read")
    page.keyboard.press("p")
    expect(page.locator("#live-words")).to_have_text("paused")
    credential.state, credential.reason = "ready", ""
    page.wait_for_timeout(500)  # five beats in which a page that lives would have changed
    expect(page.locator("#part-credentials")).to_contain_text("the secret cannot be read")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_light_and_dark(
    browser: Browser, console: OpenPlane, scheme: str
) -> None:
    """WCAG AA, 4.5 : 1, for every text against what it stands on."""
    context = browser.new_context(color_scheme="light" if scheme == "light" else "dark")
    opened = context.new_page()
    for path in PAGES:
        opened.goto(f"{console.url}{path}", wait_until="domcontentloaded")
        assert opened.evaluate(FAINT_TEXTS) == [], path
    context.close()


def test_no_width_makes_a_page_wider_than_the_screen(browser: Browser, console: OpenPlane) -> None:
    context = browser.new_context()
    opened = context.new_page()
    for width in (320, 1024):
        opened.set_viewport_size({"width": width, "height": 800})
        for path in PAGES:
            opened.goto(f"{console.url}{path}", wait_until="domcontentloaded")
            wide = opened.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, (path, width)
    context.close()


def test_pages_are_built_so_that_they_can_be_heard(page: Page, console: OpenPlane) -> None:
    """One heading of the first rank, names on all that is operated, headings on all tables."""
    for path in PAGES:
        page.goto(f"{console.url}{path}", wait_until="domcontentloaded")
        assert page.evaluate(_HARD_TO_HEAR) == [], path


_HARD_TO_HEAR = """() => {
  const wrong = [];
  const named = (at) => at.getAttribute('aria-label');
  const count = document.querySelectorAll('h1').length;
  if (count !== 1) wrong.push(`${count} h1`);
  for (const at of document.querySelectorAll('input:not([type=hidden]), select, textarea'))
    if (!(at.labels && at.labels.length) && !named(at)) wrong.push(at.outerHTML);
  for (const at of document.querySelectorAll('a, button'))
    if (!(at.textContent.trim() || named(at))) wrong.push(at.outerHTML);
  for (const at of document.querySelectorAll('form, nav'))
    if (!named(at) && !at.querySelector('button') && !at.closest('dialog') &&
      !at.getAttribute('role')) wrong.push(at.outerHTML.slice(0, 80));
  for (const at of document.querySelectorAll('table'))
    if (!at.querySelector('thead th') || !at.querySelector('th[scope=row]')) wrong.push('table');
  for (const at of document.querySelectorAll('svg'))
    if (!named(at) && at.getAttribute('aria-hidden') !== 'true') wrong.push('svg');
  for (const at of document.querySelectorAll('.scroll'))
    if (at.scrollWidth > at.clientWidth && at.tabIndex !== 0) wrong.push('keys cannot move it');
  const levels = [...document.querySelectorAll('h1, h2, h3')].map((at) => Number(at.tagName[1]));
  levels.forEach((level, place) => {
    if (place && level > levels[place - 1] + 1) wrong.push(`h${levels[place - 1]} then h${level}`);
  });
  return wrong;
}"""


def test_all_of_it_works_without_script(browser: Browser, console: OpenPlane) -> None:
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(f"{console.url}/tenants")
    opened.locator("#part-tenants a", has_text="globex").click()
    expect(opened.locator("svg.columns")).to_be_visible()
    opened.get_by_role("link", name="New key").click()
    opened.get_by_label("Tenant, needed").select_option("globex")
    opened.get_by_role("button", name="Make the key").click()
    expect(opened.locator("#token")).to_have_value(SECRET)
    opened.goto(f"{console.url}/providers?by=model&live=off")
    expect(opened.locator("#part-health")).to_contain_text("gpt-large")
    context.close()


def test_forms_work_over_a_name_without_tls(browser: Browser) -> None:
    """There a browser sends no Sec-Fetch-Site: only its origin tells that the form is ours."""
    locked = OpenPlane(TOKEN)
    port = urlsplit(locked.url).port
    try:
        mapped = "--host-resolver-rules=MAP plane.example 127.0.0.1"
        kind = browser.browser_type
        with kind.launch(executable_path=CHROMIUM, args=[*FLAGS, mapped]) as other:
            opened = other.new_page()
            opened.goto(f"http://plane.example:{port}/keys")
            opened.get_by_label("Admin token").fill(TOKEN)
            opened.get_by_role("button", name="Log in").click()
            opened.wait_for_url("**/keys")
            opened.get_by_label("Tenant, needed").select_option("globex")
            opened.get_by_role("button", name="Make the key").click()
            expect(opened.locator("#token")).to_have_value(SECRET)
    finally:
        locked.close()
