"""Embeddings for providers with a wire of their own: OpenAI's request in, OpenAI's answer out."""

import base64
import json
import struct
from typing import Any

import msgspec
import pytest
from openai.types import CreateEmbeddingResponse

from towplane.parts.errors import BadRequest, ProtocolError
from towplane.parts.usage import Usage
from towplane.providers.adapter import (
    Adapter,
    Embeddings,
    EmbeddingsAnswer,
    Losses,
    Place,
    Rendered,
)
from towplane.providers.ask import OPERATIONS, Ask
from towplane.providers.embeddings import read_embeddings_request
from towplane.providers.openai_compatible import ADAPTER as CHAT
from towplane.providers.translation import prepare

PLACE = Place("t", "up")


def render(asked: Embeddings, place: Place, losses: Losses) -> Rendered:
    return Rendered("/embed", msgspec.json.encode(asked.inputs))


def answer(body: bytes) -> EmbeddingsAnswer:
    return msgspec.json.decode(body, type=EmbeddingsAnswer)


EMBEDS: Adapter = msgspec.structs.replace(
    CHAT,
    is_native=lambda operation, place: False,
    render_embeddings=render,
    read_embeddings=answer,
)
ANSWER = msgspec.json.encode(EmbeddingsAnswer([[0.5, -1.0], [0.25, 2.0]], Usage(7), "up-2"))


def asked(**fields: Any) -> Embeddings:
    raw = msgspec.json.decode(json.dumps(fields), type=dict[str, msgspec.Raw])
    return read_embeddings_request(raw)


def ask(**fields: Any) -> Ask:
    raw = msgspec.json.decode(json.dumps({"model": "m"} | fields), type=dict[str, msgspec.Raw])
    return Ask(OPERATIONS["embeddings"], raw, "m")


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        ([1, 2], [[1, 2]]),
        ([[1], [2, 3]], [[1], [2, 3]]),
        ([""], [""]),
    ],
)
def test_inputs_are_texts_or_tokens(given: Any, inputs: Any) -> None:
    assert asked(input=given).inputs == inputs


def test_everything_else_that_can_be_asked() -> None:
    found = asked(model="m", input="a", dimensions=3, encoding_format="base64", user="u", x=1)
    assert found == Embeddings(["a"], 3, "base64", "u", {"x": msgspec.Raw(b"1")})
    assert asked(input="a", dimensions=None, encoding_format=None, user=None) == Embeddings(["a"])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["a", 1]}, "input"),
        ({"input": [[1], "a"]}, "input"),
        ({"input": [["a"]]}, "input"),
        ({"input": "a", "dimensions": "3"}, "dimensions"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "user": 5}, "user"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        asked(**fields)
    assert caught.value.param == param


def test_an_answer_is_openais() -> None:
    call = prepare(ask(input=["a", "b"]), PLACE, EMBEDS, may_drop=False)
    assert (call.rendered.path, call.is_native) == ("/embed", False)
    body, _ = call.reader.read_whole(ANSWER)
    found = CreateEmbeddingResponse.model_validate_json(body, strict=True)
    assert [one.embedding for one in found.data] == [[0.5, -1.0], [0.25, 2.0]]
    assert [one.index for one in found.data] == [0, 1]
    assert (found.usage.prompt_tokens, found.usage.total_tokens) == (7, 7)
    assert found.model == "up-2"
    assert call.reader.usage == Usage(7)
    assert not call.reader.passes_through


def test_base64_is_little_endian_floats() -> None:
    call = prepare(ask(input=["a", "b"], encoding_format="base64"), PLACE, EMBEDS, may_drop=False)
    body, _ = call.reader.read_whole(ANSWER)
    packed = base64.b64decode(json.loads(body)["data"][0]["embedding"])
    assert struct.unpack("<2f", packed) == (0.5, -1.0)


def test_another_number_of_vectors_is_no_answer() -> None:
    call = prepare(ask(input="a"), PLACE, EMBEDS, may_drop=False)
    with pytest.raises(ProtocolError):
        call.reader.read_whole(ANSWER)


def test_what_the_provider_does_not_know_is_refused_or_dropped() -> None:
    with pytest.raises(BadRequest) as caught:
        prepare(ask(input="a", x=1), PLACE, EMBEDS, may_drop=False)
    assert caught.value.param == "x"
    assert prepare(ask(input="a", x=1), PLACE, EMBEDS, may_drop=True).dropped == ("x",)


def test_a_provider_without_embeddings_says_so() -> None:
    silent = msgspec.structs.replace(EMBEDS, render_embeddings=None)
    with pytest.raises(BadRequest) as caught:
        prepare(ask(input="a"), PLACE, silent, may_drop=False)
    assert caught.value.reason == "unsupported-operation"
