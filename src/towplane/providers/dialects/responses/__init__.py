"""OpenAI's Responses, as clients speak it; only providers that speak it themselves get it as it is.

Its stateful parts (earlier responses, conversations, references to stored items) live in a vendor's
account: they pass through where the target speaks this dialect, and are refused elsewhere.
"""

from towplane.providers.dialects.responses.ask import body_for, note
from towplane.providers.dialects.responses.errors import error_body, error_event
from towplane.providers.dialects.responses.read import read
from towplane.providers.dialects.responses.relay import make_relay
from towplane.providers.dialects.responses.write import make_writer

__all__ = ["body_for", "error_body", "error_event", "make_relay", "make_writer", "note", "read"]
