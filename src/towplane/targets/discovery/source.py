"""What every source of addresses is: something that is followed without end.

A source says what it hears to a `Listener`. The laws: `follow` returns never and raises nothing but
its cancellation for what the world does; a failure is said in words without a secret; between
failures it waits, longer each time, and never all planes at the same moment.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from towplane.routing.discovery.address import Address

__all__ = ["FIRST_PAUSE_S", "LONGEST_PAUSE_S", "Listener", "Source", "pause_s"]

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Between attempts at a source that fails: the first is at most this long, and no later one longer
than that. client-go waits from 0.8 to 30 s between lists that fail."""


class Listener(Protocol):
    """Who hears what a source says."""

    def heard(self, found: Iterable[Address]) -> None:
        """These are all addresses."""

    def failed(self, say: str) -> None:
        """The source does not answer as it should."""


class Source(Protocol):
    """One source of the addresses of one provider."""

    @property
    def name(self) -> str:
        """It in words: `SRV _http._tcp.vllm.example`."""

    async def follow(self, listener: Listener) -> None:
        """Say all that is heard, until cancelled."""


def pause_s(failures: int, draw: Callable[[], float]) -> float:
    """How long to wait after so many failures in a row; `draw` is uniform in [0, 1). Between half
    of the bound and all of it."""
    bound: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 16))
    return bound * (0.5 + draw() / 2)
