"""The official clients, unchanged: `openai` for chat completions and Responses, `anthropic` for
Messages. Each is told what a `Talk` wants in its own words; streams are put together by the
client's own code."""

from typing import Any

import anthropic
import openai

from towplane.testing.conversation.clients.chat import ChatTalk
from towplane.testing.conversation.clients.messages import MessagesTalk
from towplane.testing.conversation.clients.responses import ResponsesTalk
from towplane.testing.conversation.talk import Talk

__all__ = ["TALKS", "Clients"]

_TIMEOUT_S = 30.0
TALKS: dict[str, Any] = {"chat": ChatTalk, "responses": ResponsesTalk, "messages": MessagesTalk}
"""By dialect."""


class Clients:
    """Both clients of one key, and the headers of the last answer to either."""

    def __init__(self, base_url: str, key: str, *, retries: int = 0) -> None:
        self.headers: dict[str, str] = {}
        hooks = {"response": [self._note]}
        self.openai = openai.OpenAI(
            base_url=base_url,
            api_key=key,
            max_retries=retries,
            timeout=_TIMEOUT_S,
            http_client=openai.DefaultHttpxClient(event_hooks=hooks),
        )
        self.anthropic = anthropic.Anthropic(
            base_url=base_url.removesuffix("/v1"),
            api_key=key,
            max_retries=retries,
            timeout=_TIMEOUT_S,
            http_client=anthropic.DefaultHttpxClient(event_hooks=hooks),
        )

    def close(self) -> None:
        """Close their connections."""
        self.openai.close()
        self.anthropic.close()

    def talk(self, dialect: str, model: str) -> Talk:
        """A new conversation."""
        talk: Talk = TALKS[dialect](self, model)
        return talk

    def _note(self, response: Any) -> None:
        self.headers = dict(response.headers)
