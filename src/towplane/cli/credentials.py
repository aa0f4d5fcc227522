"""The credentials of a running plane: its secrets, watched, and what is issued for them, renewed.

Wiring of `parts.secret_watch` and `providers.credentials`; it decides nothing itself.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Collection, Mapping

from towplane.document.plane import Plane
from towplane.parts.clock import Clock
from towplane.parts.secret_watch import SecretWatch
from towplane.parts.secrets import Sealed, resolve_secret
from towplane.parts.threads import run_aside
from towplane.providers.adapter import Credential
from towplane.providers.credentials import CredentialState, Refresher, open_credentials

__all__ = ["PlaneCredentials"]

LOOK_S = 2.0
"""How often the files of secrets are looked at."""
FIRST_S = 10.0
"""A plane that starts waits for its credentials so long, then serves with those that came."""

_log = logging.getLogger("towplane.credentials")


class PlaneCredentials:
    """Life: construct → start → run, both loops; `hold` again with each new document."""

    def __init__(
        self,
        plane: Plane,
        secrets: Mapping[str, Sealed],
        changed: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._changed = changed
        self._now = clock.monotonic
        self._watch = SecretWatch(lambda reference: resolve_secret(reference, os.environ))
        self._refresher = Refresher(changed, clock)
        self._values: dict[str, Sealed] = {}
        self._troubles: dict[str, str] = {}
        self.hold(plane, secrets)

    def hold(self, plane: Plane, secrets: Mapping[str, Sealed]) -> None:
        """Those of this document, whose secrets were just read."""
        changed = {name for name, old in self._values.items() if secrets.get(name, old) != old}
        self._values = dict(secrets)
        self._watch.hold(secrets, self._now())
        self._refresher.hold(
            {
                name: open_credentials(name, provider, self._watch.reveal)
                for name, provider in plane.providers.items()
            }
        )
        self._refresher.secrets_changed(changed)

    async def start(self) -> None:
        """Get them for the first time."""
        await self._refresher.obtain(FIRST_S)

    def reveal(self, reference: str) -> str:
        """The newest value of a secret of the document."""
        return self._watch.reveal(reference)

    def current(self) -> dict[str, tuple[Credential, ...]]:
        """What workers should use, by provider."""
        return self._refresher.credentials()

    def states(self, provider: str) -> list[CredentialState]:
        """How the credentials of a provider stand in the plane process."""
        return self._refresher.states(provider)

    def refused(self, names: Collection[str]) -> None:
        """A provider refuses these now: they are renewed, and their secrets looked at. To be
        called again while it refuses them; neither is done more often than is wise."""
        if names:
            self._watch.hurry(self._refresher.references(names), self._now())
            self._refresher.refused(names)

    async def renewing(self) -> None:
        """Renew what is due, without end."""
        await self._refresher.run()

    async def watching(self) -> None:
        """Take secrets that were rotated, without end."""
        while True:
            await asyncio.sleep(LOOK_S)
            changed = await run_aside(lambda: self._watch.look(self._now()))
            self._say_troubles()
            if changed:
                _log.warning("%d rotated secrets are in use", len(changed))
                self._refresher.secrets_changed(changed)
                self._changed()  # a proxy's word is nobody's credential

    def _say_troubles(self) -> None:
        """Once when it begins."""
        troubles = self._watch.troubles()
        for reference in troubles.keys() - self._troubles.keys():
            _log.warning("a secret stays as it was: %s", troubles[reference])
        self._troubles = troubles
