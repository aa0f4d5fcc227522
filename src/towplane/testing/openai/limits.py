"""Limits of the emulator: requests and tokens per minute, and the utilisation of provisioned units.

Both are buckets that leak steadily; the clock is passed in. Headers tell the truth about them.
"""

import math
from dataclasses import dataclass, field

__all__ = ["Bucket", "Limit", "Provisioned", "go_duration"]

_MINUTE_S = 60.0


@dataclass(slots=True)
class Bucket:
    """So many units a minute, all at once if they were left."""

    size: int
    used: float = 0.0
    at: float = 0.0

    def leak(self, now: float) -> None:
        """Time has passed."""
        self.used = max(0.0, self.used - (now - self.at) * self.size / _MINUTE_S)
        self.at = now

    def wait_s(self, units: int, now: float) -> float:
        """Seconds until these units fit; 0: now. More than fit at all never do."""
        self.leak(now)
        over = self.used + units - self.size
        return max(0.0, over * _MINUTE_S / self.size)

    @property
    def left(self) -> int:
        """Units that may be used now."""
        return max(0, math.floor(self.size - self.used))

    @property
    def reset_s(self) -> float:
        """Seconds until it is full again."""
        return self.used * _MINUTE_S / self.size


@dataclass(slots=True)
class Limit:
    """The limits of a model or a deployment."""

    rpm: int = 10_000
    tpm: int = 2_000_000
    cut: float = 1.0
    """A share of both that holds for a while: what Azure does under load."""
    requests: Bucket = field(init=False)
    tokens: Bucket = field(init=False)

    def __post_init__(self) -> None:
        self.requests, self.tokens = Bucket(self.rpm), Bucket(self.tpm)

    def take(self, tokens: int, now: float) -> tuple[str, float]:
        """Take a request of so many tokens: nothing and 0, or what is short and for how long."""
        self.requests.size = max(1, int(self.rpm * self.cut))
        self.tokens.size = max(1, int(self.tpm * self.cut))
        for what, bucket, units in (
            ("requests", self.requests, 1),
            ("tokens", self.tokens, tokens),
        ):
            wait_s = bucket.wait_s(units, now)
            if wait_s > 0:
                return what, wait_s
        self.requests.used += 1
        self.tokens.used += tokens
        return "", 0.0

    def headers(self, *, with_reset: bool) -> list[tuple[str, str]]:
        """`x-ratelimit-*` as they are now."""
        found = []
        for what, bucket in (("requests", self.requests), ("tokens", self.tokens)):
            found.append((f"x-ratelimit-limit-{what}", str(bucket.size)))
            found.append((f"x-ratelimit-remaining-{what}", str(bucket.left)))
            if with_reset:
                found.append((f"x-ratelimit-reset-{what}", go_duration(bucket.reset_s)))
        return found


@dataclass(slots=True)
class Provisioned:
    """A provisioned deployment: tokens a second; a call that finds it at 100 % is turned away."""

    tokens_per_s: float
    used_s: float = 0.0
    """Work that is queued, in seconds."""
    at: float = 0.0

    def take(self, tokens: int, now: float) -> float:
        """Seconds to wait, or 0: it was taken, however much work it brings."""
        self.used_s = max(0.0, self.used_s - (now - self.at))
        self.at = now
        if self.used_s >= 1.0:
            return max(0.001, self.used_s - 0.99)
        self.used_s += tokens / self.tokens_per_s
        return 0.0

    @property
    def utilisation(self) -> str:
        """As the header says it."""
        return f"{min(self.used_s, 1.0) * 100:.1f}%"


def go_duration(seconds: float) -> str:
    """`1h2m3.5s`, `6m0s`, `120ms`: as Go writes it, which the original is written in."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    text = f"{hours:.0f}h" if hours else ""
    text += f"{minutes:.0f}m" if hours or minutes else ""
    return text + f"{round(rest, 3):g}s"
