"""Events written as Responses: the official client accepts them, and nothing is lost or doubled."""

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import msgspec
import openai
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.parts.errors import (
    BadRequest,
    Overloaded,
    PlaneError,
    ProtocolError,
    RateLimited,
    ServerError,
)
from towplane.parts.usage import Detail, Usage
from towplane.providers.ask import OPERATIONS, Ask
from towplane.providers.conversation.answer import (
    CallBegins,
    CallGrows,
    Cited,
    Ended,
    Event,
    LogProbs,
    PartEnds,
    RedactedThought,
    RefusalGrows,
    Signed,
    Started,
    TextGrows,
    ThoughtGrows,
    Used,
)
from towplane.providers.conversation.request import (
    Message,
    Redacted,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from towplane.providers.dialects import responses
from towplane.providers.dialects.responses.write import ResponsesWriter

START = Started(id="chatcmpl-7", model="real-model", created=1_700_000_000)
STOP = Ended("stop")
USED = Used(Usage(10, 5, 2))
PROB = msgspec.Raw(b'{"token":"a","bytes":[97],"logprob":-0.5,"top_logprobs":[]}')
URL = msgspec.Raw(b'{"type":"web_search_result_location","url":"https://x","title":"X"}')
PAGE = msgspec.Raw(
    b'{"type":"char_location","document_index":1,"document_title":"D","file_id":null}'
)


def ask_of(**body: Any) -> Ask:
    body = {"model": "m", "input": "x"} | body
    ask = Ask(OPERATIONS["responses"], msgspec.json.decode(json.dumps(body), type=dict), "m")
    ask.fields = msgspec.json.decode(json.dumps(body), type=dict[str, msgspec.Raw])
    responses.note(ask)
    return ask


def write_stream(events: list[Event], **body: Any) -> bytes:
    """An event at a time, but log probabilities with their text: a chunk brings both."""
    writer = ResponsesWriter(ask_of(stream=True, **body), wall=lambda: 1.0)
    batches: list[list[Event]] = []
    for event in events:
        if isinstance(event, LogProbs) and batches:
            batches[-1].append(event)
        else:
            batches.append([event])
    return b"".join(map(writer.stream, batches)) + writer.end()


def write_whole(events: list[Event], **body: Any) -> dict[str, Any]:
    found = ResponsesWriter(ask_of(**body), wall=lambda: 1.0).whole(events)
    return msgspec.json.decode(found, type=dict[str, Any])


def read_stream(stream: bytes) -> list[dict[str, Any]]:
    blocks = [block.split(b"\n") for block in stream.split(b"\n\n")[:-1]]
    found = [json.loads(data.removeprefix(b"data: ")) for _, data in blocks]
    assert [name.removeprefix(b"event: ").decode() for name, _ in blocks] == [
        event["type"] for event in found
    ]
    return found


@dataclass(frozen=True)
class Case:
    name: str
    events: list[Event]
    output: list[dict[str, Any]]
    status: str = "completed"
    reason: str | None = None
    deltas: list[str] = field(default_factory=list)
    """What the stream's deltas say, in order."""


def message(*parts: dict[str, Any], status: str = "completed") -> dict[str, Any]:
    return {"type": "message", "status": status, "role": "assistant", "content": list(parts)}


def text(words: str, *notes: Any, probs: Any = ()) -> dict[str, Any]:
    return {"type": "output_text", "text": words, "annotations": [*notes], "logprobs": [*probs]}


def thought(*words: str, sealed: str | None = None) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": one} for one in words]
    return {"type": "reasoning", "summary": summary, "encrypted_content": sealed}


def call(call_id: str, name: str, arguments: str, status: str = "completed") -> dict[str, Any]:
    return {
        "type": "function_call",
        "status": status,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }


LINK = {"type": "url_citation", "url": "https://x", "title": "X", "start_index": 0, "end_index": 1}
FILE = {"type": "file_citation", "file_id": "", "filename": "D", "index": 1}

CASES = [
    Case("text", [START, TextGrows("a"), TextGrows("ü翼"), STOP, USED],
         [message(text("aü翼"))], deltas=["a", "ü翼"]),
    Case("nothing at all", [START, STOP], []),
    Case("no start", [TextGrows("a"), STOP], [message(text("a"))], deltas=["a"]),
    Case("usage before the end", [START, USED, TextGrows("a"), STOP], [message(text("a"))],
         deltas=["a"]),
    Case("two texts", [START, TextGrows("a"), PartEnds(), TextGrows("b"), STOP],
         [message(text("a"), text("b"))], deltas=["a", "b"]),
    Case("a thought, then text",
         [START, ThoughtGrows("h"), ThoughtGrows("m"), TextGrows("a"), STOP],
         [thought("hm"), message(text("a"))], deltas=["h", "m", "a"]),
    Case("a signed thought",
         [START, ThoughtGrows("hm"), Signed("S"), PartEnds(), TextGrows("a"), STOP],
         [thought("hm", sealed="S"), message(text("a"))], deltas=["hm", "a"]),
    Case("a signature in pieces", [START, ThoughtGrows("hm"), Signed("S"), Signed("T"), STOP],
         [thought("hm", sealed="ST")], deltas=["hm"]),
    Case("two thoughts", [START, ThoughtGrows("a"), PartEnds(), ThoughtGrows("b"), STOP],
         [thought("a"), thought("b")], deltas=["a", "b"]),
    Case("a thought whose words are kept back",
         [START, Signed("S"), PartEnds(), CallBegins(0, "c", "f"), CallGrows(0, "{}"),
          Ended("tool_calls")],
         [thought(sealed="signature:S"), call("c", "f", "{}")], deltas=["{}"]),
    Case("a redacted thought", [START, RedactedThought("R"), TextGrows("a"), STOP],
         [thought(sealed="R"), message(text("a"))], deltas=["a"]),
    Case("a call", [START, CallBegins(0, "c", "f"), CallGrows(0, '{"a"'), CallGrows(0, ":1}"),
                    Ended("tool_calls")],
         [call("c", "f", '{"a":1}')], deltas=['{"a"', ":1}"]),
    Case("text and two calls",
         [START, TextGrows("a"), CallBegins(0, "c", "f"), CallGrows(0, "{}"),
          CallBegins(1, "d", "g"), CallGrows(1, "[]"), Ended("tool_calls")],
         [message(text("a")), call("c", "f", "{}"), call("d", "g", "[]")],
         deltas=["a", "{}", "[]"]),
    Case("a call without arguments", [START, CallBegins(0, "c", "f"), Ended("tool_calls")],
         [call("c", "f", "{}")], deltas=["{}"]),
    Case("a call without an id",
         [START, CallBegins(0, "", "f"), CallGrows(0, "{}"), Ended("tool_calls")],
         [call("call_chatcmpl-7_0", "f", "{}")], deltas=["{}"]),
    Case("a signed call", [START, CallBegins(0, "c", "f", "S"), CallGrows(0, "{}"), STOP],
         [thought(sealed="call-signature:S"), call("c", "f", "{}")], deltas=["{}"]),
    Case("a call signed before it begins",
         [START, Signed("S"), CallBegins(0, "c", "f"), CallGrows(0, "{}"), STOP],
         [thought(sealed="call-signature:S"), call("c", "f", "{}")], deltas=["{}"]),
    Case("a refusal", [START, RefusalGrows("n"), RefusalGrows("o"), Ended("refusal")],
         [message({"type": "refusal", "refusal": "no"})], deltas=["n", "o"]),
    Case("a citation of a page", [START, TextGrows("a"), Cited(URL), STOP],
         [message(text("a", LINK))], deltas=["a"]),
    Case("a citation of a document, before its text", [START, Cited(PAGE), TextGrows("a"), STOP],
         [message(text("a", FILE))], deltas=["a"]),
    Case("log probabilities behind their text",
         [START, TextGrows("a"), LogProbs([PROB]), STOP],
         [message(text("a", probs=[json.loads(bytes(PROB))]))], deltas=["a"]),
    Case("the limit", [START, TextGrows("a"), Ended("length")],
         [message(text("a"), status="incomplete")], "incomplete", "max_output_tokens", ["a"]),
    Case("a call that was cut off",
         [START, CallBegins(0, "c", "f"), CallGrows(0, '{"a'), Ended("length")],
         [call("c", "f", '{"a', "incomplete")], "incomplete", "max_output_tokens", ['{"a']),
    Case("a full window", [START, TextGrows("a"), Ended("context_full")],
         [message(text("a"), status="incomplete")], "incomplete", "max_output_tokens", ["a"]),
    Case("a filter", [START, TextGrows("a"), Ended("content_filter")],
         [message(text("a"), status="incomplete")], "incomplete", "content_filter", ["a"]),
    Case("a model that declines without a word", [START, Ended("refusal")], [],
         "incomplete", "content_filter"),
    Case("a pause", [START, TextGrows("a"), Ended("pause")],
         [message(text("a"), status="incomplete")], "incomplete", None, ["a"]),
    Case("a broken form", [START, Ended("malformed", said="MALFORMED")], [], "incomplete"),
    Case("a reason that nobody knows", [START, TextGrows("a"), Ended("other", said="NEW")],
         [message(text("a"), status="incomplete")], "incomplete", None, ["a"]),
    Case("a stop sequence", [START, TextGrows("a"), Ended("stop_sequence", "END")],
         [message(text("a"))], deltas=["a"]),
]  # fmt: skip


def without_ids(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in item.items() if key != "id"} for item in items]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_answer_is_the_same_whole_and_streamed(case: Case) -> None:
    whole = write_whole(case.events)
    stream = read_stream(write_stream(case.events))
    last = stream[-1]
    assert last["type"] == f"response.{case.status}"
    assert without_ids(whole["output"]) == case.output
    started = START.id if START in case.events else None
    assert started is None or last["response"] == whole
    assert without_ids(last["response"]["output"]) == case.output
    assert (whole["status"], whole["incomplete_details"]) == (
        case.status,
        {"reason": case.reason} if case.status == "incomplete" else None,
    )
    assert [e["delta"] for e in stream if e["type"].endswith(".delta")] == case.deltas


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_stream_numbers_its_events_and_closes_what_it_opens(case: Case) -> None:
    stream = read_stream(write_stream(case.events))
    assert [event["sequence_number"] for event in stream] == list(range(len(stream)))
    kinds = [event["type"].removeprefix("response.") for event in stream]
    assert kinds[:2] == ["created", "in_progress"]
    opened: list[tuple[str, int]] = []
    for event, kind in zip(stream, kinds, strict=True):
        if kind.endswith(".added") and "annotation" not in kind:
            opened.append((kind.removesuffix(".added"), event["output_index"]))
        elif kind.endswith(("item.done", "part.done")):
            assert opened.pop() == (kind.removesuffix(".done"), event["output_index"])
    assert opened == []
    done = [event["item"] for event in stream if event["type"] == "response.output_item.done"]
    assert done == stream[-1]["response"]["output"]


class Client:
    """The official client, with the plane's writer instead of a network."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    def __enter__(self) -> openai.OpenAI:
        self._http = httpx2.Client(transport=httpx2.MockTransport(self._answer))
        return openai.OpenAI(
            api_key="x",
            base_url="http://plane/v1",
            http_client=self._http,
            max_retries=0,
            _strict_response_validation=True,
        )

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        kind = "text/event-stream" if body.get("stream") else "application/json"
        if body.get("stream"):
            content = write_stream(self._events, **{k: v for k, v in body.items() if k != "stream"})
        else:
            content = ResponsesWriter(ask_of(**body)).whole(self._events)
        return httpx2.Response(200, content=content, headers={"content-type": kind})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_official_client_takes_every_answer(case: Case) -> None:
    """With its strict validation: every field has the type that its own types say."""
    with Client(case.events) as client:
        whole = client.responses.create(model="m", input="x")
        kinds = [e.type for e in client.responses.create(model="m", input="x", stream=True)]
    assert whole.status == case.status
    assert kinds[-1] == f"response.{case.status}"
    texts = [p["text"] for i in case.output for p in i.get("content", ()) if "text" in p]
    assert whole.output_text == "".join(texts)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.status == "completed"], ids=lambda case: case.name
)
def test_the_clients_stream_helper_puts_the_same_response_together(case: Case) -> None:
    with Client(case.events) as client, client.responses.stream(model="m", input="x") as stream:
        final = stream.get_final_response()
    found = [item.to_dict(mode="json", exclude_unset=True) for item in final.output]
    for item in found:
        item.pop("parsed_arguments", None)  # the client's own
        for part in item.get("content", ()):  # type: ignore[attr-defined]
            part.pop("parsed", None)
    assert without_ids(found) == case.output


class Place(pydantic.BaseModel):
    """What a client wants."""

    name: str
    days: int


def test_the_client_parses_json_into_its_model() -> None:
    events: list[Event] = [START, TextGrows('{"name":"x",'), TextGrows('"days":3}'), STOP, USED]
    with Client(events) as client:
        whole = client.responses.parse(model="m", input="x", text_format=Place)
        with client.responses.stream(model="m", input="x", text_format=Place) as stream:
            streamed = stream.get_final_response()
    assert whole.output_parsed == streamed.output_parsed == Place(name="x", days=3)


def test_the_object_says_what_was_asked_and_what_was_used() -> None:
    used = Usage(10, 5, 2, Detail(cache_write=1, cache_write_1h=2, reasoning=4, service="flex"))
    body = {
        "instructions": "be kind",
        "temperature": 0.5,
        "tools": [{"type": "function", "name": "f", "parameters": {"b": 1, "a": 2}}],
        "metadata": {"z": "1"},
        "service_tier": "auto",
    }
    found = write_whole([START, TextGrows("a"), STOP, Used(used)], **body)
    assert {name: found[name] for name in body} == body | {"service_tier": "flex"}
    assert found["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 3},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 15,
    }
    assert (found["id"], found["created_at"], found["model"]) == (
        "resp_chatcmpl-7",
        1_700_000_000,
        "real-model",
    )


def test_what_nobody_knows_is_absent() -> None:
    found = write_whole([TextGrows("a"), STOP])
    assert found["usage"] is None
    assert (found["created_at"], found["model"]) == (1, "m")
    assert found["id"].startswith("resp_")
    assert "service_tier" not in found


EVERY_EVENT: list[Event] = [
    START, ThoughtGrows("h"), Signed("S"), PartEnds(), RedactedThought("R"), TextGrows("a"),
    LogProbs([PROB]), TextGrows("b"), Cited(URL), PartEnds(), RefusalGrows("no"),
    CallBegins(0, "c", "f", "T"), CallGrows(0, "{"), CallGrows(0, "}"), CallBegins(1, "d", "g"),
    Used(Usage(1, 2)), Ended("tool_calls"), USED,
]  # fmt: skip


@given(st.lists(st.integers(0, len(EVERY_EVENT)), max_size=8))
@settings(max_examples=60, deadline=None)
def test_a_stream_is_the_same_however_its_events_come(cuts: list[int]) -> None:
    """Log probabilities come with their text, as one chunk of the provider's brings both."""
    at = EVERY_EVENT.index(next(e for e in EVERY_EVENT if isinstance(e, LogProbs)))
    borders = sorted({0, len(EVERY_EVENT), *(cut for cut in cuts if cut != at)})
    writer = ResponsesWriter(ask_of(stream=True), wall=lambda: 1.0)
    pieces = [writer.stream(EVERY_EVENT[a:b]) for a, b in itertools.pairwise(borders)]
    whole = ResponsesWriter(ask_of(stream=True), wall=lambda: 1.0)
    assert b"".join(pieces) + writer.end() == whole.stream(EVERY_EVENT) + whole.end()


def test_log_probabilities_before_their_text_stay_with_it() -> None:
    other = msgspec.Raw(bytes(PROB).replace(b"-0.5", b"-0.75"))
    events: list[Event] = [
        START,
        LogProbs([PROB]),
        TextGrows("a"),
        LogProbs([other]),
        TextGrows("b"),
        STOP,
    ]
    stream = ResponsesWriter(ask_of(stream=True)).stream(events)
    found = [e for e in read_stream(stream) if e["type"].endswith("text.delta")]
    assert [(e["delta"], e["logprobs"][0]["logprob"]) for e in found] == [("a", -0.5), ("b", -0.75)]


def test_arguments_without_a_call_are_no_answer() -> None:
    with pytest.raises(ProtocolError):
        write_whole([START, CallGrows(0, "{}")])


SIGNED = [
    ("a signed thought", [ThoughtGrows("hm"), Signed("S"), PartEnds()], Thinking("hm", "S")),
    ("an unsigned thought", [ThoughtGrows("hm")], Thinking("hm")),
    ("a thought without words", [Signed("S"), PartEnds()], Thinking("", "S")),
    ("a redacted thought", [RedactedThought("R")], Redacted("R")),
    ("text", [TextGrows("a")], Text("a")),
    ("a refusal", [RefusalGrows("no")], Refusal("no")),
    ("a call", [CallBegins(0, "c", "f"), CallGrows(0, '{"a":1}')], ToolCall("c", "f", '{"a":1}')),
    ("a signed call", [CallBegins(0, "c", "f", "S")], ToolCall("c", "f", "{}", "S")),
]


@pytest.mark.parametrize(("name", "events", "want"), SIGNED, ids=[one[0] for one in SIGNED])
def test_what_a_client_sends_back_is_what_the_provider_said(
    name: str, events: list[Event], want: Any
) -> None:
    """Signatures intact: the provider refuses a thought that comes back otherwise."""
    output = write_whole([START, *events, STOP])["output"]
    with_question = [{"role": "user", "content": "x"}, *output]
    back = responses.read(ask_of(input=with_question).fields).messages
    assert back == [Message("user", [Text("x")]), Message("assistant", [want])]


ERRORS: list[tuple[Callable[[], PlaneError], str, str]] = [
    (lambda: BadRequest("No.", param="tools", reason="body-invalid"), "body-invalid", "tools"),
    (lambda: RateLimited("Slow."), "rate_limit_exceeded", ""),
    (lambda: Overloaded("Full.", reason="upstream-overloaded"), "upstream-overloaded", ""),
    (lambda: ServerError("Broke.", next_step="Try again."), "server_error", ""),
]


@pytest.mark.parametrize(("make", "code", "param"), ERRORS)
def test_an_error_has_the_shape_that_clients_read(
    make: Callable[[], PlaneError], code: str, param: str
) -> None:
    body = json.loads(responses.error_body(make()))["error"]
    assert (body["code"], body["param"] or "") == (code, param)
    (event,) = read_stream(responses.error_event(make()))
    assert event["type"] == "error"
    assert (event["code"], event["message"], event["error"]) == (code, body["message"], body)


def test_the_official_client_raises_an_error_inside_a_stream() -> None:
    failed = responses.error_event(ServerError("It broke."))

    def answer(_: httpx2.Request) -> httpx2.Response:
        begun = ResponsesWriter(ask_of(stream=True)).stream([START, TextGrows("a")])
        headers = {"content-type": "text/event-stream"}
        return httpx2.Response(200, content=begun + failed, headers=headers)

    with httpx2.Client(transport=httpx2.MockTransport(answer)) as http:
        client = openai.OpenAI(api_key="x", base_url="http://plane/v1", http_client=http)
        stream = client.responses.create(model="m", input="x", stream=True)
        with pytest.raises(openai.APIError, match="It broke"):
            list(_types(stream))


def _types(stream: Any) -> Iterator[str]:
    for event in stream:
        yield event.type
