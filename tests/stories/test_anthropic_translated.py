"""Chat clients' requests, translated, against the emulator of Anthropic, which refuses what the
original refuses; and what comes back, whole and streamed, and what each side counts."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from towplane.parts.errors import Overloaded, Upstream
from towplane.providers.adapter import Place
from towplane.providers.adapters import adapter_of
from towplane.providers.ask import OPERATIONS, Ask
from towplane.providers.dialects import chat
from towplane.providers.reader import Reader
from towplane.providers.translation import prepare
from towplane.testing.anthropic import MODELS, AnthropicEmulator, Script, Trouble

NEW = "claude-opus-4-8"
OLD = "claude-sonnet-4-5-20250929"
Json = dict[str, Any]
SCHEMA = {
    "type": "object",
    "properties": {"height": {"type": "integer"}},
    "required": ["height"],
    "additionalProperties": False,
}
FUNCTION = {"name": "look_up", "description": "Looks.", "parameters": SCHEMA}
TOOL = {"type": "function", "function": FUNCTION}
PIXEL = "data:image/png;base64,iVBORw0KGgo="
ASK = {"role": "user", "content": "How high is it?"}


@pytest.fixture(scope="module")
def emulator() -> Iterator[AnthropicEmulator]:
    with AnthropicEmulator() as running:
        yield running


@pytest.fixture(autouse=True)
def _fresh(emulator: AnthropicEmulator) -> None:
    emulator.book.clear()


def exchange(
    emulator: AnthropicEmulator, body: Json, *, model: str = NEW
) -> tuple[bytes, Reader, int]:
    """The client's bytes of an answer, the reader that made them, and the tokens it saw."""
    fields = msgspec.json.decode(json.dumps(body), type=dict[str, msgspec.Raw])
    ask = Ask(OPERATIONS["chat"], fields, "m")
    chat.note(ask)
    adapter = adapter_of("anthropic")
    call = prepare(ask, Place("claude", model), adapter, may_drop=False)
    rendered, reader = call.rendered, call.reader
    headers = {"x-api-key": emulator.api_key, "content-type": "application/json"}
    headers |= dict(rendered.headers)
    url = emulator.origin + rendered.path
    with httpx.stream("POST", url, content=rendered.body, headers=headers) as answer:
        if answer.status_code != 200:
            raise adapter.judge(answer.status_code, {}, answer.read(), "claude")
        if not ask.stream:
            out, _ = reader.read_whole(answer.read())
            return out, reader, 0
        out, tokens = b"", 0
        for piece in answer.iter_raw():
            given, more, ends = reader.read(piece, whole=False)
            out, tokens = out + given, tokens + more
            if ends:
                break
        return out, reader, tokens


CASES: dict[str, Json] = {
    "plain": {"messages": [ASK]},
    "instructions": {"messages": [{"role": "system", "content": "Be brief."}, ASK]},
    "late instructions": {
        "messages": [ASK, {"role": "assistant", "content": "8 m"},
                     {"role": "developer", "content": "In feet."}, ASK]},
    "a limit": {"messages": [ASK], "max_completion_tokens": 3},
    "a stop": {"messages": [ASK], "stop": ["lift"]},
    "an image": {"messages": [{"role": "user", "content": [
        {"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]}]},
    "tools": {"messages": [{"role": "user", "content": "[tools] please"}], "tools": [TOOL]},
    "a forced tool": {"messages": [ASK], "tools": [TOOL],
                      "tool_choice": {"type": "function", "function": {"name": "look_up"}}},
    "one call at a time": {"messages": [{"role": "user", "content": "[tools] please"}],
                           "tools": [TOOL], "parallel_tool_calls": False},
    "results of calls": {"messages": [
        ASK,
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "call_1", "type": "function",
             "function": {"name": "look_up", "arguments": '{"height": 1}'}},
            {"id": "functions.look_up:1", "type": "function",
             "function": {"name": "look_up", "arguments": ""}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "8,848 m"},
        {"role": "tool", "tool_call_id": "functions.look_up:1", "content": "4,808 m"}],
        "tools": [TOOL]},
    "a schema": {"messages": [ASK], "response_format": {
        "type": "json_schema", "json_schema": {"name": "h", "schema": SCHEMA, "strict": True}}},
    "effort": {"messages": [ASK], "reasoning_effort": "high"},
    "a user": {"messages": [ASK], "user": "u-1"},
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", CASES)
def test_anthropic_takes_what_chat_asks(
    emulator: AnthropicEmulator, name: str, stream: bool
) -> None:
    out, reader, _ = exchange(emulator, CASES[name] | {"model": "m", "stream": stream})
    assert out
    seen = emulator.billed()[0]
    assert seen.status == 200
    assert reader.usage is not None
    assert (reader.usage.input, reader.usage.output) == (seen.input, seen.output)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"reasoning_effort": "low", "max_completion_tokens": 2_000},
        {"reasoning_effort": "none"},
        {"temperature": 1, "top_p": 1},
    ],
    ids=["plain", "effort", "no effort", "usual sampling"],
)
def test_every_model_takes_what_it_is_sent(
    emulator: AnthropicEmulator, model: str, change: Json
) -> None:
    exchange(emulator, {"model": "m", "messages": [ASK]} | change, model=model)


def test_older_models_are_told_how_to_sample(emulator: AnthropicEmulator) -> None:
    exchange(emulator, {"model": "m", "messages": [ASK], "temperature": 0.2}, model=OLD)


def test_a_conversation_with_thoughts_and_tools_goes_on(emulator: AnthropicEmulator) -> None:
    first = {"model": "m", "messages": [{"role": "user", "content": "[tool] please"}],
             "tools": [TOOL], "reasoning_effort": "low"}  # fmt: skip
    out, _, _ = exchange(emulator, first)
    message = json.loads(out)["choices"][0]["message"]
    call = message["tool_calls"][0]
    result = {"role": "tool", "tool_call_id": call["id"], "content": "8,848 m"}
    again = first | {"messages": [*first["messages"], message, result]}
    exchange(emulator, again)
    assert [seen.status for seen in emulator.billed()] == [200, 200]


@pytest.mark.parametrize("seed", range(5))
def test_a_stream_cut_anywhere_is_read_the_same(emulator: AnthropicEmulator, seed: int) -> None:
    emulator.queue(NEW, Script(shred=seed, pings=True, unknown_events=True, cached=2, searches=1))
    out, reader, tokens = exchange(emulator, {"model": "m", "messages": [ASK], "stream": True})
    text = "".join(
        choice["delta"].get("content") or ""
        for line in out.split(b"\n\n")
        if line.startswith(b"data: {")
        for choice in json.loads(line[6:])["choices"]
    )
    assert text == "plane wing rope lift field wind turn land "
    assert tokens == 8
    seen = emulator.billed()[0]
    assert reader.usage is not None
    assert reader.usage.detail is not None
    assert (reader.usage.input, reader.usage.cached) == (seen.input, 2)
    assert (reader.usage.output, reader.usage.detail.searches) == (seen.output, 1)


@pytest.mark.parametrize("after", [0, 3])
def test_a_failure_inside_the_stream_is_found(emulator: AnthropicEmulator, after: int) -> None:
    emulator.queue(NEW, Script(trouble=Trouble(how="error", after_tokens=after)))
    _, reader, tokens = exchange(emulator, {"model": "m", "messages": [ASK], "stream": True})
    assert tokens == after
    assert isinstance(reader.failed, Overloaded)
    assert reader.usage is None
    assert reader.begun is not None
    assert reader.begun.input == emulator.billed()[0].input


def test_what_the_original_refuses_is_the_clients_to_know(emulator: AnthropicEmulator) -> None:
    text = " ".join(["word"] * 250_000)
    with pytest.raises(Upstream) as caught:
        exchange(emulator, {"model": "m", "messages": [{"role": "user", "content": text}]})
    assert caught.value.code == "context_too_long"
    said = json.loads(chat.error_body(caught.value))["error"]
    assert said["code"] == "context_length_exceeded"
