"""One request as the simulator knows it: lengths, hashes and who asks; never a word of it."""

from typing import NamedTuple

__all__ = ["Arrival"]


class Arrival(NamedTuple):
    """A request that comes to the plane."""

    at: float
    """Seconds since the start."""
    tokens: int
    """Input tokens."""
    output: int
    """Output tokens that it will get; no policy sees this."""
    tenant: str = ""
    session: int = 0
    """What ties it to others of one conversation; 0: nothing."""
    prefix: int = 0
    """Hash of the first part of the prompt; 0: unknown."""
    blocks: tuple[int, ...] = ()
    """Chained hashes of the prompt's blocks, each of the workload's `block` tokens."""
    grown: tuple[int, ...] = ()
    """The same of the prompt with its answer, as the next turn of the conversation will have it:
    what an engine keeps of it. Empty: nothing beyond `blocks` is known."""
    adapter: str = ""
    score: float = 0.0
    priority: int = 1
    limit: int = 0
    """Output tokens that the client allows at most; 0: it does not say."""
    by: int = 0
    """The user of a closed loop that asks; 0: none."""
