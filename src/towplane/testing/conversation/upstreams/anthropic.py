"""Anthropic's own API."""

from typing import Any

from towplane.testing.anthropic import AnthropicEmulator
from towplane.testing.anthropic.script import Script, Trouble
from towplane.testing.book import Seen
from towplane.testing.conversation.talk import JSON
from towplane.testing.conversation.upstreams.upstream import Act, Bill, Upstream

__all__ = ["FAILURES", "Anthropic"]

CLAUDE = "claude-sonnet-4-5-20250929"


class Anthropic(Upstream):
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
        status, message = FAILURES[act.fails]
        headers = {"retry-after-ms": str(act.after_ms)} if act.after_ms else {}
        after = act.breaks_after
        if act.ends == "filtered":
            status, message = 400, "Output blocked by content filtering policy"
        return Script(
            status=status,
            error_message=message,
            headers=headers,
            tokens=act.tokens,
            citations=2 if act.cites else 0,
            pace_s=act.pace_s,
            shred=act.shred,
            trouble=None if after is None else Trouble(how="error", after_tokens=after),
        )

    def read(self, seen: Seen) -> Bill:
        found = super().read(seen)
        return found._replace(written=found.written + getattr(seen, "written_1h", 0))


FAILURES: dict[str, tuple[int, str | None]] = {
    "": (200, None),
    "context": (400, "prompt is too long: 210000 tokens > 200000 maximum"),
    "limited": (429, None),
    "missing": (404, "model: claude-nowhere"),
    "server": (500, None),
    "overloaded": (529, None),
}
