"""Paths of Vertex AI: which method of which model is asked, where, and what is there.

Models and their limits are written down from Google Cloud's documentation (2026-11) and not taken
from the plane's own tables, so that the two can be held against each other. No HTTP here.
"""

import re
from typing import NamedTuple
from urllib.parse import parse_qs, unquote

from towplane.testing.anthropic.models import MODELS as CLAUDES

__all__ = ["MODELS", "Model", "Where", "claude_of", "parse"]

_METHOD = re.compile(
    r"/(?P<version>v1|v1beta1)/(?:projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)/)?"
    r"(?:publishers/(?P<publisher>[^/]+)/models/(?P<model>[^/:]+)|endpoints/(?P<endpoint>[^/:]+))"
    r":(?P<method>\w+)"
)
_CHAT = re.compile(
    r"/(?P<version>v1|v1beta1)/projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)"
    r"/endpoints/(?P<endpoint>[^/]+)/chat/completions"
)


class Where(NamedTuple):
    """What a path asks for."""

    method: str
    """As `generateContent`; `chat` of the compatible endpoint."""
    version: str
    project: str = ""
    location: str = ""
    publisher: str = ""
    model: str = ""
    """The name, or the id of an endpoint."""
    is_endpoint: bool = False
    is_sse: bool = False

    @property
    def resource(self) -> str:
        """The model's full name, as errors quote it."""
        base = f"projects/{self.project}/locations/{self.location}/" if self.project else ""
        if self.is_endpoint:
            return f"{base}endpoints/{self.model}"
        return f"{base}publishers/{self.publisher}/models/{self.model}"


class Model(NamedTuple):
    """One model of Gemini's family."""

    context: int = 1_048_576
    least_budget: int | None = None
    """Of thinking; None: it has levels."""
    longest_budget: int = 24_576
    can_be_off: bool = False
    levels: tuple[str, ...] = ()
    signs: bool = False
    """Wants the signatures of its calls back."""
    embeds: int = 0
    """How many texts it embeds at once; 0: it does not."""


_LEVELS = ("LOW", "MEDIUM", "HIGH")
MODELS: dict[str, Model] = {
    "gemini-2.5-flash": Model(least_budget=1, can_be_off=True),
    "gemini-2.5-flash-lite": Model(least_budget=512, can_be_off=True),
    "gemini-2.5-pro": Model(least_budget=128, longest_budget=32_768),
    "gemini-3-flash-preview": Model(levels=("MINIMAL", *_LEVELS), signs=True),
    "gemini-3.1-pro-preview": Model(levels=_LEVELS, signs=True),
    "gemini-3.8-flash": Model(levels=_LEVELS, signs=True),
    "text-embedding-005": Model(embeds=250),
    "gemini-embedding-001": Model(embeds=250),
    "gemini-embedding-2": Model(embeds=1),
}


def parse(target: str) -> Where | None:
    """Read a request's target; None where Google knows no such path."""
    path, _, query = target.partition("?")
    path = unquote(path)
    found = _CHAT.fullmatch(path)
    if found is not None:
        version, project, location, endpoint = found.groups()
        return Where("chat", version, project, location, "", endpoint, is_endpoint=True)
    found = _METHOD.fullmatch(path)
    if found is None:
        return None
    said = found.groupdict(default="")
    return Where(
        said["method"],
        said["version"],
        said["project"],
        said["location"],
        said["publisher"],
        said["model"] or said["endpoint"],
        is_endpoint=bool(said["endpoint"]),
        is_sse=parse_qs(query).get("alt") == ["sse"],
    )


def claude_of(name: str) -> str | None:
    """Anthropic's own name of a model, which dates it with `-` where Vertex has `@`."""
    plain = name.replace("@", "-")
    return plain if plain in CLAUDES else None
