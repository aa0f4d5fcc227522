"""A plane takes conversations; then its own traffic is simulated under two policies."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from towplane.testing.client import ask, chat
from towplane.testing.plane import UPSTREAM_KEY, RunningPlane, document, wait_until
from towplane.testing.provider import FakeProvider

COMMAND = "import sys; from towplane.cli.main import main; sys.exit(main())"
PATIENCE_S = 20.0
CONVERSATIONS, TURNS = 20, 10
MESSAGE = 1200
"""Characters of a turn: five blocks of the marks."""
# So quick that a turn is computed before the next one comes, however quickly this machine asks.
SCENARIO = """
about: the day before, on engines of our own
for: 120s
block: 16
route:
  choose: prefix
  targets: [{engine: own}]
model: fake
engines:
  own: {replicas: 4, step: 1ms, token_seconds: 0.0000001, attend_seconds: 0, kv_tokens: 1000000,
        price: {input: 1 USD/Mtok, cached_input: 0.1 USD/Mtok, output: 2 USD/Mtok}}
arrivals: {poisson: {rate: 1/s}}
"""
PRICES = {"from": "2020-01-01", "input": "1 USD/Mtok", "output": "2 USD/Mtok"}


class Scene(NamedTuple):
    """What was sent, and what is known of it afterwards."""

    reports: dict[str, dict[str, Any]]
    ledger: dict[str, Any]
    shared: float
    """The share of all characters that stood in the turn before."""
    cheap: dict[str, Any]
    """The same under another price."""
    data: bytes


def message(thread: int, turn: int) -> str:
    return (f"Of thread {thread}, turn {turn}: a confidential word. " * MESSAGE)[:MESSAGE]


async def talk(address: tuple[str, int], key: str) -> list[list[str]]:
    """All conversations at once, turn by turn; returns the prompts of each."""

    async def turn(thread: int, number: int) -> str:
        messages = [
            {"role": role, "content": content}
            for each in range(number + 1)
            for role, content in (("user", message(thread, each)), ("assistant", "ok"))
        ][:-1]
        answer = await ask(address, chat(key, messages=messages, max_tokens=8))
        assert answer.status == 200
        return "".join(each["content"] for each in messages)

    rounds = [
        await asyncio.gather(*(turn(thread, number) for thread in range(CONVERSATIONS)))
        for number in range(TURNS)
    ]
    return [list(one) for one in zip(*rounds, strict=True)]


def shared_of(threads: list[list[str]]) -> float:
    """What an endless cache would have of them, by the characters."""
    found = total = 0
    for prompts in threads:
        for before, prompt in zip(["", *prompts], prompts, strict=False):
            total += len(prompt)
            found += len(before)  # of which each is the beginning of the next
    return found / total


def simulate(file: Path, scenario: Path, *words: str) -> dict[str, Any]:
    found = subprocess.run(
        [sys.executable, "-c", COMMAND, "simulate", str(scenario), "-f", str(file),
         "--from-ledger", "--json", *words],
        capture_output=True, text=True, timeout=60, env={**os.environ, "UPSTREAM_KEY": "k"},
    )  # fmt: skip
    assert found.returncode == 0, found.stdout + found.stderr
    said: dict[str, Any] = json.loads(found.stdout)
    return said


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("plane")
    scenario = folder / "yesterday.yaml"
    scenario.write_text(SCENARIO)
    with FakeProvider(api_key=UPSTREAM_KEY) as one, FakeProvider(api_key=UPSTREAM_KEY) as two:
        text = document(
            folder, one, two, prices=PRICES, gateway={"workers": 2},
            route={"choose": "round-robin", "prefix": {"keep": True}},
        )  # fmt: skip
        with RunningPlane(text, folder) as plane:
            threads = asyncio.run(talk(plane.address, plane.key("acme")))

            def is_folded() -> bool:
                rows = plane.call("GET", "/usage?by=tenant")["rows"]
                return [row["requests"] for row in rows] == [CONVERSATIONS * TURNS]

            wait_until(is_folded, PATIENCE_S, lambda: "not all requests were folded")
            file = plane.file
    data = b"".join(each.read_bytes() for each in (folder / "data").rglob("*") if each.is_file())
    said = simulate(file, scenario, "--policy", "prefix", "--policy", "random")
    cheap = simulate(file, scenario, "--price", "own=0.5/1/0.05")
    return Scene(
        {each["policy"]: each for each in said["reports"]}, said["ledger"], shared_of(threads),
        cheap["reports"][0], data,
    )  # fmt: skip


def test_every_request_is_replayed_with_its_beginning(scene: Scene) -> None:
    assert scene.ledger["requests"] == scene.ledger["marked"] == CONVERSATIONS * TURNS
    assert scene.ledger["left_out"] == 0
    for report in scene.reports.values():
        assert report["asks"] == report["answers"] == CONVERSATIONS * TURNS


def test_conversations_are_found_again_where_they_were(scene: Scene) -> None:
    """Less what is not whole in a block, in each of two turns."""
    hits = {policy: report["hit_rate"] for policy, report in scene.reports.items()}
    assert hits["prefix"] == pytest.approx(scene.shared, abs=0.06)
    assert hits["random"] < hits["prefix"] - 0.05


def test_another_price_costs_otherwise_and_only_that(scene: Scene) -> None:
    before = scene.reports["prefix"]
    assert scene.cheap["hit_rate"] == before["hit_rate"]
    assert scene.cheap["cost_nanousd"] == pytest.approx(before["cost_nanousd"] / 2, rel=1e-6)
    costs = [each["cost_nanousd"] for each in before["targets"]]
    assert sum(costs) == pytest.approx(before["cost_nanousd"], abs=len(costs))


def test_nothing_that_was_said_is_kept(scene: Scene) -> None:
    assert b"confidential" not in scene.data
    assert b"thread" not in scene.data
