"""An A/B test and a mirror on a real plane: arms, scores, a verdict, shadows that nobody pays."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest

from towplane.gateway.mirror_accounts import mirror_key
from towplane.tenants.keys import PLANE_ACCOUNT
from towplane.testing.client import Answer, ask, chat
from towplane.testing.plane import UPSTREAM_KEY, RunningPlane, document, wait_until
from towplane.testing.provider import FakeProvider

COMMAND = "import sys; from towplane.cli.main import main; sys.exit(main())"
PATIENCE_S = 20.0
ASKED = 60
ROUTE: dict[str, Any] = {
    "targets": [
        {"provider": "fake-0", "arm": "control"},
        {"provider": "fake-1", "arm": "candidate"},
    ],
    "split": {"arms": {"control": 50, "candidate": 50}, "control": "control", "samples": 10},
    "mirror": {
        "to": {"provider": "fake-2"},
        "share": "100%",
        "budget": {"daily": "10 USD"},
        "most": 100,
        "keep": "pairs.jsonl",
        "text": True,
    },
}
PRICES = {"from": "2020-01-01", "input": "1 USD/Mtok", "output": "2 USD/Mtok"}


@dataclass(frozen=True)
class Scene:
    """A plane of two workers that has answered some requests."""

    plane: RunningPlane
    answers: list[Answer]
    mirror: FakeProvider

    def towplane(self, *words: str) -> str:
        """What a command of the plane's says."""
        found = subprocess.run(
            [sys.executable, "-c", COMMAND, *words, "-f", str(self.plane.file)],
            capture_output=True, text=True, timeout=60, env={**os.environ, "UPSTREAM_KEY": "k"},
        )  # fmt: skip
        assert found.returncode == 0, found.stdout + found.stderr
        return found.stdout

    def usage(self, by: str) -> dict[str, dict[str, Any]]:
        """Rows of the ledger, by name."""
        rows = self.plane.call("GET", f"/usage?by={by}")["rows"]
        return {row["name"]: row for row in rows}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("plane")
    with (
        FakeProvider(api_key=UPSTREAM_KEY) as one,
        FakeProvider(api_key=UPSTREAM_KEY) as two,
        FakeProvider(api_key=UPSTREAM_KEY) as mirror,
    ):
        text = document(
            folder, one, two, mirror, route=ROUTE, prices=PRICES, gateway={"workers": 2}
        )
        with RunningPlane(text, folder) as plane:
            key = plane.key("acme")

            async def all_of_them() -> list[Answer]:
                return [
                    await ask(plane.address, chat(key, stream=number % 2 == 0, max_tokens=8))
                    for number in range(ASKED)
                ]

            yield Scene(plane, asyncio.run(all_of_them()), mirror)


def test_both_arms_answer(scene: Scene) -> None:
    assert {answer.status for answer in scene.answers} == {200}
    went = Counter(answer.headers["x-towplane-target"] for answer in scene.answers)
    assert set(went) == {"fake-0/fake", "fake-1/fake"}
    assert min(went.values()) >= 10


def test_posted_scores_lead_to_a_verdict(scene: Scene) -> None:
    """The candidate's answers are good in the vendor's eyes, the control's are not."""
    for answer in scene.answers:
        is_new = answer.headers["x-towplane-target"] == "fake-1/fake"
        posted = {"request_id": answer.request_id, "score": 1.0 if is_new else 0.0}
        kept = scene.plane.call("POST", "/routing/fake/scores", posted)
        assert kept["score"] == posted["score"]

    def arms() -> dict[str, Any]:
        found: dict[str, Any] = scene.plane.call("GET", "/routing/fake/arms")["comparison"]
        return found

    wait_until(lambda: sum(arms()["requests"].values()) == ASKED, PATIENCE_S)
    metrics = {one["metric"]: one for one in arms()["arms"]["candidate"]}
    assert metrics["score"]["mean"] == 1.0
    assert metrics["errors"]["mean"] == 0.0
    assert metrics["score"]["verdict"] == "better"
    assert metrics["cost"]["n"] == metrics["errors"]["n"]
    said = scene.towplane("routing", "compare", "fake")
    assert "Verdict: candidate, score: candidate is better, " in said


def test_a_score_can_be_taken_back_on_the_command_line(scene: Scene) -> None:
    request = scene.answers[0].request_id
    assert "has the score 0.5" in scene.towplane("routing", "score", "fake", request, "0.5")


def test_shadows_are_the_planes_and_nobody_elses(scene: Scene) -> None:
    def shadows() -> float:
        return scene.plane.metric("towplane_mirrored_total", model="fake", mirrored="sent")

    wait_until(lambda: shadows() == ASKED, PATIENCE_S)
    wait_until(
        lambda: scene.usage("tenant").get(PLANE_ACCOUNT, {}).get("attempts") == ASKED, PATIENCE_S
    )
    usage = scene.usage("tenant")
    assert usage["acme"]["requests"] == usage["acme"]["attempts"] == ASKED
    paid = usage[PLANE_ACCOUNT]["cost_nanousd"]
    assert 0 < paid == scene.usage("target")["fake-2/fake"]["cost_nanousd"]
    assert scene.usage("key")[mirror_key("fake")]["requests"] == ASKED
    assert scene.plane.call("GET", f"/tenants/{quote('acme')}")


def test_shadows_are_compared_offline(scene: Scene) -> None:
    kept = scene.plane.folder / "pairs.jsonl"
    wait_until(lambda: kept.is_file() and len(kept.read_bytes().splitlines()) == ASKED, PATIENCE_S)
    pairs = [json.loads(line) for line in kept.read_bytes().splitlines()]
    asked = {answer.request_id for answer in scene.answers}
    assert {pair["original"]["request"] for pair in pairs} == asked
    assert all(pair["original"]["finish"] == pair["mirror"]["finish"] for pair in pairs)
    assert all(pair["original"]["text"] and pair["mirror"]["text"] for pair in pairs)
    found = json.loads(scene.towplane("routing", "mirrored", "fake", "--json"))
    assert found["pairs"] == ASKED
    assert found["agreement"]["same_finish"] == 1.0
    metrics = {one["metric"]: one for one in found["metrics"]}
    assert metrics["errors"]["difference"] == 0.0
    assert metrics["cost"]["pairs"] == ASKED
