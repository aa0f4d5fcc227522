"""Where a model of Vertex AI is called: its family, its generation, its resource, its paths.

    gemini-…, google/…, projects/…/endpoints/ID     Gemini's generateContent
    claude-…, anthropic/…                           Anthropic's Messages by rawPredict
    PUBLISHER/NAME of others, `api: openai`         the OpenAI-compatible endpoint

Knows no body. Paths: google-genai 3.4.0 `_transformers.py`, anthropic 2.12.0
`lib/vertex/_client.py`.
"""

import re
from typing import Literal
from urllib.parse import quote

from towplane.providers.adapter import Place

__all__ = ["Family", "base_of", "family_of", "generation_of", "name_of", "path_of"]

Family = Literal["gemini", "claude", "openai"]

_NUMBERED = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
_PREVIEW = re.compile(r"-(preview|exp|experimental)\b")
NEWEST = (99, 0)
"""The generation of a name without a number (`gemini-flash-latest`)."""


def family_of(place: Place) -> Family:
    """Which wire the model speaks."""
    model = place.model
    publisher = _publisher(model)
    if publisher == "anthropic" or (not publisher and model.startswith("claude")):
        return "claude"
    if place.options.get("api") == "openai" or publisher not in ("", "google"):
        return "openai"
    return "gemini"


def name_of(model: str) -> str:
    """The model's own name, without publisher, project or location."""
    return model.rsplit("/", 1)[-1]


def generation_of(model: str) -> tuple[int, int] | None:
    """As (2, 5) or (3, 0); None for a tuned endpoint, whose name says nothing."""
    name = name_of(model)
    found = _NUMBERED.match(name)
    if found is not None:
        return int(found[1]), int(found[2] or 0)
    return NEWEST if name.startswith("gemini-") else None


def base_of(place: Place) -> str:
    """`projects/P/locations/L/`; empty in express mode, where the key knows its project."""
    project = place.options.get("project", "")
    location = place.options.get("location", "global")
    return f"projects/{quote(project)}/locations/{quote(location)}/" if project else ""


def path_of(place: Place, method: str) -> str:
    """The path of a method, as `generateContent`. Previews are served by v1beta1 alone at first;
    v1beta1 serves everything, but promises nothing, so that the rest uses v1."""
    version = "v1beta1" if _PREVIEW.search(name_of(place.model)) else "v1"
    return f"/{version}/{_resource(place)}:{method}"


def _publisher(model: str) -> str:
    """`google` in any form of a name; empty where it has none."""
    parts = model.split("/")
    if "publishers" in parts[:-1]:
        return parts[parts.index("publishers") + 1]
    is_plain = len(parts) == 2 and parts[0] not in ("models", "endpoints")
    return parts[0] if is_plain else ""


def _resource(place: Place) -> str:
    """The full name of the model; `;` and `?` must not end a path before its method."""
    model = quote(place.model, safe="/@.:-_")
    if model.startswith("projects/"):
        return model
    if model.startswith(("publishers/", "endpoints/", "models/")):
        return base_of(place) + model
    publisher, _, name = model.rpartition("/")
    if not publisher:
        publisher = "anthropic" if family_of(place) == "claude" else "google"
    return f"{base_of(place)}publishers/{publisher}/models/{name}"
