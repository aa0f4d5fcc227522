"""The adapter for servers of OpenAI's wire: what is native, what goes up, what headers say."""

import json
from typing import Any

import msgspec
import pytest

from towplane.parts.errors import BadRequest
from towplane.providers.adapter import Allowance, Place
from towplane.providers.ask import OPERATIONS, Ask, OperationName
from towplane.providers.dialects import dialect_of
from towplane.providers.openai_compatible import ADAPTER
from towplane.providers.openai_compatible.limits import read_duration
from towplane.providers.retry_after import read_retry_after
from towplane.providers.translation import prepare

PLAIN = Place("prov/m", "up", "/v1")
BOTH = Place("prov/m", "up", "/v1", {"apis": "responses messages"})


def ask(operation: OperationName, **fields: Any) -> Ask:
    raw = msgspec.json.decode(json.dumps({"model": "m"} | fields), type=dict[str, msgspec.Raw])
    made = Ask(OPERATIONS[operation], raw, "m")
    dialect_of(made.operation.dialect).note(made)
    return made


@pytest.mark.parametrize(
    ("operation", "plain"),
    [
        ("chat", True),
        ("completions", True),
        ("embeddings", True),
        ("responses", False),
        ("messages", False),
        ("count_tokens", False),
    ],
)
def test_what_a_server_speaks_by_itself_stands_in_the_document(
    operation: OperationName, plain: bool
) -> None:
    assert ADAPTER.is_native(operation, PLAIN) is plain
    assert ADAPTER.is_native(operation, BOTH)


def test_a_native_request_goes_up_as_it_came_with_the_models_name_there() -> None:
    made = ask("chat", messages=[{"role": "user", "content": "u"}], stream=True, strange={"x": 1})
    call = prepare(made, PLAIN, ADAPTER, may_drop=False)
    assert call.is_native
    assert call.rendered.path == "/chat/completions"
    assert json.loads(call.rendered.body) == {
        "model": "up",
        "messages": [{"role": "user", "content": "u"}],
        "stream": True,
        "strange": {"x": 1},
        "stream_options": {"include_usage": True},
    }


def test_messages_go_as_they_came_to_a_server_that_speaks_them_with_their_version() -> None:
    made = ask("messages", max_tokens=5, messages=[{"role": "user", "content": "u"}])
    made.version_headers = {b"anthropic-version": b"2023-06-01"}
    call = prepare(made, BOTH, ADAPTER, may_drop=False)
    assert call.is_native
    assert call.rendered.path == "/messages"
    assert ("anthropic-version", "2023-06-01") in call.rendered.headers
    assert json.loads(call.rendered.body)["model"] == "up"


def test_messages_are_translated_for_a_server_that_does_not() -> None:
    made = ask("messages", max_tokens=5, top_k=3, messages=[{"role": "user", "content": "u"}])
    call = prepare(made, PLAIN, ADAPTER, may_drop=False)
    assert not call.is_native
    assert call.rendered.path == "/chat/completions"
    assert json.loads(call.rendered.body) == {
        "model": "up",
        "messages": [{"role": "user", "content": "u"}],
        "top_k": 3,
        "max_tokens": 5,
    }
    answer = {
        "id": "c",
        "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 4, "completion_tokens": 1},
    }
    body, _ = call.reader.read_whole(json.dumps(answer).encode())
    assert json.loads(body)["content"][0]["text"] == "hi"


def test_what_has_no_place_is_refused_or_dropped_and_told() -> None:
    file = {"type": "base64", "media_type": "application/pdf", "data": "QQ=="}
    content = [{"type": "text", "text": "u"}, {"type": "document", "source": file}]
    fields: dict[str, Any] = {
        "max_tokens": 5, "messages": [{"role": "user", "content": content}]
    }  # fmt: skip
    with pytest.raises(BadRequest):
        prepare(ask("messages", **fields), PLAIN, ADAPTER, may_drop=False)
    assert prepare(ask("messages", **fields), PLAIN, ADAPTER, may_drop=True).dropped


# When to come back

NOON = b"Mon, 23 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({}, None),
        ({b"retry-after": b"5"}, 5.0),
        ({b"retry-after": b"0"}, 0.0),
        ({b"retry-after": b"1.5"}, 1.5),
        ({b"retry-after-ms": b"43"}, 0.043),
        ({b"retry-after-ms": b"43", b"retry-after": b"1"}, 0.043),
        ({b"retry-after-ms": b"soon", b"retry-after": b"1"}, 1.0),
        ({b"retry-after": b"Mon, 23 Nov 2026 12:00:07 GMT", b"date": NOON}, 7.0),
        ({b"retry-after": b"Mon, 23 Nov 2026 12:00:07 GMT"}, None),
        ({b"retry-after": b"Mon, 23 Nov 2026 11:59:00 GMT", b"date": NOON}, None),
        ({b"retry-after": b"Mon, 23 Nov 2026 12:00:07 -0000", b"date": NOON}, None),
        ({b"retry-after": b"-1"}, None),
        ({b"retry-after": b"nan"}, None),
        ({b"retry-after": b"99999999"}, None),
        ({b"retry-after": b"\xff"}, None),
        ({b"retry-after": b""}, None),
    ],
)
def test_when_to_come_back(fields: dict[bytes, bytes], seconds: float | None) -> None:
    """A date is measured against the answer's own; a day is the longest that is believed."""
    assert read_retry_after(fields) == seconds


# Limits


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"6m0s", 360.0),
        (b"120ms", 0.12),
        (b"1s", 1.0),
        (b"7.66s", 7.66),
        (b"2m59.56s", 179.56),
        (b"1h2m3.5s", 3723.5),
        (b"1d", 86_400.0),
        (b"17us", 17e-6),
        (b"60", 60.0),
        (b"0.5", 0.5),
        (b"0s", 0.0),
        (b"", None),
        (b"soon", None),
        (b"6m!", None),
        (b"-1", None),
        (b"nan", None),
        (b"inf", None),
        (b"1760000000000", None),
        (b"2026-11-23T10:00:00Z", None),
    ],
)
def test_a_duration(value: bytes, seconds: float | None) -> None:
    found = read_duration(value)
    assert found == (seconds if seconds is None else pytest.approx(seconds))


def test_what_openais_headers_say() -> None:
    assert ADAPTER.read_allowance(
        {
            b"x-ratelimit-limit-requests": b"10000",
            b"x-ratelimit-remaining-requests": b"9999",
            b"x-ratelimit-reset-requests": b"6ms",
            b"x-ratelimit-limit-tokens": b"2000000",
            b"x-ratelimit-remaining-tokens": b"1999979",
            b"x-ratelimit-reset-tokens": b"6m0s",
        }
    ) == Allowance(10_000, 9_999, 0.006, 2_000_000, 1_999_979, 360.0)


def test_what_mistrals_headers_say() -> None:
    """As its server sent them (mistralai/client-ts, issue 169)."""
    assert ADAPTER.read_allowance(
        {
            b"x-ratelimit-limit-tokens-minute": b"5000000",
            b"x-ratelimit-remaining-tokens-minute": b"4999911",
            b"x-ratelimit-tokens-query-cost": b"52",
            b"x-ratelimit-limit-req-minute": b"720",
            b"x-ratelimit-remaining-req-minute": b"717",
        }
    ) == Allowance(720, 717, None, 5_000_000, 4_999_911, None)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {b"content-type": b"application/json"},
        {b"x-ratelimit-limit-requests": b"many"},
        {b"x-ratelimit-remaining-requests": b"-1"},  # Azure, where it does not count
        {b"x-ratelimit-reset-requests": b"soon"},
    ],
)
def test_what_says_nothing_is_nothing(fields: dict[bytes, bytes]) -> None:
    assert ADAPTER.read_allowance(fields) is None
