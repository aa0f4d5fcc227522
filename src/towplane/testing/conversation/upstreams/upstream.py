"""A column of the matrix: what a provider is told to do, what its books say, and the emulators."""

import json
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple

from towplane.testing.anthropic import AnthropicEmulator
from towplane.testing.bedrock import ACCOUNT, FakeBedrock
from towplane.testing.book import Seen
from towplane.testing.conversation.talk import JSON
from towplane.testing.emulator import Emulator
from towplane.testing.openai import OpenAIEmulator
from towplane.testing.openai.azure import Azure
from towplane.testing.vertex import VertexEmulator

__all__ = ["EMBED", "GPT", "Act", "Bill", "Emulators", "Upstream"]

GPT, EMBED = "gpt-test", "embed-test"


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
        models = (GPT, EMBED)
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
