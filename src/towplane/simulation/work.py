"""One attempt of one request, on its way through a target."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from towplane.simulation.arrival import Arrival

__all__ = ["OVER", "PREFILLING", "RUNNING", "WAITING", "Sink", "Work"]

WAITING, PREFILLING, RUNNING, OVER = range(4)


class Work:
    """What a target is asked to do. The target keeps its notes on it here too."""

    __slots__ = ("arrival", "began_at", "cached", "finish", "first_at", "held",
                 "is_gone", "joined", "left", "made", "output", "private", "queued", "request",
                 "stage", "target", "tokens")  # fmt: skip

    def __init__(self, arrival: "Arrival", request: object, target: object, now: float) -> None:
        self.arrival = arrival
        self.request = request
        self.target = target
        self.tokens = arrival.tokens
        self.output = arrival.output
        self.began_at = now
        self.first_at = -1.0
        """When its first token came; below 0: not yet."""
        self.is_gone = False
        """Nobody waits for it any more."""
        self.cached = 0
        """Input tokens found in the prefix cache."""
        self.queued = 0
        """Prompt tokens that the policy believes the target must compute (`Load.queued`)."""
        # An engine's notes
        self.stage = WAITING
        self.left = 0
        """Tokens to prefill."""
        self.joined = 0
        """The step at which it began to decode."""
        self.finish = -1
        """The step after which its answer is whole; -1: it does not decode."""
        self.made = 0
        """Tokens it had made when it was last interrupted."""
        self.private = 0
        """Tokens of KV that belong to it alone."""
        self.held: tuple[int, ...] | list[int] = ()
        """Blocks that it uses with others."""


class Sink(Protocol):
    """Who hears what becomes of works."""

    def began(self, work: Work, now: float) -> None:
        """Its first token came."""
        ...

    def answered(self, work: Work, now: float) -> None:
        """Its answer is whole."""
        ...

    def failed(self, work: Work, now: float, trouble: str, after_s: float | None) -> None:
        """It came to nothing."""
        ...
