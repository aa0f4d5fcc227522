"""A plane whose requests follow the blocks that its engines say they keep."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from towplane.testing.client import ask
from towplane.testing.kv_publisher import Publisher, removed, stored
from towplane.testing.plane import UPSTREAM_KEY, RunningPlane, document, wait_until
from towplane.testing.provider import FakeProvider
from towplane.testing.wire import post

COMMAND = "import sys; from towplane.cli.main import main; sys.exit(main())"
PATIENCE_S = 30.0
ENGINES = ("fake-0/fake", "fake-1/fake")
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}{% endfor %}"
WORDS = "the clauses of the contract, one after the other, so that each of them is read. "


@dataclass
class Scene:
    """Two engines, and a plane of two workers before them."""

    plane: RunningPlane
    engines: list[Publisher]
    key: str
    tokenizer: Tokenizer

    def went(self, fields: dict[str, Any], path: str = "/v1/completions") -> set[str]:
        """Where some requests go, over both workers."""

        async def all_of_them() -> set[str]:
            sent = post(self.key, {"model": "fake", "max_tokens": 1, **fields}, path=path)
            answers = [await ask(self.plane.address, sent) for _ in range(8)]
            assert {answer.status for answer in answers} == {200}
            return {answer.headers["x-towplane-target"] for answer in answers}

        return asyncio.run(all_of_them())

    def follows(self, tokens: list[int], engine: int) -> None:
        """Soon all of them go there."""
        wait_until(lambda: self.went({"prompt": [*tokens, 7]}) == {ENGINES[engine]}, PATIENCE_S)

    def explain(self, fields: dict[str, Any], path: str) -> str:
        body = self.plane.folder / "body.json"
        body.write_text(json.dumps({"model": "fake", **fields}))
        words = ("routing", "explain", "fake", "--body", str(body), "--path", path)
        found = subprocess.run(
            [sys.executable, "-c", COMMAND, *words, "-f", str(self.plane.file)],
            capture_output=True, text=True, timeout=60,
            env={**os.environ, "UPSTREAM_KEY": "k", "COLUMNS": "200"},
        )  # fmt: skip
        assert found.returncode == 0, found.stdout + found.stderr
        return found.stdout


def make_tokenizer(folder: Path) -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        [WORDS],
        trainers.BpeTrainer(
            vocab_size=300, special_tokens=["<|im_start|>"], initial_alphabet=alphabet,
            show_progress=False,
        ),
    )  # fmt: skip
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": TEMPLATE}))
    return made


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("plane")
    tokenizer = make_tokenizer(folder)
    route = {
        "choose": "least-work",
        "prefix": {"tokenizer": "tokenizer.json", "trust": "0%"},
    }
    with (
        FakeProvider(api_key=UPSTREAM_KEY) as one,
        FakeProvider(api_key=UPSTREAM_KEY) as two,
        Publisher() as first,
        Publisher() as second,
    ):
        plain = yaml.safe_load(document(folder, one, two, route=route, gateway={"workers": 2}))
        for name, engine in (("fake-0", first), ("fake-1", second)):
            plain["providers"][name]["signals"] = {
                "engine": "vllm",
                "every": "60s",
                "events": engine.address.replace("127.0.0.1", "*"),
                "replay": engine.replay,
            }
        with RunningPlane(yaml.safe_dump(plain), folder) as plane:
            yield Scene(plane, [first, second], plane.key("acme"), tokenizer)


def hold(engine: Publisher, tokens: list[int], first: int, **more: Any) -> list[int | bytes]:
    """It says that it keeps these, under names from `first` on."""
    names: list[int | bytes] = list(range(first, first + len(tokens) // 16))
    engine.publish(stored(names, tokens, size=16), **more)
    return names


def test_requests_go_where_the_blocks_are_and_on_when_they_are_evicted(scene: Scene) -> None:
    tokens = list(range(1000, 1064))
    names = hold(scene.engines[1], tokens, 1)
    scene.follows(tokens, 1)
    scene.engines[1].publish(removed(names[1:]))
    hold(scene.engines[0], tokens, 1)
    scene.follows(tokens, 0)


def test_what_was_missed_is_made_up_for(scene: Scene) -> None:
    tokens = list(range(2000, 2064))
    names = hold(scene.engines[0], tokens, 101)
    scene.follows(tokens, 0)
    scene.engines[0].publish(removed(names), is_lost=True)
    hold(scene.engines[1], tokens, 101, is_lost=True)
    for engine in scene.engines:
        engine.publish()  # by which it is seen that something is missing
    scene.follows(tokens, 1)


def test_chats_are_followed_by_their_template(scene: Scene) -> None:
    text = f"<|im_start|>user\n{WORDS * 4}"
    tokens = scene.tokenizer.encode(text).ids
    hold(scene.engines[1], tokens[: len(tokens) // 16 * 16], 201)
    fields = {"messages": [{"role": "user", "content": WORDS * 4}]}
    path = "/v1/chat/completions"
    wait_until(lambda: scene.went(fields, path) == {ENGINES[1]}, PATIENCE_S)
    said = scene.explain(fields, path)
    kept = len(tokens) // 16 * 16
    assert f"cached: {kept:,} of {len(tokens):,} tokens by its own events" in " ".join(said.split())


def test_an_engine_that_restarts_keeps_nothing(scene: Scene) -> None:
    tokens = list(range(3000, 3064))
    hold(scene.engines[0], tokens, 301)
    scene.follows(tokens, 0)
    before = scene.engines[0]
    before.__exit__()
    with Publisher(instead_of=before) as engine:
        hold(scene.engines[1], tokens[:32], 301)
        scene.follows(tokens, 1)
        hold(engine, tokens, 1)
        scene.follows(tokens, 0)
