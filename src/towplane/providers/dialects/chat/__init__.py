"""OpenAI's chat completions, with the older completions and embeddings that share its shapes."""

from towplane.providers.dialects.chat.ask import body_for, note
from towplane.providers.dialects.chat.errors import error_body, error_event
from towplane.providers.dialects.chat.parse import make_parser
from towplane.providers.dialects.chat.read import read
from towplane.providers.dialects.chat.relay import make_relay
from towplane.providers.dialects.chat.render import ENGINES, GOOGLE, OPENAI, Accepts, render_chat
from towplane.providers.dialects.chat.write import make_writer

__all__ = [
    "ENGINES",
    "GOOGLE",
    "OPENAI",
    "Accepts",
    "body_for",
    "error_body",
    "error_event",
    "make_parser",
    "make_relay",
    "make_writer",
    "note",
    "read",
    "render_chat",
]
