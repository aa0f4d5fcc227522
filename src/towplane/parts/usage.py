"""Usage in normal form: what an answer used, the same for every provider.

`input` and `output` are everything that is billed in that direction; all other counts say which
part of them was something special, and lie inside them. So `cached + cache_write + … ≤ input`,
whatever the provider's own books put beside it. Who measures in another way converts once, in
`providers/<name>/usage.py`. Knows no provider and no price.
"""

from typing import Annotated, Literal

import msgspec

__all__ = ["Detail", "ServiceClass", "Usage"]

ServiceClass = Literal["standard", "batch", "priority", "flex", "provisioned", "fast"]
"""The price class in which a provider says that it answered."""


Tokens = Annotated[int, msgspec.Meta(ge=0, le=2**31)]
"""What no answer exceeds; who reads a number that somebody else wrote holds it to this."""


class Detail(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """Parts of the usage that most answers do not have; counts of tokens unless said otherwise."""

    cache_write: Tokens = 0
    """Input written to a cache that lives for five minutes, or for a time that nobody said."""
    cache_write_1h: Tokens = 0
    """Input written to a cache that lives for an hour or more."""
    reasoning: Tokens = 0
    """Output that was thought and not said."""
    audio_input: Tokens = 0
    image_input: Tokens = 0
    audio_output: Tokens = 0
    image_output: Tokens = 0
    tool_input: Tokens = 0
    """Input that the provider's own tools put into the prompt."""
    searches: Tokens = 0
    """Calls of the provider's own tools that are billed by call, such as web searches."""
    service: ServiceClass = "standard"


class Usage(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """What one answer used, in tokens."""

    input: int
    """All input, cached and written to a cache included."""
    output: int = 0
    """All output, reasoning included."""
    cached: int = 0
    """Input that was read from a cache."""
    detail: Detail | None = None
    """None: nothing special."""
