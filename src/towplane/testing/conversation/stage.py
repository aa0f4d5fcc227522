"""One plane with every provider of the matrix behind it, and the clients before it.

with Stage(folder) as stage:
    talk = stage.clients.talk("chat", "anthropic")
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import yaml

from towplane.testing.conversation.clients import Clients
from towplane.testing.conversation.upstreams import UPSTREAMS, Emulators, Upstream
from towplane.testing.plane import RunningPlane

__all__ = ["DENIED", "DROPPING", "EMBEDDING", "Stage"]

DROPPING, DENIED, EMBEDDING = "-dropping", "-denied", "-embedding"
"""After a provider's name: the route that drops what has no counterpart, the one whose credential
is refused, the one to a model that embeds."""


class Stage:
    """Emulators, a plane, clients."""

    clients: Clients
    patient: Clients
    """Which try once more when they are told to."""
    plane: RunningPlane

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self.emulators = Emulators()
        self.upstreams: dict[str, Upstream] = {
            name: make(self.emulators) for name, make in UPSTREAMS.items()
        }

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for emulator in self.emulators.all:
                stack.enter_context(emulator)
            text = yaml.safe_dump(self._document())
            self.plane = stack.enter_context(
                RunningPlane(text, self._folder, env=self.emulators.env())
            )
            key = self.plane.key("acme")
            self.clients = Clients(self.plane.base_url, key)
            stack.callback(self.clients.close)
            self.patient = Clients(self.plane.base_url, key, retries=1)
            stack.callback(self.patient.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def _document(self) -> dict[str, Any]:
        providers: dict[str, Any] = {}
        routing: dict[str, Any] = {}
        for name, upstream in self.upstreams.items():
            providers[name] = upstream.section()
            providers[name + DENIED] = upstream.section(is_denied=True)
            routing[name] = _route(name, upstream.model)
            routing[name + DROPPING] = _route(name, upstream.model) | {"drop_unsupported": True}
            routing[name + DENIED] = _route(name + DENIED, upstream.model)
            if upstream.embeds:
                routing[name + EMBEDDING] = _route(name, upstream.embeds)
        return {
            "plane": "conversations",
            "data_dir": str(self._folder / "data"),
            "gateway": {"listen": "127.0.0.1:0", "workers": 1},
            "admin": {"listen": "127.0.0.1:0"},
            "providers": providers,
            "routing": routing,
            "tenants": {"acme": {}},
        }


def _route(provider: str, model: str) -> dict[str, Any]:
    """One target, tried once, whatever happens: the client must see each failure."""
    return {
        "targets": [{"provider": provider, "model": model}],
        "retries": {"most": 1},
        "breaker": {"failures": 1_000_000, "share": "100%", "volume": 1_000_000},
    }
