"""What the stories of the console share: Chromium, a fake plane's open port, and what is faint."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from towplane.api.server import AdminServer
from towplane.console.pages import pages
from towplane.testing.views import FakePlaneView

__all__ = ["CHROMIUM", "FAINT_TEXTS", "FLAGS", "PATIENCE_MS", "OpenPlane", "launch"]

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

    def __init__(self, token: str | None = None) -> None:
        self.view = FakePlaneView()
        self._token = token
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
        server = AdminServer(self.view, listen="127.0.0.1:0", token=self._token, pages=pages)
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


@contextmanager
def launch() -> Iterator[Browser]:
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


FAINT_TEXTS = """() => {
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
