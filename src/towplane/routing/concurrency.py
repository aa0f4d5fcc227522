"""How many attempts a target takes at once, found out from its first tokens. Pure.

Additive increase, multiplicative decrease (Chiu and Jain, Computer Networks and ISDN Systems 17,
1989): a limit grows by one in a round of answers whose first token met the SLO, and falls to
`FALLS_TO` of itself when one missed it, at most once in a round. Why this one and not a gradient of
latencies (Vegas; Netflix's Gradient2): an SLO is what the vendor promised, while the best latency
ever seen is that of short prompts; and several workers, or planes, that share an engine and know
nothing of each other come to equal parts under this rule and not under the others.

The law: it stays within `least` and `most`; it grows only while it is used, so that a quiet night
does not raise it; and only answers that began after a fall can make it fall again.
"""

from typing import Final

__all__ = ["FALLS_TO", "AdaptiveLimit"]

FALLS_TO: Final = 0.9
"""As in Netflix's `AIMDLimit` (concurrency-limits, backoffRatio): gentle, because one long prompt
may miss an SLO without the engine being full."""


class AdaptiveLimit:
    """The limit of one target in one worker."""

    __slots__ = ("_fell_at", "_limit", "least", "limit", "most", "ttft_s")

    def __init__(self, ttft_s: float, *, least: int = 1, most: int = 4096, begin: int = 16) -> None:
        self.ttft_s = ttft_s
        """The first token shall come by then."""
        self.least = least
        self.most = most
        self._limit = float(min(max(begin, least), most))
        self.limit = int(self._limit)
        """Attempts at once."""
        self._fell_at = 0.0

    def observe(self, ttft_s: float, *, began_at: float, in_flight: int, now: float) -> bool:
        """A first token came, or did not come for so long; whether there is more room now.

        `in_flight` counts the attempts under way, this one included.
        """
        before = self.limit
        if ttft_s > self.ttft_s:
            if began_at >= self._fell_at:
                self._limit = max(float(self.least), self._limit * FALLS_TO)
                self._fell_at = now
        elif 2 * in_flight >= self._limit:
            self._limit = min(float(self.most), self._limit + 1.0 / self._limit)
        self.limit = int(self._limit)
        return self.limit > before
