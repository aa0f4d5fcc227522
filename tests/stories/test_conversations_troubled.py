"""Providers in trouble, through a whole plane: keys that are refused, limits that are near,
capacity that is used up, an outage; and what the plane says of it. The clients try nothing again.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
import yaml

from towplane.cli.main import run
from towplane.testing.anthropic import AnthropicEmulator
from towplane.testing.bedrock import ACCOUNT, FakeBedrock
from towplane.testing.book import Seen
from towplane.testing.openai import OpenAIEmulator, Script
from towplane.testing.openai.azure import Azure
from towplane.testing.openai.limits import Provisioned
from towplane.testing.plane import RunningPlane, wait_until
from towplane.testing.vertex import Script as VertexScript
from towplane.testing.vertex import VertexEmulator

GEMINI = "gemini-2.5-flash"
CLAUDE = "claude-sonnet-4-5-20250929"
SECRETS = {"GOOD": "sk-test", "BAD": "sk-wrong-0001", "WORSE": "sk-wrong-0002"}
NEVER = {"failures": 1_000_000, "share": "100%", "volume": 1_000_000}


class World:
    """Emulators, one plane, a client of each dialect."""

    plane: RunningPlane
    openai: openai.OpenAI
    anthropic: anthropic.Anthropic

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.gpt = stack.enter_context(
            OpenAIEmulator(models=("pooled", "parked", "near", "gpt-of-nobody"))
        )
        self.azure = stack.enter_context(
            OpenAIEmulator(models=("ptu", "spilling", "standard"), azure=Azure())
        )
        self.claude = stack.enter_context(AnthropicEmulator())
        self.bedrock = stack.enter_context(FakeBedrock())
        self.gemini = stack.enter_context(VertexEmulator())
        secrets = SECRETS | {"CLAUDE": self.claude.api_key, "GEMINI": self.gemini.api_keys[0],
                             "AWS": ACCOUNT.access_key, "AWS_SECRET": ACCOUNT.secret_key,
                             "AZURE": "azure-key"}  # fmt: skip
        text = yaml.safe_dump(self._document(folder))
        self.plane = stack.enter_context(RunningPlane(text, folder, env=secrets))
        key = self.plane.key("acme")
        self.openai = stack.enter_context(
            openai.OpenAI(base_url=self.plane.base_url, api_key=key, max_retries=0)
        )
        self.anthropic = stack.enter_context(
            anthropic.Anthropic(
                base_url=self.plane.base_url.removesuffix("/v1"), api_key=key, max_retries=0
            )
        )

    def say(self, model: str, text: str = "Hello there", **more: Any) -> Any:
        """One chat; the answer with its headers."""
        messages: Any = [{"role": "user", "content": text}]
        return self.openai.chat.completions.with_raw_response.create(
            model=model, messages=messages, **more
        )

    def credentials(self, provider: str) -> list[dict[str, Any]]:
        """As `GET /providers` has them."""
        found = self.plane.call("GET", "/providers")["providers"]
        (one,) = (each for each in found if each["name"] == provider)
        return list(one["credentials"])

    def _document(self, folder: Path) -> dict[str, Any]:
        def of_openai(*names: str) -> dict[str, Any]:
            keys = [{"api_key": f"env:{name}"} for name in names]
            return {"kind": "openai", "endpoint": self.gpt.base_url, "credentials": keys}

        def route(provider: str, model: str, **more: Any) -> dict[str, Any]:
            return {"targets": [{"provider": provider, "model": model}], "breaker": NEVER, **more}

        azure = {"kind": "azure-openai", "endpoint": self.azure.origin,
                 "credentials": [{"api_key": "env:AZURE"}]}  # fmt: skip
        keys = {"access_key": "env:AWS", "secret_key": "env:AWS_SECRET"}
        return {
            "plane": "troubled",
            "data_dir": str(folder / "data"),
            "gateway": {"listen": "127.0.0.1:0"},
            "admin": {"listen": "127.0.0.1:0"},
            "providers": {
                "pool": of_openai("BAD", "GOOD"),
                "parked": of_openai("BAD", "WORSE"),
                "near": of_openai("GOOD"),
                "azure": azure | {"spillover": {"spilling": "standard"}},
                "claude": {"kind": "anthropic", "endpoint": self.claude.origin,
                           "credentials": [{"api_key": "env:CLAUDE"}]},
                "aws": {"kind": "bedrock", "endpoint": self.bedrock.origin, "region": "us-east-1",
                        "credentials": [keys]},
                "vertex": {"kind": "vertex", "endpoint": self.gemini.origin,
                           "credentials": [{"api_key": "env:GEMINI"}]},
            },
            "routing": {
                "pooled": route("pool", "pooled"),
                "parked": route("parked", "parked"),
                "near": route("near", "near", queue={"longest": "5s"}),
                "ptu": route("azure", "ptu"),
                "spilling": route("azure", "spilling"),
                "gemini": route("vertex", GEMINI),
                "claude": route("claude", CLAUDE, fallback=[
                    {"provider": "aws", "model": f"anthropic.{CLAUDE}-v1:0"}]),
                "unpriced": route("near", "gpt-of-nobody"),
            },
            "tenants": {"acme": {}},
        }  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(stack, tmp_path_factory.mktemp("troubled"))


def seen(emulator: Any, model: str) -> list[Seen]:
    return list(emulator.book.rows(model=model))


def gaps_s(rows: list[Seen]) -> list[float]:
    """From the end of each request to the begin of the next."""
    return [later.at - earlier.ended for earlier, later in pairwise(rows)]


def test_a_refused_key_is_parked_and_the_other_one_answers(world: World) -> None:
    """The client sees nothing of it, and the refused key is not tried with every request."""
    for _ in range(4):
        assert world.say("pooled").parse().choices[0].message.content
    refused = [row for row in world.gpt.book.rows() if row.header("authorization") == "Bearer "
               + SECRETS["BAD"]]  # fmt: skip
    assert [row.status for row in refused] == [401]
    wait_until(lambda: world.credentials("pool")[0]["state"] == "parked", 10.0)
    first, second = world.credentials("pool")
    assert (first["state"], second["state"]) == ("parked", "ready")
    assert first["parked_s"] > 0
    assert SECRETS["BAD"] not in str(world.plane.call("GET", "/providers"))


def test_all_keys_parked_is_an_error_of_its_own_and_said(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(openai.InternalServerError) as first:
        world.say("parked")
    assert first.value.status_code == 502
    before = len(world.gpt.book.rows())
    with pytest.raises(openai.InternalServerError) as second:
        world.say("parked")
    assert second.value.response.headers["x-towplane-reason"] == "no-credential"
    assert len(world.gpt.book.rows()) == before, "parked keys are not sent"
    wait_until(lambda: {c["state"] for c in world.credentials("parked")} == {"parked"}, 10.0)
    for words in (["status"], ["providers", "status"]):
        capsys.readouterr()
        run([*words, "-f", str(world.plane.file)])
        said = capsys.readouterr().out
        assert "parked" in said, said
        assert SECRETS["BAD"] not in said


def test_what_headers_say_is_left_slows_the_plane_before_a_429(world: World) -> None:
    """Two requests in 600 ms are allowed and none is left: the next one waits for its own."""
    none_left = {"x-ratelimit-limit-requests": "2", "x-ratelimit-remaining-requests": "0",
                 "x-ratelimit-reset-requests": "600ms"}  # fmt: skip
    world.gpt.queue("near", Script(headers=none_left))
    world.say("near")
    world.say("near")
    rows = seen(world.gpt, "near")
    assert [row.status for row in rows] == [200, 200]
    (gap_s,) = gaps_s(rows)
    assert gap_s >= 0.25


def test_used_up_provisioned_capacity_is_waited_for_by_the_millisecond(world: World) -> None:
    """Azure says in how many milliseconds there is room again; the client is answered then."""
    world.azure.provisioned["ptu"] = Provisioned(tokens_per_s=100.0)
    for _ in range(2):
        world.say("ptu", "fill it " * 60)  # 1.2 s of work: the second finds it full
    rows = seen(world.azure, "ptu")
    assert [row.status for row in rows] == [200, 429, 200]
    assert 0.1 < gaps_s(rows)[1] < 1.0


def test_spillover_is_asked_for_and_takes_over(world: World) -> None:
    """Of a deployment with a spillover the client sees no 429."""
    world.azure.provisioned["spilling"] = Provisioned(tokens_per_s=1.0)
    for _ in range(2):
        world.say("spilling")
    first, second = seen(world.azure, "spilling")
    assert first.header("x-ms-spillover-deployment") == "standard"
    assert (second.status, second.served_by) == (200, "standard")  # type: ignore[attr-defined]


def test_retry_info_in_geminis_body_is_honoured(world: World) -> None:
    world.gemini.queue(GEMINI, VertexScript(status=429, retry_delay="0.4s"))
    assert world.say("gemini").parse().choices[0].message.content
    rows = seen(world.gemini, GEMINI)
    assert [row.status for row in rows] == [429, 200]
    assert gaps_s(rows)[0] >= 0.4


def test_an_outage_of_one_kind_is_bridged_by_another_in_the_clients_dialect(world: World) -> None:
    """Anthropic's API dies; Claude answers from Bedrock, to both clients, streamed and not."""

    def ask_messages() -> tuple[str, str]:
        answer = world.anthropic.messages.with_raw_response.create(
            model="claude", max_tokens=50, messages=[{"role": "user", "content": "Hello there"}]
        )
        block = answer.parse().content[0]
        assert block.type == "text"
        return answer.headers["x-towplane-target"].partition("/")[0], block.text

    provider, text = ask_messages()
    assert provider == "claude"
    world.claude.kill()
    try:
        assert ask_messages() == ("aws", text)
        with world.anthropic.messages.stream(
            model="claude", max_tokens=50, messages=[{"role": "user", "content": "Hello there"}]
        ) as stream:
            assert "".join(stream.text_stream) == text
        assert world.say("claude").parse().choices[0].message.content == text
    finally:
        world.claude.revive()
    assert world.bedrock.book.rows()[-1].status == 200


def test_a_model_without_a_price_costs_an_unknown_sum_and_alerts(world: World) -> None:
    """Never 0."""
    answer = world.say("unpriced")
    assert answer.parse().usage is not None
    request = answer.headers["x-towplane-request-id"]
    row = world.plane.attempts()[f"{request}.1"]
    assert row["cost_nanousd"] is None
    assert row["output"] > 0
    assert world.plane.metric("towplane_unpriced_targets", model="unpriced") == 1
    wait_until(
        lambda: world.plane.metric("towplane_unpriced_attempts_total", model="unpriced") >= 1, 10.0
    )


@pytest.mark.parametrize(
    "code",
    [
        "import towplane.gateway.worker; from towplane.providers.adapters import PROVIDERS, "
        "adapter_of; [adapter_of(kind) for kind in PROVIDERS]",
        "from towplane.cli.main import run; run(['--help'])",
    ],
    ids=["worker", "help"],
)
def test_no_cloud_package_is_loaded_before_it_is_needed(code: str) -> None:
    """Neither a worker with every adapter nor the command's help imports a vendor's package."""
    names = ("botocore", "boto3", "azure.identity", "google.auth", "genai_prices", "requests")
    tail = f"; import sys; left = [n for n in {names!r} if n in sys.modules]; sys.exit(str(left))"
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code + tail], capture_output=True, text=True
    )
    assert found.stderr.strip().endswith("[]"), found.stderr


def test_help_is_there_at_once() -> None:
    """A generous cap: a cloud package alone would take as long."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "towplane", "--help"], capture_output=True, check=True)
    assert time.perf_counter() - began < 5.0
