"""Where one credential comes from: the seam between the kinds of credentials and their refreshing.

A source is made of the document alone; only `issue` reads secrets, files and the network, and it
blocks, so it has a thread. Knows no kind of provider.

The law: nothing of a source but what `issue` returns holds a secret, so all of it may be shown.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from towplane.parts.errors import Upstream

__all__ = ["Issued", "NotIssued", "Reveal", "Source", "Via", "clean"]

Reveal = Callable[[str], str]
"""From a reference of the document to its newest value."""


class Issued(NamedTuple):
    """A credential as it goes to the workers."""

    headers: tuple[tuple[str, str], ...] = ()
    aws: tuple[str, str, str] | None = None
    expires_at: float | None = None
    """Wall clock; None: it lasts until its secret changes."""

    def __repr__(self) -> str:
        return f"Issued(…, expires_at={self.expires_at})"


class NotIssued(Upstream):
    """A credential cannot be had: whoever issues it refused, or was not reached."""

    code = "denied"
    whose_fault = "plane"


@dataclass(frozen=True, slots=True)
class Source:
    """One credential of a pool."""

    name: str
    """`PROVIDER#1`, as in `Credential.name`."""
    how: str
    """The way to it, in words for people."""
    issue: Callable[[], Issued]
    """Get one; blocks. Raises PlaneError."""
    sample: Issued
    """What one looks like, with stars for its secrets; for the dry mode."""
    made_of: tuple[object, ...]
    """What the document says of it: a source made of the same is the same."""
    references: frozenset[str] = frozenset()
    """The secrets that it reads."""
    is_instant: bool = False
    """It only reads secrets: no thread is needed."""
    recheck_s: float | None = None
    """One that does not say when it expires is got again after this."""


@dataclass(frozen=True, slots=True)
class Via:
    """How those who issue tokens are reached: by the provider's own proxy."""

    proxy: str | None = None
    """`http://HOST:PORT`."""
    authorization: str | None = None
    """The reference to `USER:PASSWORD`."""
    ca: str | None = None
    """The authorities to trust, where the proxy opens TLS."""

    def proxies(self, reveal: Reveal) -> dict[str, str] | None:
        """As botocore, requests and azure-core take it."""
        if self.proxy is None:
            return None
        url = self.proxy
        if self.authorization is not None:
            from urllib.parse import quote

            user, _, password = reveal(self.authorization).partition(":")
            url = url.replace("://", f"://{quote(user, safe='')}:{quote(password, safe='')}@", 1)
        return {"http": url, "https": url}


def clean(text: str, *secrets: str) -> str:
    """One line of what a library says, fit to be shown: without these secrets, and short."""
    line = " ".join(text.split())
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        line = line.replace(secret, "…")
    return line if len(line) <= 200 else line[:199] + "…"
