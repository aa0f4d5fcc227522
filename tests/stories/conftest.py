"""What stories share: fake providers, and planes that leave nothing running behind."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from towplane.testing.plane import UPSTREAM_KEY, PlaneFactory, RunningPlane, document
from towplane.testing.provider import FakeProvider


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
            running = RunningPlane(text, tmp_path)
            return stack.enter_context(running)

        yield start
