"""An answer in normal form: the events that every provider's answer is parsed into.

A whole answer is the same events at once, so each provider and each dialect has one way to go.
`choice` counts samples from 0. Within one choice, events of a part follow each other: a writer
opens a part at its first event and closes it at `PartEnds` or when another kind begins.
Knows no dialect and no provider.
"""

from typing import Literal

import msgspec

from towplane.parts.errors import Upstream
from towplane.parts.usage import Usage

__all__ = [
    "CallBegins",
    "CallGrows",
    "Cited",
    "Ended",
    "Event",
    "Failed",
    "Finish",
    "LogProbs",
    "PartEnds",
    "RedactedThought",
    "RefusalGrows",
    "Signed",
    "Started",
    "TextGrows",
    "ThoughtGrows",
    "Used",
    "is_token",
]

Finish = Literal[
    "stop",  # the model came to its end
    "stop_sequence",
    "length",  # max_tokens
    "context_full",  # the model's window
    "tool_calls",
    "refusal",  # the model declined
    "content_filter",  # the provider cut it
    "pause",  # the provider's own tools want another turn
    "malformed",  # the model broke the form that it had to keep
    "other",  # a reason that we do not know; `said` has it
]


class Started(msgspec.Struct, frozen=True, gc=False):
    """The answer begins; empty or 0 where the provider does not say."""

    id: str = ""
    model: str = ""
    created: int = 0


class TextGrows(msgspec.Struct, frozen=True, gc=False):
    """More text."""

    text: str
    choice: int = 0


class ThoughtGrows(msgspec.Struct, frozen=True, gc=False):
    """More of what the model thinks."""

    text: str
    choice: int = 0


class Signed(msgspec.Struct, frozen=True, gc=False):
    """The signature of the thought that runs, or of the call that begins next (Gemini)."""

    signature: str
    choice: int = 0


class RedactedThought(msgspec.Struct, frozen=True, gc=False):
    """A thought that only the provider can read."""

    data: str
    choice: int = 0


class RefusalGrows(msgspec.Struct, frozen=True, gc=False):
    """The model declines, in these words."""

    text: str
    choice: int = 0


class CallBegins(msgspec.Struct, frozen=True, gc=False):
    """The model calls a tool; `call` counts the calls of one choice from 0."""

    call: int
    id: str
    name: str
    signature: str = ""
    choice: int = 0


class CallGrows(msgspec.Struct, frozen=True, gc=False):
    """More of a call's arguments, a piece of JSON text."""

    call: int
    arguments: str
    choice: int = 0


class Cited(msgspec.Struct, frozen=True):
    """A source of the text that runs, in Anthropic's form of a citation."""

    citation: msgspec.Raw
    choice: int = 0


class LogProbs(msgspec.Struct, frozen=True):
    """Log probabilities of the tokens of this event, in OpenAI chat's form of `content`."""

    content: list[msgspec.Raw]
    choice: int = 0


class PartEnds(msgspec.Struct, frozen=True, gc=False):
    """The part that runs is over, where the provider says so."""

    choice: int = 0


class Ended(msgspec.Struct, frozen=True, gc=False):
    """A choice is over."""

    reason: Finish
    stop_sequence: str = ""
    said: str = ""
    """The provider's own word."""
    choice: int = 0


class Used(msgspec.Struct, frozen=True, gc=False):
    """What the answer used; a later one replaces an earlier one."""

    usage: Usage
    is_final: bool = True
    """False: said at the begin, where the input is right and the output a placeholder."""


class Failed(msgspec.Struct, frozen=True):
    """The provider says inside its answer that it failed. Nothing follows."""

    error: Upstream


Event = (
    Started
    | TextGrows
    | ThoughtGrows
    | Signed
    | RedactedThought
    | RefusalGrows
    | CallBegins
    | CallGrows
    | Cited
    | LogProbs
    | PartEnds
    | Ended
    | Used
    | Failed
)

_TOKENS = frozenset((TextGrows, ThoughtGrows, RedactedThought, RefusalGrows, CallBegins, CallGrows))


def is_token(event: Event) -> bool:
    """Whether the event carries something generated, on any channel."""
    return type(event) in _TOKENS
