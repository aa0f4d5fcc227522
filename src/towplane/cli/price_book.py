"""The price book of a running plane: opened for the models of a document, and looked at again.

Wiring of `tenants.pricing`; it is read in a thread.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from towplane.cli.loops import logged
from towplane.document.plane import Plane
from towplane.gateway.price_lists import questions_of
from towplane.parts.clock import Clock
from towplane.tenants.pricing.book import NO_BOOK, PriceBook, open_book

__all__ = ["PlanePriceBook"]

LOOK_S = 3600.0
"""How often it is looked at: somebody may have installed a newer one."""


class PlanePriceBook:
    """Life: construct → hold → run the loop; `hold` again with each new document."""

    def __init__(self, data_dir: Path, changed: Callable[[], None], clock: Clock) -> None:
        self._data_dir = data_dir
        self._changed = changed
        self._clock = clock
        self.current = NO_BOOK

    async def hold(self, plane: Plane) -> None:
        """The prices of this document's models. Raises PlaneError."""
        self.current = await self._open(plane)
        self._plane = plane

    async def reading(self) -> None:
        """A newer one takes effect, and a broken one is tried again, without end."""
        while True:
            await asyncio.sleep(LOOK_S)
            with logged("reading the price book"):
                before = self.current
                self.current = await self._open(self._plane)
                if (before.package, before.trouble) != (self.current.package, self.current.trouble):
                    self._changed()

    async def _open(self, plane: Plane) -> PriceBook:
        questions = questions_of(plane, self._clock.wall())
        return await asyncio.to_thread(open_book, self._data_dir, questions)
