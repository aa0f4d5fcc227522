"""A plane whose targets come from Consul and from Kubernetes: they come and go under load, and no
client notices."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from towplane.testing.client import Answer, ask, chat
from towplane.testing.cluster import SLICES, slice_of
from towplane.testing.consul import FakeConsul
from towplane.testing.kubernetes_api import FakeKubernetes
from towplane.testing.plane import UPSTREAM_KEY, RunningPlane, wait_until
from towplane.testing.provider import FakeProvider, Script

SLOW = Script(tokens=8, pace_s=0.03)
"""Streams that are under way when their target goes."""
MOST = 6


@pytest.fixture
def fakes() -> Iterator[list[FakeProvider]]:
    with ExitStack() as stack:
        found = [FakeProvider(api_key=UPSTREAM_KEY) for _ in range(3)]
        for fake in found:
            fake.scripts["fake"] = SLOW
            stack.enter_context(fake)
        yield found


def document(folder: Path, discover: dict[str, Any], **more: Any) -> str:
    return yaml.safe_dump(
        {
            "plane": "story",
            "data_dir": str(folder / "data"),
            "gateway": {"listen": "127.0.0.1:0", "workers": 2},
            "admin": {"listen": "127.0.0.1:0"},
            "providers": {
                "pool": {
                    "kind": "openai-compatible",
                    "endpoint": "http://vllm.invalid:8000/v1",
                    "credentials": [{"api_key": "env:UPSTREAM_KEY"}],
                    "discover": discover,
                    **more,
                }
            },
            "routing": {"fake": {"targets": [{"provider": "pool"}]}},
            "tenants": {"acme": {}},
        }
    )


def until(claim: Callable[[], object]) -> None:
    wait_until(lambda: bool(claim()), 30.0)


@contextmanager
def under_load(plane: RunningPlane) -> Iterator[list[Answer]]:
    """Clients that ask again as soon as they have their answer; the answers are known at the
    end."""
    answers: list[Answer] = []
    is_over = threading.Event()
    key = plane.key("acme")

    async def client() -> None:
        while not is_over.is_set():
            answers.append(await ask(plane.address, chat(key, stream=True)))

    async def clients() -> None:
        await asyncio.gather(*(client() for _ in range(MOST)))

    thread = threading.Thread(target=lambda: asyncio.run(clients()))
    thread.start()
    try:
        yield answers
    finally:
        is_over.set()
        thread.join(30)


def targets(plane: RunningPlane) -> dict[str, str]:
    """The state of each address."""
    found = plane.call("GET", "/targets")["targets"]
    return {one["address"]: one["state"] for one in found}


def name(fake: FakeProvider) -> str:
    return f"127.0.0.1:{fake.port}"


def scale(
    plane: RunningPlane,
    fakes: list[FakeProvider],
    up: Callable[[FakeProvider], None],
    down: Callable[[FakeProvider], None],
) -> None:
    """From two addresses to three, to two others, under load."""
    first, second, third = fakes
    with under_load(plane) as answers:
        until(lambda: first.book.rows() and second.book.rows())
        up(third)
        until(lambda: len(third.book.rows()) > MOST)
        down(first)
        until(lambda: name(first) not in targets(plane))
        before = len(first.book.rows())
        seen = len(answers)
        until(lambda: len(answers) > seen + 3 * MOST)
        assert len(first.book.rows()) == before
        up(first)
        until(lambda: len(first.book.rows()) > before + MOST)
    assert {(one.status, one.whole, one.tokens) for one in answers} == {(200, True, 8)}
    assert {one.headers["x-towplane-attempts"] for one in answers} == {"1"}
    used = {one.headers["x-towplane-target"] for one in answers}
    assert used == {f"pool/fake@{name(fake)}" for fake in fakes}


def test_instances_in_consul_come_and_go_without_a_clients_error(
    tmp_path: Path, fakes: list[FakeProvider]
) -> None:
    with FakeConsul(token="consul-token") as consul:

        def up(fake: FakeProvider) -> None:
            consul.register("vllm", f"vllm-{fake.port}", "127.0.0.1", fake.port)

        for fake in fakes[:2]:
            up(fake)
        spec = {"service": "vllm", "address": consul.origin, "token": "env:CONSUL_TOKEN"}
        text = document(tmp_path, {"consul": spec})
        with RunningPlane(text, tmp_path, env={"CONSUL_TOKEN": "consul-token"}) as plane:
            scale(plane, fakes, up, lambda f: consul.deregister("vllm", f"vllm-{f.port}"))
            consul.kill()
            until(lambda: _provider(plane)["discovery"]["trouble"])
            provider = _provider(plane)
            assert provider["state"] == "degraded"
            assert provider["discovery"]["source"] == "Consul vllm"
            assert provider["discovery"]["addresses"] == 3
            answer = asyncio.run(ask(plane.address, chat(plane.key("acme"))))
            assert answer.status == 200  # what is known goes on
            said = _command(plane, "routing", "list") + _command(plane, "providers", "status")
            assert "pool/fake (3 ready)" in said
            assert "Consul vllm" in said
            consul.revive()
            until(lambda: not _provider(plane)["discovery"]["trouble"])
            for fake in fakes:
                consul.deregister("vllm", f"vllm-{fake.port}")
            until(lambda: _provider(plane)["state"] == "down")
            refused = asyncio.run(ask(plane.address, chat(plane.key("acme"))))
            assert (refused.status, refused.headers["x-towplane-reason"]) == (503, "no-target")
            up(fakes[0])
            until(lambda: _provider(plane)["state"] == "ready")
            assert asyncio.run(ask(plane.address, chat(plane.key("acme")))).status == 200


def test_endpoints_in_kubernetes_come_drain_and_go_without_a_clients_error(
    tmp_path: Path, fakes: list[FakeProvider]
) -> None:
    """First an endpoint is terminating, then it is gone; the watch is cut and compacted between."""
    with FakeKubernetes(token="cluster-token") as api:

        def put(fake: FakeProvider, word: str = "ready") -> None:
            endpoint = slice_of("vllm", f"vllm-{fake.port}", ("127.0.0.1", word), port=fake.port)
            api.put(SLICES, endpoint)

        def down(fake: FakeProvider) -> None:
            put(fake, "draining")
            until(lambda: targets(plane).get(name(fake)) == "draining")
            api.cut()
            api.compact()
            api.delete(SLICES, f"vllm-{fake.port}")

        for fake in fakes[:2]:
            put(fake)
        spec = {"service": "vllm", "port": "http", "kubeconfig": str(api.kubeconfig(tmp_path))}
        with RunningPlane(document(tmp_path, {"kubernetes": spec}), tmp_path) as plane:
            scale(plane, fakes, put, down)


def _provider(plane: RunningPlane) -> Any:
    (provider,) = plane.call("GET", "/providers")["providers"]
    return provider


def _command(plane: RunningPlane, *words: str) -> str:
    main = "import sys; from towplane.cli.main import main; sys.exit(main())"
    argv = [sys.executable, "-c", main, *words, "-f", str(plane.file)]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout
