"""Hard prompts go to the strong target of a real plane, easy ones to the weak one."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from towplane.routing.complexity.labels import read_labels
from towplane.routing.complexity.model import Embedding, write_model
from towplane.routing.complexity.scorer import make_scorer
from towplane.routing.complexity.training.compare import train
from towplane.routing.complexity.training.vectors import open_vectors
from towplane.testing.client import Answer, ask, chat
from towplane.testing.labelled import make_labels
from towplane.testing.plane import UPSTREAM_KEY, RunningPlane, document, wait_until
from towplane.testing.provider import FakeProvider, Script
from towplane.testing.topics import make_topical

COMMAND = "import sys; from towplane.cli.main import main; sys.exit(main())"


@dataclass(frozen=True)
class Pair:
    """A plane with a weak and a strong target, and a trained scorer between them."""

    plane: RunningPlane
    weak: FakeProvider
    strong: FakeProvider
    key: str
    easy: list[str]
    hard: list[str]

    def ask(self, prompts: list[str]) -> list[Answer]:
        """Each prompt once."""

        async def all_of_them() -> list[Answer]:
            turns = [[{"role": "user", "content": prompt}] for prompt in prompts]
            return [await ask(self.plane.address, chat(self.key, messages=turn)) for turn in turns]

        return asyncio.run(all_of_them())

    def towplane(self, *words: str) -> tuple[int, str]:
        """A command of the plane's."""
        found = subprocess.run(
            [sys.executable, "-c", COMMAND, *words, "-f", str(self.plane.file)],
            capture_output=True, text=True, timeout=60, env={**os.environ, "UPSTREAM_KEY": "k"},
        )  # fmt: skip
        return found.returncode, found.stdout + found.stderr


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("plane")
    write_model(train(make_labels("domain", 240, 1), "d", draws=50).model, folder / "router.json")
    route: dict[str, Any] = {
        "choose": "complexity",
        "complexity": {"scorer": "trained", "model": "router.json", "threshold": 0.64},
        "targets": [
            {"provider": "fake-0", "role": "weak"},
            {"provider": "fake-1", "role": "strong"},
        ],
        "retries": {"share": "100%", "floor": "1000/s"},
    }
    fresh = make_labels("domain", 200, 9)
    with (
        FakeProvider(api_key=UPSTREAM_KEY) as weak,
        FakeProvider(api_key=UPSTREAM_KEY) as strong,
        RunningPlane(document(folder, weak, strong, route=route), folder) as plane,
    ):
        easy, hard = (
            [one.prompt for one in fresh if one.domain == domain][:30]
            for domain in ("chat", "maths")
        )
        yield Pair(plane, weak, strong, plane.key("acme"), easy, hard)


def test_hard_prompts_go_to_strong_and_easy_ones_to_weak(pair: Pair) -> None:
    """As far as a classifier can tell: most of them; and each as its score says."""
    easy, hard = pair.ask(pair.easy), pair.ask(pair.hard)
    assert {answer.status for answer in easy + hard} == {200}
    strong = [answer.headers["x-towplane-target"] == "fake-1/fake" for answer in easy + hard]
    assert np.mean(strong[:30]) < 0.3
    assert np.mean(strong[30:]) > 0.7
    metric = "towplane_complexity_score_count"
    wait_until(lambda: pair.plane.metric(metric, model="fake") == 60, within_s=20)


def test_explain_says_which_score_sent_a_prompt_where(pair: Pair, tmp_path: Path) -> None:
    (answer,) = pair.ask(pair.hard[:1])
    body = tmp_path / "body.json"
    turns = [{"role": "user", "content": pair.hard[0]}]
    body.write_text(json.dumps({"model": "fake", "messages": turns}))
    code, said = pair.towplane("routing", "explain", "fake", "--body", str(body))
    assert code == 0, said
    went = answer.headers["x-towplane-target"]
    role = "weak" if went == "fake-1/fake" else "strong"
    assert f"The next request goes to {went} (the only target that is left)" in said
    assert f"passed over: {role}, and the prompt's score 0." in said


def test_when_strong_fails_weak_answers(pair: Pair) -> None:
    pair.strong.scripts["fake"] = Script(status=500)
    try:
        answers = pair.ask(pair.hard[:5])
    finally:
        pair.strong.scripts.clear()
    assert [(one.status, one.headers["x-towplane-target"]) for one in answers] == [
        (200, "fake-0/fake")
    ] * 5


def test_a_share_is_calibrated_on_the_planes_own_traffic(pair: Pair) -> None:
    pair.ask(pair.easy + pair.hard)
    code, said = pair.towplane("routing", "calibrate", "--share", "25%", "--json")
    assert code == 0, said
    found = json.loads(said)
    assert found["sample"] >= 60
    assert found["share"] == pytest.approx(0.25, abs=0.05)
    assert found["interval"][0] <= found["threshold"] <= found["interval"][1]


def test_a_model_that_is_broken_does_not_take_effect(pair: Pair) -> None:
    """The old document stays, and says why."""
    good = pair.plane.file.read_text()
    (pair.plane.folder / "broken.json").write_text("{}")
    pair.plane.file.write_text(good.replace("router.json", "broken.json"))
    try:
        wait_until(lambda: pair.plane.metric("towplane_document_valid") == 0, within_s=20)
        assert "is no model" in pair.plane.tail()
        (answer,) = pair.ask(pair.easy[:1])
        assert answer.status == 200
    finally:
        pair.plane.file.write_text(good)
    wait_until(lambda: pair.plane.metric("towplane_document_valid") == 1, within_s=20)


def test_a_model_over_an_embedding_takes_effect_and_that_of_another_tokenizer_does_not(
    pair: Pair,
) -> None:
    """Workers score as the model says here; what cannot score leaves the document as it was."""
    model = train(make_topical(240, 1), "d", vectors=open_vectors(), draws=50).model
    assert isinstance(model.embedding, Embedding)
    other = msgspec.structs.replace(model.embedding, tokenizer="0" * 64)
    write_model(model, pair.plane.folder / "embedded.json")
    write_model(msgspec.structs.replace(model, embedding=other), pair.plane.folder / "other.json")
    score, prompts = make_scorer(model), [one.prompt for one in make_topical(30, 9)]
    wanted = [f"fake-{int(score(prompt) >= 0.64)}/fake" for prompt in prompts]
    assert len(set(wanted)) == 2
    good = pair.plane.file.read_text()

    def goes_as_wanted() -> bool:
        return [one.headers["x-towplane-target"] for one in pair.ask(prompts)] == wanted

    try:
        pair.plane.file.write_text(good.replace("router.json", "embedded.json"))
        wait_until(goes_as_wanted, within_s=20)
        pair.plane.file.write_text(good.replace("router.json", "other.json"))
        wait_until(lambda: pair.plane.metric("towplane_document_valid") == 0, within_s=20)
        assert "cuts texts into other tokens" in pair.plane.tail()
        assert goes_as_wanted()
    finally:
        pair.plane.file.write_text(good)
    wait_until(lambda: pair.plane.metric("towplane_document_valid") == 1, within_s=20)


def test_labels_are_collected_until_the_money_is_spent(tmp_path: Path) -> None:
    """Two routes of the plane answer; a reference judges; the ledger says what it cost."""
    with FakeProvider(api_key=UPSTREAM_KEY) as weak, FakeProvider(api_key=UPSTREAM_KEY) as strong:
        strong.scripts["fake"] = Script(text="It is 42 .")
        weak.scripts["fake"] = Script(text="I do not know .")
        routes = {
            name: {"targets": [{"provider": f"fake-{number}", "model": "fake"}]}
            for number, name in enumerate(("small", "large"))
        }
        prices = {"from": "2026-01-01", "input": "1 USD/Mtok", "output": "1000 USD/Mtok"}
        prices |= {"source": "made up"}
        text = document(tmp_path, weak, strong, prices=prices, more={"routing": routes})
        prompts, labels = tmp_path / "prompts.jsonl", tmp_path / "labels.jsonl"
        lines = [{"prompt": f"what is {n}?", "reference": "42", "domain": "sums"} for n in range(9)]
        prompts.write_text("\n".join(map(json.dumps, lines)))
        with RunningPlane(text, tmp_path) as plane:
            pair = Pair(plane, weak, strong, plane.key("acme"), [], [])
            (tmp_path / "key").write_text(pair.key)
            command = ("routing", "label", str(prompts), "--strong", "large", "--weak", "small",
                       "--key", f"file:{tmp_path / 'key'}", "--judge", "contains",
                       "--out", str(labels), "--json", "--budget")  # fmt: skip
            code, said = pair.towplane(*command, "0.03 USD")
            assert code == 0, said
            first = json.loads(said)
            assert 0 < first["labels"] < 9
            assert first["spent_nanousd"] <= 30_000_000
            code, said = pair.towplane(*command, "1 USD")
            assert code == 0, said
            assert json.loads(said)["labels"] == 9 - first["labels"], "the others were known"
    found = read_labels(labels)
    assert [one.prompt for one in found] == [line["prompt"] for line in lines]
    assert {(one.score_strong, one.score_weak, one.domain) for one in found} == {(1, 0, "sums")}
    assert all(one.cost_strong for one in found)
