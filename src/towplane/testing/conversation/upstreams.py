"""The providers of the matrix: for each an emulator, its section of `plane.yaml`, and how it is
told to behave. The columns of the matrix are `UPSTREAMS`, in their order."""

import json
import random
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple

import msgspec

from towplane.testing.anthropic import AnthropicEmulator
from towplane.testing.anthropic.script import Script as ClaudeScript
from towplane.testing.anthropic.script import Trouble as ClaudeTrouble
from towplane.testing.bedrock import ACCOUNT, Break, FakeBedrock
from towplane.testing.bedrock import Script as BedrockScript
from towplane.testing.emulator import Emulator
from towplane.testing.openai import OpenAIEmulator
from towplane.testing.openai.azure import Azure
from towplane.testing.openai.script import Script as OpenAIScript
from towplane.testing.openai.script import Trouble as OpenAITrouble
from towplane.testing.provider.book import Seen
from towplane.testing.vertex import Script as VertexScript
from towplane.testing.vertex import Trouble as VertexTrouble
from towplane.testing.vertex import VertexEmulator

__all__ = ["UPSTREAMS", "Act", "Bill", "Emulators", "Upstream"]

JSON = dict[str, Any]
GPT, SMALL, EMBED = "gpt-test", "gpt-small", "embed-test"
CLAUDE = "claude-sonnet-4-5-20250929"
BEDROCK_CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
VERTEX_CLAUDE = "claude-sonnet-4-5@20250929"
GEMINI = "gemini-3.8-flash"


class Act(NamedTuple):
    """What the provider does with the next request; by default it is well."""

    shred: int | None = None
    """A seed: the body is cut at random bytes."""
    tokens: int = 8
    cached: int = 0
    """Where there is no cache that sees marks: said so."""
    cites: bool = False
    tells_thoughts: bool = False
    pace_s: float = 0.0
    breaks_after: int | None = None
    """So many tokens, then it fails inside the 200."""
    fails: Literal["", "context", "limited", "missing", "server", "overloaded"] = ""
    after_ms: int = 0
    """Of `limited`: when to come back."""
    ends: Literal["", "declined", "filtered"] = ""


class Bill(NamedTuple):
    """What the provider's books say of a request."""

    input: int
    """All of it."""
    output: int
    cached: int
    written: int
    status: int
    is_cancelled: bool
    attempt: str


class Emulators:
    """One of each, all in this process."""

    def __init__(self) -> None:
        models = (GPT, SMALL, EMBED)
        self.compatible = OpenAIEmulator(keys=("sk-compatible",), models=models)
        self.openai = OpenAIEmulator(keys=("sk-openai",), models=models)
        self.azure = OpenAIEmulator(models=models, azure=Azure(keys=("azure-key",)))
        self.anthropic = AnthropicEmulator(api_keys=("sk-ant-emulator-0001",))
        self.bedrock = FakeBedrock()
        self.vertex = VertexEmulator()
        self.all: tuple[Emulator, ...] = (
            self.compatible,
            self.openai,
            self.azure,
            self.anthropic,
            self.bedrock,
            self.vertex,
        )

    def env(self) -> dict[str, str]:
        """The secrets that the document refers to."""
        return {
            "COMPATIBLE_KEY": self.compatible.keys[0],
            "OPENAI_KEY": self.openai.keys[0],
            "AZURE_KEY": "azure-key",
            "ANTHROPIC_KEY": self.anthropic.api_key,
            "AWS_KEY": ACCOUNT.access_key,
            "AWS_SECRET": ACCOUNT.secret_key,
            "GOOGLE_ACCOUNT": json.dumps(self.vertex.grants.service_account(self.vertex.origin)),
            "WRONG_KEY": "a-wrong-key-0001",
        }


class Upstream(ABC):
    """One column."""

    name: str
    """As in ids and route names."""
    title: str
    model: str
    embeds: str = ""
    """A model that embeds; empty: this API has none."""
    is_hinting: bool = True
    """A 429 says when to come back."""

    def __init__(self, emulators: Emulators) -> None:
        self.emulators = emulators

    @property
    @abstractmethod
    def emulator(self) -> Emulator:
        """Who answers."""

    @abstractmethod
    def section(self, *, is_denied: bool = False) -> JSON:
        """Of `providers`; `is_denied`: with a credential that does not work."""

    def play(self, act: Act, *, once: bool = False) -> None:
        """Requests meet this from now on; `once`: only the next one does."""
        emulator: Any = self.emulator
        script = self.script(act)
        if once:
            emulator.queue(self.script_model, script)
        else:
            emulator.scripts[self.script_model] = script

    @abstractmethod
    def script(self, act: Act) -> Any:
        """The same in the emulator's words."""

    @property
    def script_model(self) -> str:
        """By which name the emulator finds the script."""
        return self.model

    def prompt_for(self, ends: str) -> str:
        """What to say so that the answer ends so, where no script says it."""
        return {"declined": "[refuse] please", "filtered": "[filter-answer] please"}[ends]

    sees_marks = False
    """The emulator's cache holds marked prefixes; elsewhere a script says what was cached."""
    thoughts_wish: ClassVar[JSON] = {}
    """What a chat client sends to see thoughts, where `reasoning_effort` does not show them."""

    def bill(self) -> Bill:
        """Of the last request."""
        return self.read(self.emulator.book.rows()[-1])

    def read(self, seen: Seen) -> Bill:
        """A row of the books."""
        cached = getattr(seen, "cached", 0)
        return Bill(seen.input, seen.output, cached, getattr(seen, "written", 0), seen.status,
                    seen.cancelled, seen.request_id)  # fmt: skip

    @property
    def asked(self) -> int:
        """Requests so far."""
        return len(self.emulator.book.rows())

    @property
    def body(self) -> str:
        """Of the last request."""
        return bytes(self.emulator.received[-1].body).decode()


class _OpenAI(Upstream):
    """Those whose emulator is OpenAI's."""

    model = GPT
    embeds = EMBED

    @property
    def emulator(self) -> OpenAIEmulator:
        return self.emulators.openai

    def section(self, *, is_denied: bool = False) -> JSON:
        key = "env:WRONG_KEY" if is_denied else "env:OPENAI_KEY"
        return {"kind": "openai", "endpoint": self.emulator.base_url,
                "credentials": [{"api_key": key}]}  # fmt: skip

    def script(self, act: Act) -> Any:
        self.emulator.shred = None if act.shred is None else random.Random(act.shred)
        status, code = _OPENAI_FAILURES[act.fails]
        headers = {"retry-after-ms": str(act.after_ms)} if act.after_ms else {}
        after = act.breaks_after
        return OpenAIScript(
            status=status,
            error_code=code,
            headers=headers,
            tokens=act.tokens,
            cached=act.cached,
            tells_thoughts=act.tells_thoughts,
            pace_s=act.pace_s,
            trouble=None if after is None else OpenAITrouble(how="error", after_tokens=after),
        )


_OPENAI_FAILURES: dict[str, tuple[int, str | None]] = {
    "": (200, None),
    "context": (400, "context_length_exceeded"),
    "limited": (429, None),
    "missing": (404, None),
    "server": (500, None),
    "overloaded": (503, None),
}


class _Compatible(_OpenAI):
    name, title = "openai-compatible", "OpenAI-compatible"

    @property
    def emulator(self) -> OpenAIEmulator:
        return self.emulators.compatible

    def section(self, *, is_denied: bool = False) -> JSON:
        key = "env:WRONG_KEY" if is_denied else "env:COMPATIBLE_KEY"
        return {"kind": "openai-compatible", "endpoint": self.emulator.base_url,
                "credentials": [{"api_key": key}]}  # fmt: skip

    def script(self, act: Act) -> Any:
        return super().script(act._replace(tells_thoughts=True))


class _OwnOpenAI(_OpenAI):
    name, title = "openai", "OpenAI"


class _AzureV1(_OpenAI):
    name, title = "azure-v1", "Azure v1"
    more: ClassVar[JSON] = {}

    @property
    def emulator(self) -> OpenAIEmulator:
        return self.emulators.azure

    def section(self, *, is_denied: bool = False) -> JSON:
        key = "env:WRONG_KEY" if is_denied else "env:AZURE_KEY"
        return {"kind": "azure-openai", "endpoint": self.emulator.origin,
                "credentials": [{"api_key": key}], **self.more}  # fmt: skip


class _AzureDeployments(_AzureV1):
    name, title = "azure-deployments", "Azure deployments"
    more: ClassVar[JSON] = {"api_version": "2025-04-01-preview"}


class _Anthropic(Upstream):
    name, title, model = "anthropic", "Anthropic", CLAUDE
    sees_marks = True

    @property
    def emulator(self) -> AnthropicEmulator:
        return self.emulators.anthropic

    def section(self, *, is_denied: bool = False) -> JSON:
        key = "env:WRONG_KEY" if is_denied else "env:ANTHROPIC_KEY"
        return {"kind": "anthropic", "endpoint": self.emulator.origin,
                "credentials": [{"api_key": key}]}  # fmt: skip

    def script(self, act: Act) -> Any:
        status, message = _ANTHROPIC_FAILURES[act.fails]
        headers = {"retry-after-ms": str(act.after_ms)} if act.after_ms else {}
        after = act.breaks_after
        if act.ends == "filtered":
            status, message = 400, "Output blocked by content filtering policy"
        return ClaudeScript(
            status=status,
            error_message=message,
            headers=headers,
            tokens=act.tokens,
            citations=2 if act.cites else 0,
            pace_s=act.pace_s,
            shred=act.shred,
            trouble=None if after is None else ClaudeTrouble(how="error", after_tokens=after),
        )

    def read(self, seen: Seen) -> Bill:
        found = super().read(seen)
        return found._replace(written=found.written + getattr(seen, "written_1h", 0))


_ANTHROPIC_FAILURES: dict[str, tuple[int, str | None]] = {
    "": (200, None),
    "context": (400, "prompt is too long: 210000 tokens > 200000 maximum"),
    "limited": (429, None),
    "missing": (404, "model: claude-nowhere"),
    "server": (500, None),
    "overloaded": (529, None),
}


class _Bedrock(Upstream):
    model = BEDROCK_CLAUDE
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
        exception, message = _BEDROCK_FAILURES[act.fails]
        after = act.breaks_after
        # of frames: one begins the message, and each token has its own
        fails = None if after is None else Break(how="exception", after=after + self.frames_before)
        stops = {"declined": "refusal", "filtered": "guardrail_intervened"}
        return BedrockScript(
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


_BEDROCK_FAILURES: dict[str, tuple[str, str]] = {
    "": ("", ""),
    "context": ("ValidationException", "Input is too long for requested model."),
    "limited": ("ThrottlingException", "Too many requests, please wait before trying again."),
    "missing": ("ResourceNotFoundException", "Model not found."),
    "server": ("InternalServerException", "The system encountered an unexpected error."),
    "overloaded": ("ServiceUnavailableException", "The service is temporarily unavailable."),
}


class _BedrockConverse(_Bedrock):
    name, title, api = "bedrock-converse", "Bedrock Converse", "converse"
    sees_marks = True


class _BedrockInvoke(_Bedrock):
    name, title, api = "bedrock-invoke", "Bedrock InvokeModel", "invoke"
    sees_marks = True
    frames_before = 3


class _BedrockOpenAI(_Bedrock):
    name, title, api = "bedrock-openai", "Bedrock OpenAI", "openai"
    model = "openai.gpt-oss-120b-1:0"
    frames_before = 5  # Responses announces much

    @property
    def script_model(self) -> str:
        return ""  # the path names none


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
        status, message = _VERTEX_FAILURES[act.fails]
        after = act.breaks_after
        return VertexScript(
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
            trouble=None if after is None else VertexTrouble(how=self.trouble, after_tokens=after),
        )

    trouble: Literal["error", "error_event"] = "error"

    def error_body(self, act: Act) -> str | None:  # noqa: ARG002  # as Google words all of its own
        """Of an error that the model's own maker words."""
        return None


_VERTEX_FAILURES: dict[str, tuple[int, str | None]] = {
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


class _VertexGemini(_Vertex):
    name, title, model = "vertex-gemini", "Vertex Gemini", GEMINI
    thoughts_wish: ClassVar[JSON] = {
        "google": {"thinking_config": {"include_thoughts": True, "thinking_level": "LOW"}}
    }


class _VertexClaude(_Vertex):
    name, title, model = "vertex-claude", "Vertex Claude", VERTEX_CLAUDE
    sees_marks = True
    embeds = ""
    trouble = "error_event"

    def script(self, act: Act) -> Any:
        script = super().script(act)
        return msgspec.structs.replace(script, status=400) if act.ends == "filtered" else script

    def error_body(self, act: Act) -> str | None:
        message = _ANTHROPIC_FAILURES[act.fails][1] if act.fails == "context" else None
        if act.ends == "filtered":
            message = "Output blocked by content filtering policy"
        if message is None:
            return None
        error = {"type": "invalid_request_error", "message": message}
        return json.dumps({"type": "error", "error": error})


class _VertexOpenAI(_Vertex):
    name, title, api = "vertex-openai", "Vertex OpenAI", "openai"
    model = "google/gemini-2.5-flash"
    trouble = "error_event"


UPSTREAMS: dict[str, type[Upstream]] = {
    kind.name: kind
    for kind in (
        _Compatible,
        _OwnOpenAI,
        _AzureV1,
        _AzureDeployments,
        _Anthropic,
        _BedrockConverse,
        _BedrockInvoke,
        _BedrockOpenAI,
        _VertexGemini,
        _VertexClaude,
        _VertexOpenAI,
    )
}
"""By name, in the order of the columns."""
