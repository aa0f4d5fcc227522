"""What is read from a body, and what goes upstream of it."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.gateway.receive import PATHS
from towplane.gateway.receive import receive as receive_with_headers
from towplane.parts.errors import BadRequest
from towplane.providers.ask import Ask, Operation
from towplane.providers.dialects.chat import body_for

CHAT = PATHS[b"/v1/chat/completions"]


def receive(operation: Operation, body: list[bytes]) -> Ask:
    """As the line does, for a request without special headers."""
    return receive_with_headers(operation, body, {})


@dataclass(frozen=True)
class Case:
    name: str
    given: bytes
    want: Any


def facts(ask: Ask) -> dict[str, Any]:
    """What differs from a body that says nothing."""
    found = {
        "model": ask.model,
        "stream": ask.stream,
        "wants_usage": ask.wants_usage,
        "output_limit": ask.output_limit,
        "samples": ask.samples,
        "input_estimate": ask.input_estimate,
    }
    nothing = {"model": "m", "stream": False, "wants_usage": True, "output_limit": None,
               "samples": 1, "input_estimate": 0}  # fmt: skip
    return {name: value for name, value in found.items() if value != nothing[name]}


READ = [
    Case("nothing but the model", b'{"model":"m"}', {}),
    Case("an escaped key", rb'{"mod\u0065l":"m","strea\u006d":true}',
         {"stream": True, "wants_usage": False}),
    Case("an escaped name", rb'{"model":"\u006d"}', {}),
    Case("a key twice: the last one counts", b'{"model":"x","model":"m","n":2,"n":1}', {}),
    Case("spaces and line ends", b' {\n "model" :\t"m" } \r\n', {}),
    Case("stream", b'{"model":"m","stream":true}', {"stream": True, "wants_usage": False}),
    Case("stream, not", b'{"model":"m","stream":false}', {}),
    Case("stream null", b'{"model":"m","stream":null}', {}),
    Case("usage asked for", b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}',
         {"stream": True}),
    Case("usage not wanted",
         b'{"model":"m","stream":true,"stream_options":{"include_usage":false}}',
         {"stream": True, "wants_usage": False}),
    Case("usage null", b'{"model":"m","stream":true,"stream_options":{"include_usage":null}}',
         {"stream": True, "wants_usage": False}),
    Case("options null", b'{"model":"m","stream":true,"stream_options":null}',
         {"stream": True, "wants_usage": False}),
    Case("options without a stream are the upstream's matter", b'{"model":"m","stream_options":5}',
         {}),
    Case("max_tokens", b'{"model":"m","max_tokens":7}', {"output_limit": 7}),
    Case("max_completion_tokens", b'{"model":"m","max_completion_tokens":8}', {"output_limit": 8}),
    Case("both: the newer name", b'{"model":"m","max_tokens":7,"max_completion_tokens":8}',
         {"output_limit": 8}),
    Case("the newer name is null", b'{"model":"m","max_tokens":7,"max_completion_tokens":null}',
         {"output_limit": 7}),
    Case("no limit by null", b'{"model":"m","max_tokens":null}', {}),
    Case("no limit below nought", b'{"model":"m","max_tokens":-1}', {}),
    Case("nought", b'{"model":"m","max_tokens":0}', {"output_limit": 0}),
    Case("samples", b'{"model":"m","n":3}', {"samples": 3}),
    Case("samples null", b'{"model":"m","n":null}', {}),
    Case("no samples are the upstream's matter", b'{"model":"m","n":0}', {}),
    Case("more samples than anybody gives", b'{"model":"m","n":1000}', {"samples": 128}),
    Case("four bytes of the prompt a token", b'{"model":"m","messages":[{"a":"b"}]}',
         {"input_estimate": 3}),
]  # fmt: skip


@pytest.mark.parametrize("case", READ, ids=lambda case: case.name)
def test_what_a_body_asks_for(case: Case) -> None:
    assert facts(receive(CHAT, [case.given])) == case.want
    halves = [case.given[:9], case.given[9:]]
    assert facts(receive(CHAT, halves)) == case.want


REFUSED = [
    Case("nothing", b"", ("body-invalid", None)),
    Case("not JSON", b"{", ("body-invalid", None)),
    Case("not an object", b'["model"]', ("body-invalid", None)),
    Case("not UTF-8", b'{"model":"\xff"}', ("body-invalid", "model")),
    Case("something behind", b'{"model":"m"} {}', ("body-invalid", None)),
    Case("nested without end", b'{"model":"m","a":' + b"[" * 100_000, ("body-invalid", None)),
    Case("NaN", b'{"model":"m","temperature":NaN}', ("body-invalid", None)),
    Case("no model", b"{}", ("model-missing", "model")),
    Case("model null", b'{"model":null}', ("body-invalid", "model")),
    Case("model a number", b'{"model":1}', ("body-invalid", "model")),
    Case("stream a word", b'{"model":"m","stream":"true"}', ("body-invalid", "stream")),
    Case("stream a number", b'{"model":"m","stream":1}', ("body-invalid", "stream")),
    Case("options a list", b'{"model":"m","stream":true,"stream_options":[]}',
         ("body-invalid", "stream_options")),
    Case("usage a word", b'{"model":"m","stream":true,"stream_options":{"include_usage":"yes"}}',
         ("body-invalid", "stream_options")),
    Case("max_tokens a word", b'{"model":"m","max_tokens":"7"}', ("body-invalid", "max_tokens")),
    Case("max_tokens broken", b'{"model":"m","max_tokens":7.5}', ("body-invalid", "max_tokens")),
    Case("n a word", b'{"model":"m","n":"1"}', ("body-invalid", "n")),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_a_body_that_makes_no_sense_is_refused_with_the_name_of_its_field(case: Case) -> None:
    with pytest.raises(BadRequest) as refused:
        receive(CHAT, [case.given])
    assert (refused.value.reason, refused.value.param) == case.want


UP = [
    Case("the model's name there", b'{"model":"m","a":1}', b'{"model":"there","a":1}'),
    Case("usage is asked for", b'{"model":"m","stream":true}',
         b'{"model":"there","stream":true,"stream_options":{"include_usage":true}}'),
    Case("other options stay",
         b'{"stream_options":{"x":1e1,"include_usage":false},"model":"m","stream":true}',
         b'{"stream_options":{"x":1e1,"include_usage":true},"model":"there","stream":true}'),
    Case("options of who asked stay",
         b'{"model":"m","stream":true,"stream_options":{ "include_usage" : true}}',
         b'{"model":"there","stream":true,"stream_options":{ "include_usage" : true}}'),
    Case("values stay byte for byte",
         rb'{"model":"m","t":1.0e0,"s":"\u00e9\/","o":{"b": 1,"a":[ ]}}',
         rb'{"model":"there","t":1.0e0,"s":"\u00e9\/","o":{"b": 1,"a":[ ]}}'),
    Case("twice becomes once", b'{"model":"x","a":1,"model":"m","a":2}',
         b'{"model":"there","a":2}'),
    Case("twice by an escape becomes once", rb'{"mod\u0065l":"x","model":"m"}',
         b'{"model":"there"}'),
]  # fmt: skip


@pytest.mark.parametrize("case", UP, ids=lambda case: case.name)
def test_what_goes_upstream(case: Case) -> None:
    assert body_for(receive(CHAT, [case.given]), "there") == case.want


def test_each_attempt_has_the_name_of_its_own_target() -> None:
    ask = receive(CHAT, [b'{"model":"m","stream":true}'])
    bodies = [json.loads(body_for(ask, name)) for name in ("a", 'b"\n', "a")]
    assert [body["model"] for body in bodies] == ["a", 'b"\n', "a"]


def test_embeddings_are_never_streamed_and_make_no_tokens() -> None:
    ask = receive(PATHS[b"/v1/embeddings"], [b'{"model":"m","input":"1234","stream":true,"n":"x"}'])
    assert facts(ask) == {"input_estimate": 2}
    assert body_for(ask, "m") == b'{"model":"m","input":"1234","stream":true,"n":"x"}'


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=5), st.booleans(), st.booleans())
def test_no_other_value_changes_on_its_way(
    fields: dict[str, Any], stream: bool, ascii_only: bool
) -> None:
    own = {"model": "m", "messages": [], "stream": stream}
    given = fields | own
    for name in ("n", "max_tokens", "max_completion_tokens", "stream_options"):
        given.pop(name, None)
    body = json.dumps(given, ensure_ascii=ascii_only, indent=1).encode()
    sent = json.loads(body_for(receive(CHAT, [body]), "there"))
    want = given | {"model": "there"}
    if stream:
        want["stream_options"] = {"include_usage": True}
    assert sent == want
    assert list(sent) == list(want), "in the same order"
