"""Bedrock in its three ways: Converse, InvokeModel, and the OpenAI-compatible endpoint."""

from typing import Any

from towplane.testing.bedrock import Break, FakeBedrock, Script
from towplane.testing.book import Seen
from towplane.testing.conversation.talk import JSON
from towplane.testing.conversation.upstreams.upstream import Act, Bill, Upstream

__all__ = ["BedrockConverse", "BedrockInvoke", "BedrockOpenAI"]

_CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"


class _Bedrock(Upstream):
    model = _CLAUDE
    embeds = "cohere.embed-v4:0"
    is_hinting = False
    api = "auto"

    @property
    def emulator(self) -> FakeBedrock:
        return self.emulators.bedrock

    def section(self, *, is_denied: bool = False) -> JSON:
        key = "env:WRONG_KEY" if is_denied else "env:AWS_KEY"
        credential = {"access_key": key, "secret_key": "env:AWS_SECRET"}
        return {"kind": "bedrock", "endpoint": self.emulator.origin, "region": "us-east-1",
                "api": self.api, "credentials": [credential]}  # fmt: skip

    def script(self, act: Act) -> Any:
        exception, message = _FAILURES[act.fails]
        after = act.breaks_after
        # of frames: one begins the message, and each token has its own
        fails = None if after is None else Break(how="exception", after=after + self.frames_before)
        stops = {"declined": "refusal", "filtered": "guardrail_intervened"}
        return Script(
            exception=exception,
            message=message,
            tokens=act.tokens,
            cites=act.cites,
            pace_s=act.pace_s,
            shred=act.shred,
            fails=fails,
            stop_reason=stops.get(act.ends, ""),
        )

    frames_before = 1

    def read(self, seen: Seen) -> Bill:
        found = super().read(seen)
        read, written = getattr(seen, "cache_read", 0), getattr(seen, "cache_write", 0)
        return found._replace(input=found.input + read + written, cached=read, written=written)


_FAILURES: dict[str, tuple[str, str]] = {
    "": ("", ""),
    "context": ("ValidationException", "Input is too long for requested model."),
    "limited": ("ThrottlingException", "Too many requests, please wait before trying again."),
    "missing": ("ResourceNotFoundException", "Model not found."),
    "server": ("InternalServerException", "The system encountered an unexpected error."),
    "overloaded": ("ServiceUnavailableException", "The service is temporarily unavailable."),
}


class BedrockConverse(_Bedrock):
    name, title, api = "bedrock-converse", "Bedrock Converse", "converse"
    sees_marks = True


class BedrockInvoke(_Bedrock):
    name, title, api = "bedrock-invoke", "Bedrock InvokeModel", "invoke"
    sees_marks = True
    frames_before = 3


class BedrockOpenAI(_Bedrock):
    name, title, api = "bedrock-openai", "Bedrock OpenAI", "openai"
    model = "openai.gpt-oss-120b-1:0"
    frames_before = 5  # Responses announces much

    @property
    def script_model(self) -> str:
        return ""  # the path names none
