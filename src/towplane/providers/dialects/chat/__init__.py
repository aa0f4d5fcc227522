"""OpenAI's chat completions, with the older completions and embeddings that share its shapes."""

from towplane.providers.dialects.chat.ask import body_for, note
from towplane.providers.dialects.chat.errors import error_body, error_event
from towplane.providers.dialects.chat.relay import make_relay

__all__ = ["body_for", "error_body", "error_event", "make_relay", "note"]
