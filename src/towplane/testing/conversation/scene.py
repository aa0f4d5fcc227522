"""What one cell of the matrix plays in: a dialect, a provider, and the stage around them."""

from typing import Any

from towplane.testing.conversation.clients import Clients
from towplane.testing.conversation.stage import DROPPING, Stage
from towplane.testing.conversation.talk import Answer, Options, Talk, Tool
from towplane.testing.conversation.upstreams import Act, Bill, Upstream
from towplane.testing.plane import wait_until

__all__ = ["DOCUMENT", "IMAGE", "LOOK_UP", "SCHEMA", "TEXT", "WEIGH", "Scene"]

TEXT = "plane wing rope lift field wind turn land"
"""What every emulator says to a greeting."""
IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # noqa: E501  # one pixel
DOCUMENT = "JVBERi0xLjQKJSVFT0YK"
"""An empty PDF."""
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "height": {"type": "integer"}},
    "required": ["city", "height"],
    "additionalProperties": False,
}
LOOK_UP = Tool("look_up", "Looks up the height of a city.", SCHEMA)
WEIGH = Tool("weigh", "Weighs a plane.", SCHEMA)


class Scene:
    """One cell."""

    def __init__(self, stage: Stage, dialect: str, upstream: Upstream) -> None:
        self.stage = stage
        self.dialect = dialect
        self.up = upstream

    @property
    def headers(self) -> dict[str, str]:
        """Of the last answer."""
        return self.stage.clients.headers

    def talk(self, suffix: str = "", *, clients: Clients | None = None) -> Talk:
        """A new conversation; `suffix` chooses another route to the provider."""
        return (clients or self.stage.clients).talk(self.dialect, self.up.name + suffix)

    def say(self, text: str = "Hello there", act: Act = Act(), **options: Any) -> Answer:  # noqa: B008  # a value
        """One turn."""
        self.up.play(act)
        return self.talk().say(text, **options)

    def ask(self, talk: Talk, act: Act = Act(), **options: Any) -> Answer:  # noqa: B008  # a value
        """The next turn of a conversation."""
        self.up.play(act)
        return talk.ask(Options(**options))

    def dropping(self) -> Talk:
        """A conversation on the route that drops what has no counterpart."""
        return self.talk(DROPPING)

    def ledger(self, bill: Bill) -> dict[str, Any]:
        """The plane's own row of what was billed."""
        found: dict[str, Any] = {}

        def is_there() -> bool:
            found.update(self.stage.plane.attempts().get(bill.attempt, {}))
            return bool(found) and found.get("outcome") != "open"

        wait_until(is_there, 10.0, lambda: f"{bill.attempt} is not in the ledger: {found}")
        return found
