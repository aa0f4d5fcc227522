"""Faults as an operator meets them, on running planes: tests/faults.md says which, and where the
others are."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from towplane.testing.client import Answer, ask, chat
from towplane.testing.consul import FakeConsul
from towplane.testing.emulator import Reply
from towplane.testing.framing import Message
from towplane.testing.plane import UPSTREAM_KEY, RunningPlane, document, wait_until
from towplane.testing.provider import FakeProvider, Script


class Engine(FakeProvider):
    """A provider with a page of vLLM's metrics beside its API."""

    kv = 0.1
    waiting = 0

    async def answer(self, message: Message, reply: Reply) -> None:
        if not message.path.startswith(b"/metrics"):
            await super().answer(message, reply)
            return
        page = (
            f"vllm:num_requests_running 4\nvllm:num_requests_waiting {self.waiting}\n"
            f"vllm:kv_cache_usage_perc {self.kv}\n"
        )
        await reply.whole(200, [("content-type", "text/plain")], page.encode())


def up(text: str, folder: Path, **env: str) -> RunningPlane:
    return RunningPlane(text, folder, env=env)


def changed(text: str, change: Callable[[Any], None]) -> str:
    """The document with something different."""
    fields = yaml.safe_load(text)
    change(fields)
    return yaml.safe_dump(fields)


def asking(plane: RunningPlane, key: str, count: int = 1, **fields: Any) -> list[Answer]:
    """So many requests, one after the other."""

    async def each() -> list[Answer]:
        return [await ask(plane.address, chat(key, **fields)) for _ in range(count)]

    return asyncio.run(each())


def served(answers: list[Answer]) -> Counter[str]:
    """Who answered; nobody may have failed."""
    assert {answer.status for answer in answers} == {200}
    return Counter(answer.headers["x-towplane-target"] for answer in answers)


def test_f4_a_running_plane_routes_around_an_engine_whose_kv_cache_is_full(tmp_path: Path) -> None:
    with Engine(api_key=UPSTREAM_KEY) as a, Engine(api_key=UPSTREAM_KEY) as b:

        def tell(fields: Any) -> None:
            for provider in fields["providers"].values():
                provider["signals"] = {"engine": "vllm", "every": "100ms"}

        text = document(tmp_path, a, b, route={"choose": "scored"}, gateway={"workers": 1})
        with up(changed(text, tell), tmp_path) as plane:
            key = plane.key("acme")

            def goes_to(name: str) -> None:
                """All of six in a row; the news of both engines must have come for that."""
                wait_until(lambda: served(asking(plane, key, 6)) == {name: 6}, 30.0)
                assert served(asking(plane, key, 12)) == {name: 12}

            a.kv, b.kv, b.waiting = 0.1, 0.6, 2
            goes_to("fake-0/fake")
            a.kv, a.waiting = 0.97, 12
            goes_to("fake-1/fake")
            said = json.dumps(plane.call("GET", "/routing/fake/explain"))
            assert "2 waiting, KV cache 60% full" in said
            a.kv, a.waiting, b.kv, b.waiting = 0.2, 0, 0.97, 12
            goes_to("fake-0/fake")


def test_f10_when_the_last_node_is_gone_a_managed_api_answers_until_one_is_back(
    tmp_path: Path,
) -> None:
    with (
        FakeConsul(token="consul-token") as consul,
        FakeProvider(api_key=UPSTREAM_KEY) as node,
        FakeProvider(api_key=UPSTREAM_KEY) as spare,
        FakeProvider(api_key=UPSTREAM_KEY) as managed,
    ):

        def pool(fields: Any) -> None:
            where = {"service": "vllm", "address": consul.origin, "token": "env:CONSUL_TOKEN"}
            fields["providers"]["pool"] = {
                "kind": "openai-compatible",
                "endpoint": "http://vllm.invalid:8000/v1",
                "credentials": [{"api_key": "env:UPSTREAM_KEY"}],
                "discover": {"consul": where},
            }
            fields["routing"]["fake"] |= {
                "targets": [{"provider": "pool"}],
                "fallback": [{"provider": "fake-0"}],
            }

        text = changed(document(tmp_path, managed), pool)
        consul.register("vllm", "one", "127.0.0.1", node.port)
        with up(text, tmp_path, CONSUL_TOKEN="consul-token") as plane:
            key = plane.key("acme")

            def state() -> str:
                providers = plane.call("GET", "/providers")["providers"]
                return str(next(one["state"] for one in providers if one["name"] == "pool"))

            wait_until(lambda: state() == "ready", 30.0)
            here = f"pool/fake@127.0.0.1:{node.port}"
            assert served(asking(plane, key, 4)) == {here: 4}
            node.kill()
            assert served(asking(plane, key, 4)) == {"fake-0/fake": 4}, "before anybody noticed"
            consul.deregister("vllm", "one")
            wait_until(lambda: state() == "down", 30.0)
            assert plane.metric("towplane_target_state", target=here, state="ready") == 0
            assert served(asking(plane, key, 4)) == {"fake-0/fake": 4}
            assert plane.metric("towplane_attempts_total", cause="fallback") >= 4
            consul.register("vllm", "two", "127.0.0.1", spare.port)
            wait_until(lambda: state() == "ready", 30.0)
            back = f"pool/fake@127.0.0.1:{spare.port}"
            wait_until(lambda: served(asking(plane, key)) == {back: 1}, 30.0)


def test_f11_a_refused_key_is_told_by_its_name_everywhere_and_by_its_secret_nowhere(
    tmp_path: Path,
) -> None:
    with FakeProvider(api_key="another-key") as vendor:
        with up(document(tmp_path, vendor), tmp_path) as plane:
            key = plane.key("acme")
            (first, second) = asking(plane, key, 2)
            assert (first.status, first.reason) == (502, "upstream-denied")
            assert first.headers["x-towplane-attempts"] == "1"
            assert "credential fake-0#1" in first.json()["error"]["message"]
            assert second.reason in ("upstream-denied", "no-credential")
            (provider,) = plane.call("GET", "/providers")["providers"]
            shown = json.dumps(provider)
            assert "fake-0#1" in shown
            assert "parked" in shown
            said = f"{first.body!r}{second.body!r}{shown}{plane.metrics()}"
            assert UPSTREAM_KEY not in said
        assert UPSTREAM_KEY not in plane.tail(1_000_000)
        assert len(vendor.book.rows()) <= 2


def test_f15_a_skew_is_seen_by_target_in_metrics_and_status(tmp_path: Path) -> None:
    with FakeProvider(api_key=UPSTREAM_KEY) as a, FakeProvider(api_key=UPSTREAM_KEY) as b:
        for each in (a, b):
            each.scripts["fake"] = Script(tokens=1)
        targets = [{"provider": "fake-0", "weight": 200}, {"provider": "fake-1"}]
        route = {"choose": "weighted", "targets": targets}
        text = document(tmp_path, a, b, route=route, gateway={"workers": 1})
        with up(text, tmp_path) as plane:
            served(asking(plane, plane.key("acme"), 60))
            much = plane.metric("towplane_attempts_total", target="fake-0/fake")
            little = plane.metric("towplane_attempts_total", target="fake-1/fake")
            assert (much + little, much >= 58) == (60, True)
            found = {t["name"]: t["attempts"] for t in plane.call("GET", "/targets")["targets"]}
            assert found == {"fake-0/fake": much, "fake-1/fake": little}
