"""The providers whose emulator is OpenAI's: any compatible server, OpenAI, Azure in both ways."""

import random
from typing import Any, ClassVar

from towplane.testing.conversation.talk import JSON
from towplane.testing.conversation.upstreams.upstream import EMBED, GPT, Act, Upstream
from towplane.testing.openai import OpenAIEmulator
from towplane.testing.openai.script import Script, Trouble

__all__ = ["AzureDeployments", "AzureV1", "Compatible", "OpenAI"]


class _Spoken(Upstream):
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
        status, code = _FAILURES[act.fails]
        headers = {"retry-after-ms": str(act.after_ms)} if act.after_ms else {}
        after = act.breaks_after
        return Script(
            status=status,
            error_code=code,
            headers=headers,
            tokens=act.tokens,
            cached=act.cached,
            tells_thoughts=act.tells_thoughts,
            pace_s=act.pace_s,
            trouble=None if after is None else Trouble(how="error", after_tokens=after),
        )


_FAILURES: dict[str, tuple[int, str | None]] = {
    "": (200, None),
    "context": (400, "context_length_exceeded"),
    "limited": (429, None),
    "missing": (404, None),
    "server": (500, None),
    "overloaded": (503, None),
}


class Compatible(_Spoken):
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


class OpenAI(_Spoken):
    name, title = "openai", "OpenAI"


class AzureV1(_Spoken):
    name, title = "azure-v1", "Azure v1"
    more: ClassVar[JSON] = {}

    @property
    def emulator(self) -> OpenAIEmulator:
        return self.emulators.azure

    def section(self, *, is_denied: bool = False) -> JSON:
        key = "env:WRONG_KEY" if is_denied else "env:AZURE_KEY"
        return {"kind": "azure-openai", "endpoint": self.emulator.origin,
                "credentials": [{"api_key": key}], **self.more}  # fmt: skip


class AzureDeployments(AzureV1):
    name, title = "azure-deployments", "Azure deployments"
    more: ClassVar[JSON] = {"api_version": "2025-04-01-preview"}
