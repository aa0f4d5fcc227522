"""Vertex AI's OpenAI-compatible endpoint: Gemini as `google/NAME`, other publishers' models, and
models that the vendor deployed to an endpoint of its own.

Sources: Google Cloud, "Using OpenAI libraries with Vertex AI". What the dialect knows is imported
when it is first spoken.
"""

from towplane.providers.adapter import Losses, Parser, Place, Rendered
from towplane.providers.ask import Ask
from towplane.providers.conversation.request import Conversation
from towplane.providers.vertex.models import base_of

__all__ = ["make_parser", "passthrough", "render"]


def passthrough(ask: Ask, place: Place) -> Rendered:
    """The client's own chat request for this place."""
    from towplane.providers.dialects.chat import body_for

    return Rendered(_path(place), body_for(ask, _model(place)))


def render(conversation: Conversation, place: Place, losses: Losses) -> Rendered:
    """A conversation in another dialect."""
    from towplane.providers.dialects.chat.render import render_chat

    where = f"Vertex AI's OpenAI-compatible endpoint ({_model(place)})"
    return Rendered(_path(place), render_chat(conversation, _model(place), losses, where))


def make_parser(place: Place) -> Parser:
    """For an answer to `render`."""
    from towplane.providers.dialects.chat.parse import make_parser as make_chat_parser

    return make_chat_parser(place.target)


def _path(place: Place) -> str:
    model = place.model
    if model.startswith("projects/") and "/endpoints/" in model:
        return f"/v1/{model}/chat/completions"
    if model.startswith("endpoints/"):
        return f"/v1/{base_of(place)}{model}/chat/completions"
    return f"/v1/{base_of(place)}endpoints/openapi/chat/completions"


def _model(place: Place) -> str:
    """`PUBLISHER/NAME`; a model without a publisher is Google's."""
    parts = place.model.split("/")
    if "publishers" in parts:
        start = parts.index("publishers")
        return f"{parts[start + 1]}/{parts[-1]}"
    if "endpoints" in parts:
        return ""  # an endpoint serves one model and needs no name of it
    return place.model if len(parts) > 1 else f"google/{place.model}"
