"""What stories share: fake providers, and planes that leave nothing running behind."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from towplane.testing.plane import RunningPlane
from towplane.testing.provider import FakeProvider

UPSTREAM_KEY = "upstream-key"

PlaneFactory = Callable[..., RunningPlane]


def document(
    folder: Path,
    *providers: FakeProvider,
    gateway: dict[str, Any] | None = None,
    route: dict[str, Any] | None = None,
    tenants: dict[str, Any] | None = None,
    prices: dict[str, Any] | None = None,
    more: dict[str, Any] | None = None,
) -> str:
    """A document with one route `fake` to the fake providers, and a breaker that never opens."""
    names = [f"fake-{index}" for index in range(len(providers))]
    return yaml.safe_dump(
        {
            "plane": "story",
            "data_dir": str(folder / "data"),
            "gateway": {"listen": "127.0.0.1:0", **(gateway or {})},
            "admin": {"listen": "127.0.0.1:0"},
            "providers": {
                name: {
                    "kind": "openai-compatible",
                    "endpoint": provider.base_url,
                    "credentials": [{"api_key": "env:UPSTREAM_KEY"}],
                    **({"prices": {"fake": [prices]}} if prices else {}),
                }
                for name, provider in zip(names, providers, strict=True)
            },
            "routing": {
                "fake": {
                    "targets": [{"provider": name} for name in names],
                    "breaker": {"failures": 1_000_000, "share": "100%", "volume": 1_000_000},
                    **(route or {}),
                }
            },
            "tenants": tenants or {"acme": {}},
            **(more or {}),
        }
    )


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """A fake provider that wants the key which the plane has for it."""
    with FakeProvider(api_key=UPSTREAM_KEY) as fake:
        yield fake


@pytest.fixture
def second_provider() -> Iterator[FakeProvider]:
    """Another one, for retries."""
    with FakeProvider(api_key=UPSTREAM_KEY) as fake:
        yield fake


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[PlaneFactory]:
    """Starts `towplane up` for the given providers; each stops with its story."""
    with ExitStack() as stack:

        def start(*providers: FakeProvider, **parts: Any) -> RunningPlane:
            text = document(tmp_path, *providers, **parts)
            running = RunningPlane(text, tmp_path, env={"UPSTREAM_KEY": UPSTREAM_KEY})
            return stack.enter_context(running)

        yield start
