"""Vertex AI in its three ways: Gemini, Claude by rawPredict, and the OpenAI-compatible endpoint."""

import json
from typing import Any, ClassVar, Literal

import msgspec

from towplane.testing.conversation.talk import JSON
from towplane.testing.conversation.upstreams.anthropic import FAILURES as CLAUDES_FAILURES
from towplane.testing.conversation.upstreams.upstream import Act, Upstream
from towplane.testing.vertex import Script, Trouble, VertexEmulator

__all__ = ["VertexClaude", "VertexGemini", "VertexOpenAI"]


class _Vertex(Upstream):
    embeds = "gemini-embedding-001"
    api = "auto"

    @property
    def emulator(self) -> VertexEmulator:
        return self.emulators.vertex

    def section(self, *, is_denied: bool = False) -> JSON:
        credential = {"service_account": "env:GOOGLE_ACCOUNT"}
        if is_denied:
            credential = {"api_key": "env:WRONG_KEY"}
        where = {"project": "acme", "location": "europe-west4", "api": self.api}
        return {"kind": "vertex", "endpoint": self.emulator.origin, **where,
                "credentials": [credential]}  # fmt: skip

    def script(self, act: Act) -> Any:
        status, message = _FAILURES[act.fails]
        after = act.breaks_after
        return Script(
            status=status,
            error_message=message,
            retry_delay=f"{act.after_ms / 1000}s" if act.after_ms else "",
            tokens=act.tokens,
            cached=act.cached,
            citations=2 if act.cites else 0,
            pace_s=act.pace_s,
            shred=act.shred,
            chunk_tokens=1,
            error_body=self.error_body(act),
            finish="SAFETY" if act.ends == "filtered" else None,
            trouble=None if after is None else Trouble(how=self.trouble, after_tokens=after),
        )

    trouble: Literal["error", "error_event"] = "error"

    def error_body(self, act: Act) -> str | None:  # noqa: ARG002  # as Google words all of its own
        """Of an error that the model's own maker words."""
        return None


_FAILURES: dict[str, tuple[int, str | None]] = {
    "": (200, None),
    "context": (
        400,
        "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).",
    ),
    "limited": (429, None),
    "missing": (404, None),
    "server": (500, None),
    "overloaded": (503, None),
}


class VertexGemini(_Vertex):
    name, title, model = "vertex-gemini", "Vertex Gemini", "gemini-3.8-flash"
    thoughts_wish: ClassVar[JSON] = {
        "google": {"thinking_config": {"include_thoughts": True, "thinking_level": "LOW"}}
    }


class VertexClaude(_Vertex):
    name, title, model = "vertex-claude", "Vertex Claude", "claude-sonnet-4-5@20250929"
    sees_marks = True
    embeds = ""
    trouble = "error_event"

    def script(self, act: Act) -> Any:
        script = super().script(act)
        return msgspec.structs.replace(script, status=400) if act.ends == "filtered" else script

    def error_body(self, act: Act) -> str | None:
        message = CLAUDES_FAILURES[act.fails][1] if act.fails == "context" else None
        if act.ends == "filtered":
            message = "Output blocked by content filtering policy"
        if message is None:
            return None
        error = {"type": "invalid_request_error", "message": message}
        return json.dumps({"type": "error", "error": error})


class VertexOpenAI(_Vertex):
    name, title, api = "vertex-openai", "Vertex OpenAI", "openai"
    model = "google/gemini-2.5-flash"
    trouble = "error_event"
