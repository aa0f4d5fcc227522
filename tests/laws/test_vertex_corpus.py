"""Answers of Gemini on Vertex AI, as its documentation, its SDK and public reports show them, each
with what it means: words, thoughts, calls, the end, and the bill in normal form."""

import json
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.parts.errors import (
    ContextTooLong,
    Overloaded,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    ServerError,
    Upstream,
)
from towplane.parts.usage import Detail, Usage
from towplane.providers.adapter import Place
from towplane.providers.conversation.answer import (
    CallBegins,
    CallGrows,
    Cited,
    Ended,
    Event,
    Failed,
    Finish,
    LogProbs,
    Signed,
    Started,
    TextGrows,
    ThoughtGrows,
    Used,
)
from towplane.providers.vertex import ADAPTER
from towplane.providers.vertex.contents import OWN

PLACE = Place("vertex/gemini", "gemini-2.5-flash", options={"project": "acme"})
GEMINI_3 = Place("vertex/gemini", "gemini-3.1-pro-preview", options={"project": "acme"})
JSON = dict[str, Any]


@dataclass
class Heard:
    """What an answer says, put together."""

    text: str = ""
    thoughts: str = ""
    signatures: list[str] = field(default_factory=list)
    calls: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Id, name, arguments, signature."""
    finish: Finish | None = None
    said: str = ""
    usage: Usage | None = None
    model: str = ""
    others: dict[int, tuple[str, Finish | None]] = field(default_factory=dict)
    """Text and finish of the choices after the first."""
    sources: list[tuple[str, str]] = field(default_factory=list)
    tokens: list[tuple[str, float, int]] = field(default_factory=list)
    """Token, log probability, how many rivals."""
    failed: type[Upstream] | None = None


def hear(events: list[Event]) -> Heard:
    """Put events together as a careful reader does."""
    heard = Heard()
    for event in events:
        choice = getattr(event, "choice", 0)
        if choice:
            text, finish = heard.others.get(choice, ("", None))
            text += event.text if isinstance(event, TextGrows) else ""
            finish = event.reason if isinstance(event, Ended) else finish
            heard.others[choice] = (text, finish)
            continue
        match event:
            case Started(model=model):
                heard.model = model
            case TextGrows(text=text):
                assert text
                heard.text += text
            case ThoughtGrows(text=text):
                assert text
                heard.thoughts += text
            case Signed(signature=signature):
                heard.signatures.append(signature)
            case CallBegins(id=call_id, name=name, signature=signature):
                heard.calls.append((call_id, name, "", signature))
            case CallGrows(arguments=arguments):
                call_id, name, before, signature = heard.calls[-1]
                heard.calls[-1] = (call_id, name, before + arguments, signature)
            case Ended(reason=reason, said=said):
                assert heard.finish is None, "a choice ends once"
                heard.finish, heard.said = reason, said
            case Used(usage=usage, is_final=True):
                heard.usage = usage
            case Cited(citation=raw):
                citation = json.loads(bytes(raw))
                heard.sources.append((citation["url"], citation["cited_text"]))
            case LogProbs(content=content):
                for one in content:
                    token = json.loads(bytes(one))
                    assert bytes(token["bytes"]).decode() == token["token"]
                    rivals = len(token["top_logprobs"])
                    heard.tokens.append((token["token"], token["logprob"], rivals))
            case Failed(error=error):
                assert event is events[-1], "nothing follows a failure"
                heard.failed = type(error)
    return heard


def read(stream: bytes, place: Place = PLACE) -> Heard:
    """A whole stream at once."""
    parser = ADAPTER.make_parser(place, True)
    events = parser.feed(stream)
    if not any(isinstance(event, Failed) for event in events):
        events += parser.close()
    return hear(events)


def sse(*documents: JSON, end: str = "\r\n") -> bytes:
    """As `alt=sse` writes them."""
    return "".join(f"data: {json.dumps(one)}{end}{end}" for one in documents).encode()


def body(*parts: JSON, finish: str | None = "STOP", usage: JSON | None = None, **more: Any) -> JSON:
    """An answer with these parts in its one candidate."""
    candidate: JSON = {"content": {"role": "model", "parts": list(parts)}} | more
    if finish is not None:
        candidate["finishReason"] = finish
    found: JSON = {
        "candidates": [candidate],
        "modelVersion": "gemini-2.5-flash",
        "createTime": "2026-11-23T15:59:39.123456Z",
        "responseId": "y6Z3aKjJN6KfmecP5oTQqAE",
    }
    return found | ({"usageMetadata": usage} if usage is not None else {})


# The bill -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bill:
    """Counters as they come, and in normal form."""

    name: str
    given: JSON
    want: Usage | None


def counted(prompt: int, said: int | None, total: int | None, **more: Any) -> JSON:
    found: JSON = {"promptTokenCount": prompt} | more
    if said is not None:
        found["candidatesTokenCount"] = said
    return found | ({"totalTokenCount": total} if total is not None else {})


def by(modality: str, tokens: int) -> JSON:
    return {"modality": modality, "tokenCount": tokens}


BILLS = [
    Bill("plain", counted(9, 20, 29), Usage(9, 20)),
    Bill("no total", counted(9, 20, None), Usage(9, 20)),
    Bill(
        "thoughts beside the candidates",
        counted(9, 20, 129, thoughtsTokenCount=100),
        Usage(9, 120, 0, Detail(reasoning=100)),
    ),
    Bill(
        "thoughts inside the candidates, as the total shows",
        counted(9, 120, 129, thoughtsTokenCount=100),
        Usage(9, 120, 0, Detail(reasoning=100)),
    ),
    Bill(
        "thoughts without a total stand beside",
        counted(9, 20, None, thoughtsTokenCount=100),
        Usage(9, 120, 0, Detail(reasoning=100)),
    ),
    Bill(
        "a total that fits neither way: beside",
        counted(9, 20, 131, thoughtsTokenCount=100),
        Usage(9, 120, 0, Detail(reasoning=100)),
    ),
    Bill(
        "only thoughts: cut before the first word",
        counted(9, None, 1009, thoughtsTokenCount=1000),
        Usage(9, 1000, 0, Detail(reasoning=1000)),
    ),
    Bill(
        "only thoughts, no total",
        counted(9, None, None, thoughtsTokenCount=7),
        Usage(9, 7, 0, Detail(reasoning=7)),
    ),
    Bill("candidates left out, the total has them", counted(9, None, 29), Usage(9, 20)),
    Bill("nothing was said", counted(9, None, 9), Usage(9, 0)),
    Bill("nothing was said, no total", counted(9, None, None), Usage(9, 0)),
    Bill("zero candidates", counted(9, 0, 9), Usage(9, 0)),
    Bill("cached inside", counted(2000, 5, 2005, cachedContentTokenCount=1900),
         Usage(2000, 5, 1900)),
    Bill("all of it cached", counted(2000, 5, 2005, cachedContentTokenCount=2000),
         Usage(2000, 5, 2000)),
    Bill(
        "cached and thoughts",
        counted(2000, 5, 2015, cachedContentTokenCount=1900, thoughtsTokenCount=10),
        Usage(2000, 15, 1900, Detail(reasoning=10)),
    ),
    Bill(
        "tool prompts stand beside the prompt",
        counted(20, 30, 450, toolUsePromptTokenCount=400),
        Usage(420, 30, 0, Detail(tool_input=400)),
    ),
    Bill(
        "tool prompts and thoughts beside",
        counted(20, 30, 460, toolUsePromptTokenCount=400, thoughtsTokenCount=10),
        Usage(420, 40, 0, Detail(tool_input=400, reasoning=10)),
    ),
    Bill(
        "tool prompts, thoughts inside",
        counted(20, 40, 460, toolUsePromptTokenCount=400, thoughtsTokenCount=10),
        Usage(420, 40, 0, Detail(tool_input=400, reasoning=10)),
    ),
    Bill(
        "text only in the details is nothing special",
        counted(9, 20, 29, promptTokensDetails=[by("TEXT", 9)],
                candidatesTokensDetails=[by("TEXT", 20)]),
        Usage(9, 20),
    ),
    Bill(
        "a picture in the prompt",
        counted(267, 20, 287, promptTokensDetails=[by("TEXT", 9), by("IMAGE", 258)]),
        Usage(267, 20, 0, Detail(image_input=258)),
    ),
    Bill(
        "sound in the prompt",
        counted(41, 20, 61, promptTokensDetails=[by("AUDIO", 32), by("TEXT", 9)]),
        Usage(41, 20, 0, Detail(audio_input=32)),
    ),
    Bill(
        "two entries of one modality",
        counted(525, 1, 526, promptTokensDetails=[by("IMAGE", 258), by("IMAGE", 267)]),
        Usage(525, 1, 0, Detail(image_input=525)),
    ),
    Bill(
        "a film and a document have no price of their own",
        counted(300, 1, 301, promptTokensDetails=[by("VIDEO", 200), by("DOCUMENT", 100)]),
        Usage(300, 1),
    ),
    Bill(
        "a picture that a tool put in",
        counted(9, 1, 268, toolUsePromptTokenCount=258,
                toolUsePromptTokensDetails=[by("IMAGE", 258)]),
        Usage(267, 1, 0, Detail(image_input=258, tool_input=258)),
    ),
    Bill(
        "sound in the answer",
        counted(9, 75, 84, candidatesTokensDetails=[by("AUDIO", 75)]),
        Usage(9, 75, 0, Detail(audio_output=75)),
    ),
    Bill(
        "pictures in the answer",
        counted(9, 1310, 1319, candidatesTokensDetails=[by("IMAGE", 1290), by("TEXT", 20)]),
        Usage(9, 1310, 0, Detail(image_output=1290)),
    ),
    Bill("an unknown modality", counted(9, 20, 29, promptTokensDetails=[by("SMELL", 3)]),
         Usage(9, 20)),
    Bill("a detail without a count",
         counted(9, 20, 29, promptTokensDetails=[{"modality": "AUDIO"}]), Usage(9, 20)),
    Bill("on demand", counted(9, 20, 29, trafficType="ON_DEMAND"), Usage(9, 20)),
    Bill("priority", counted(9, 20, 29, trafficType="ON_DEMAND_PRIORITY"),
         Usage(9, 20, 0, Detail(service="priority"))),
    Bill("flex", counted(9, 20, 29, trafficType="ON_DEMAND_FLEX"),
         Usage(9, 20, 0, Detail(service="flex"))),
    Bill("off-peak has no class of its own",
         counted(9, 20, 29, trafficType="ON_DEMAND_OFFPEAK"), Usage(9, 20)),
    Bill("provisioned", counted(9, 20, 29, trafficType="PROVISIONED_THROUGHPUT"),
         Usage(9, 20, 0, Detail(service="provisioned"))),
    Bill("an unknown class", counted(9, 20, 29, trafficType="ON_MOON"), Usage(9, 20)),
    Bill(
        "everything at once",
        counted(1000, 50, 1570, trafficType="ON_DEMAND_FLEX", cachedContentTokenCount=600,
                thoughtsTokenCount=120, toolUsePromptTokenCount=400,
                promptTokensDetails=[by("TEXT", 700), by("AUDIO", 300)],
                candidatesTokensDetails=[by("TEXT", 50)]),
        Usage(1400, 170, 600,
              Detail(reasoning=120, audio_input=300, tool_input=400, service="flex")),
    ),
    Bill("the price class alone says nothing of tokens", {"trafficType": "ON_DEMAND"}, None),
    Bill("a total alone says nothing", {"totalTokenCount": 29}, None),
    Bill("an empty object", {}, None),
    Bill("a new counter beside", counted(9, 20, 29, dreamTokenCount=5), Usage(9, 20)),
    Bill("nulls", counted(9, 20, 29, thoughtsTokenCount=None, cachedContentTokenCount=None),
         Usage(9, 20)),
]  # fmt: skip


@pytest.mark.parametrize("bill", BILLS, ids=lambda bill: bill.name)
def test_the_bill_of_an_answer(bill: Bill) -> None:
    given = json.dumps(body({"text": "up"}, usage=bill.given)).encode()
    heard = hear(ADAPTER.make_parser(PLACE, False).whole(given))
    assert (heard.usage, heard.text, heard.finish) == (bill.want, "up", "stop")


@pytest.mark.parametrize("bill", BILLS, ids=lambda bill: bill.name)
def test_the_bill_of_a_stream_is_its_last(bill: Bill) -> None:
    """Earlier counters are replaced, never added; a price class alone replaces nothing."""
    early = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    stream = sse(
        body({"text": "u"}, finish=None, usage={"trafficType": "ON_DEMAND"}),
        body({"text": "p"}, finish=None, usage=early),
        body({"text": "."}, usage=bill.given),
    )
    heard = read(stream)
    want = bill.want if bill.want is not None else Usage(1, 1)
    assert (heard.usage, heard.text, heard.finish) == (want, "up.", "stop")


# The end --------------------------------------------------------------------------------------

ENDS: dict[str, Finish] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "other",
    "OTHER": "other",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MALFORMED_FUNCTION_CALL": "malformed",
    "MALFORMED_RESPONSE": "malformed",
    "UNEXPECTED_TOOL_CALL": "malformed",
    "TOO_MANY_TOOL_CALLS": "malformed",
    "MISSING_THOUGHT_SIGNATURE": "other",
    "MODEL_ARMOR": "content_filter",
    "ESCALATION": "other",
    "CONTINUATION": "pause",
    "NO_IMAGE": "other",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "IMAGE_OTHER": "other",
    "PUP_LIMITED_DISABLED": "other",
    "TIRED_OF_IT": "other",
}


@pytest.mark.parametrize("said", ENDS)
def test_the_end_of_an_answer(said: str) -> None:
    """Every word of Google's, and one that is not there yet; the word itself is kept."""
    heard = read(sse(body({"text": "up"}, finish=said, usage=counted(9, 1, 10))))
    assert (heard.finish, heard.said, heard.usage) == (ENDS[said], said, Usage(9, 1))


BLOCKS = ["SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY", "MODEL_ARMOR",
          "JAILBREAK", "A_WORD_OF_TOMORROW"]  # fmt: skip


@pytest.mark.parametrize("reason", BLOCKS)
def test_a_blocked_prompt_ends_by_the_filter(reason: str) -> None:
    """There are no candidates then; what was read is billed."""
    given = {
        "promptFeedback": {"blockReason": reason, "blockReasonMessage": "no"},
        "usageMetadata": counted(9, None, 9),
    }
    want = Heard(finish="content_filter", said=reason, usage=Usage(9, 0))
    assert read(sse(given)) == want
    assert hear(ADAPTER.make_parser(PLACE, False).whole(json.dumps(given).encode())) == want


# What is said ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """Chunks of a stream, and what they say together."""

    name: str
    chunks: list[JSON]
    want: Heard
    place: Place = PLACE


SAID = Heard(finish="stop", said="STOP", model="gemini-2.5-flash")
ID = "call_y6Z3aKjJN6KfmecP5oTQqAE_0_"


def call(name: str, args: JSON | None = None, **more: Any) -> JSON:
    inner: JSON = {"name": name} | ({"args": args} if args is not None else {})
    signature = more.pop("signature", None)
    found: JSON = {"functionCall": inner | more}
    return found | ({"thoughtSignature": signature} if signature else {})


def thought(text: str, **more: Any) -> JSON:
    return {"text": text, "thought": True} | more


def calls(*made: tuple[str, str, str, str], **more: Any) -> Heard:
    return replace(SAID, finish="tool_calls", calls=list(made), **more)


CASES = [
    Case("one word", [body({"text": "up"})], replace(SAID, text="up")),
    Case("two parts", [body({"text": "u"}, {"text": "p"})], replace(SAID, text="up")),
    Case("nothing at all", [body()], SAID),
    Case("a content without parts", [{"candidates": [{"content": {"role": "model"},
         "finishReason": "STOP"}]}], replace(SAID, model="")),
    Case("a candidate without content", [{"candidates": [{"finishReason": "SAFETY"}]}],
         replace(SAID, finish="content_filter", said="SAFETY", model="")),
    Case("an empty text is no token", [body({"text": ""}, {"text": "up"})],
         replace(SAID, text="up")),
    Case("words of all the world", [body({"text": "höhe 翼 🛩️ \u2028 \"}\\"})],
         replace(SAID, text="höhe 翼 🛩️ \u2028 \"}\\")),
    Case("an event within the text", [body({"text": "data: {}\n\ndata: [DONE]\r\n\r\n"})],
         replace(SAID, text="data: {}\n\ndata: [DONE]\r\n\r\n")),
    Case("a thought, then words", [body(thought("hm")), body({"text": "up"})],
         replace(SAID, thoughts="hm", text="up")),
    Case("a thought in pieces",
         [body(thought("h"), finish=None), body(thought("m"), {"text": "up"})],
         replace(SAID, thoughts="hm", text="up")),
    Case("an empty thought", [body(thought(""), {"text": "up"})], replace(SAID, text="up")),
    Case("a signed thought", [body(thought("hm", thoughtSignature="c2ln"), {"text": "up"})],
         replace(SAID, thoughts="hm", text="up", signatures=[OWN + "c2ln"])),
    Case("signed words", [body({"text": "up", "thoughtSignature": "c2ln"})],
         replace(SAID, text="up", signatures=[OWN + "c2ln"])),
    Case("a signature on an empty last text",
         [body({"text": "up"}, finish=None), body({"text": "", "thoughtSignature": "c2ln"})],
         replace(SAID, text="up", signatures=[OWN + "c2ln"])),
    Case("a signature on nothing", [body({"thoughtSignature": "c2ln"})],
         replace(SAID, signatures=[OWN + "c2ln"])),
    Case("a part that says nothing", [body({}, {"text": "up"})], replace(SAID, text="up")),
    Case("a part with fields of tomorrow", [body({"text": "up", "smell": {"x": 1}})],
         replace(SAID, text="up")),
    Case("a call", [body(call("lift", {"m": 3}))], calls((ID + "0", "lift", '{"m": 3}', ""))),
    Case("a call without arguments", [body(call("lift"))], calls((ID + "0", "lift", "{}", ""))),
    Case("a call with empty arguments", [body(call("lift", {}))],
         calls((ID + "0", "lift", "{}", ""))),
    Case("a call keeps the order and digits of its arguments",
         [body(call("lift", {"z": 12345678901234567890, "a": [1.50, None, {"é": "ü"}]}))],
         calls((ID + "0", "lift",
                '{"z": 12345678901234567890, "a": [1.5, null, {"\\u00e9": "\\u00fc"}]}', ""))),
    Case("a call with an id of its own", [body(call("lift", {}, id="vrdx6n2w"))],
         calls(("vrdx6n2w", "lift", "{}", "")), GEMINI_3),
    Case("an empty id is none", [body(call("lift", {}, id=""))],
         calls((ID + "0", "lift", "{}", ""))),
    Case("two calls in one chunk", [body(call("lift", {}), call("land", {}))],
         calls((ID + "0", "lift", "{}", ""), (ID + "1", "land", "{}", ""))),
    Case("two calls in two chunks", [body(call("lift", {}), finish=None), body(call("lift", {}))],
         calls((ID + "0", "lift", "{}", ""), (ID + "1", "lift", "{}", ""))),
    Case("the signature stands on the first of parallel calls",
         [body(call("lift", {}, signature="c2ln"), call("land", {}))],
         calls((ID + "0", "lift", "{}", "c2ln"), (ID + "1", "land", "{}", ""))),
    Case("words, then a call", [body({"text": "now"}, finish=None), body(call("lift", {}))],
         calls((ID + "0", "lift", "{}", ""), text="now")),
    Case("a thought, then a signed call",
         [body(thought("hm"), finish=None), body(call("lift", {}, signature="c2ln"))],
         calls((ID + "0", "lift", "{}", "c2ln"), thoughts="hm")),
    Case("a call and the end of the tokens", [body(call("lift", {}), finish="MAX_TOKENS")],
         replace(calls((ID + "0", "lift", "{}", "")), finish="length", said="MAX_TOKENS")),
    Case("the finish comes in a chunk of its own", [body({"text": "up"}, finish=None), body()],
         replace(SAID, text="up")),
    Case("every chunk says STOP", [body({"text": "u"}), body({"text": "p"})],
         replace(SAID, text="up")),
    Case("an unspecified reason is none",
         [body({"text": "u"}, finish="FINISH_REASON_UNSPECIFIED"), body({"text": "p"})],
         replace(SAID, text="up")),
    Case("usage in a chunk after the finish",
         [body({"text": "up"}), {"usageMetadata": counted(9, 1, 10)}],
         replace(SAID, text="up", usage=Usage(9, 1))),
    Case("a price class after the bill changes nothing",
         [body({"text": "up"}, usage=counted(9, 1, 10)),
          {"usageMetadata": {"trafficType": "ON_DEMAND"}}],
         replace(SAID, text="up", usage=Usage(9, 1))),
    Case("two candidates",
         [{"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"},
                          {"content": {"parts": [{"text": "b"}]}, "finishReason": "MAX_TOKENS",
                           "index": 1}]}],
         replace(SAID, text="a", model="", others={1: ("b", "length")})),
    Case("two candidates in turn",
         [body({"text": "a"}), body({"text": "b"}, finish=None, index=1),
          body({"text": "c"}, index=1)],
         replace(SAID, text="a", others={1: ("bc", "stop")})),
    Case("log probabilities",
         [body({"text": "up"}, logprobsResult={
             "chosenCandidates": [{"token": "u", "tokenId": 7, "logProbability": -0.5},
                                  {"token": "p", "logProbability": -1}],
             "topCandidates": [{"candidates": [{"token": "u", "logProbability": -0.5},
                                               {"token": "d", "logProbability": -2}]}]})],
         replace(SAID, text="up", tokens=[("u", -0.5, 2), ("p", -1, 0)])),
    Case("log probabilities of nothing", [body({"text": "up"}, logprobsResult={})],
         replace(SAID, text="up")),
    Case("a recitation",
         [body({"text": "up"}, citationMetadata={"citations": [
             {"startIndex": 0, "endIndex": 2, "uri": "https://a.example", "license": "mit"}]})],
         replace(SAID, text="up", sources=[("https://a.example", "")])),
    Case("a citation that names nothing",
         [body({"text": "up"}, citationMetadata={"citations": [{"endIndex": 2}]})],
         replace(SAID, text="up")),
    Case("a search",
         [body({"text": "up"}, finish=None),
          body({"text": ""}, usage=counted(9, 1, 10), groundingMetadata={
              "webSearchQueries": ["how high", "how far"],
              "searchEntryPoint": {"renderedContent": "<div>"},
              "groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}},
                                  {"retrievedContext": {"uri": "gs://b/c", "title": "C"}}],
              "groundingSupports": [
                  {"segment": {"endIndex": 2, "text": "up"}, "groundingChunkIndices": [0, 1, 7],
                   "confidenceScores": [0.9]}]})],
         replace(SAID, text="up", usage=Usage(9, 1, 0, Detail(searches=1)),
                 sources=[("https://a.example", "up"), ("gs://b/c", "up")])),
    Case("a search of Gemini 3 is billed by query",
         [body({"text": "up"}, usage=counted(9, 1, 10),
               groundingMetadata={"webSearchQueries": ["how high", "how far"]})],
         replace(SAID, text="up", usage=Usage(9, 1, 0, Detail(searches=2))), GEMINI_3),
    Case("safety ratings say nothing",
         [body({"text": "up"}, safetyRatings=[{"category": "HARM_CATEGORY_HARASSMENT",
                                               "probability": "NEGLIGIBLE", "blocked": False}],
               avgLogprobs=-0.01)],
         replace(SAID, text="up")),
    Case("feedback without a reason",
         [body({"text": "up"}) | {"promptFeedback": {"safetyRatings": []}}],
         replace(SAID, text="up")),
]  # fmt: skip


def ids(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_what_a_stream_says(case: Case) -> None:
    assert read(sse(*case.chunks), case.place) == case.want


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_the_same_without_server_sent_events(case: Case) -> None:
    """Without `alt=sse` the chunks come as one array, indented, whatever asked for it."""
    array = json.dumps(case.chunks, indent=2).encode()
    assert compact(read(array, case.place)) == compact(case.want)
    whole = ADAPTER.make_parser(case.place, False).whole(array)
    assert compact(hear(whole)) == compact(case.want)


def compact(heard: Heard) -> Heard:
    """Indented arguments are written without spaces; JSON is the same."""
    return replace(heard, calls=[(i, n, json.loads(a), s) for i, n, a, s in heard.calls])


# Failures inside a 200 ------------------------------------------------------------------------


def status(code: int, name: str, message: str, *details: JSON) -> JSON:
    return {"error": {"code": code, "message": message, "status": name, "details": list(details)}}


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"}
DAILY = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel", "subject": "p"}],
}
LONG = "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576)."
FAILURES: dict[str, tuple[JSON, type[Upstream]]] = {
    "too fast": (status(429, "RESOURCE_EXHAUSTED", "Resource exhausted.", RETRY), RateLimited),
    "for the day": (status(429, "RESOURCE_EXHAUSTED", "Quota.", DAILY), QuotaExhausted),
    "full": (status(503, "UNAVAILABLE", "The model is overloaded."), Overloaded),
    "broken": (status(500, "INTERNAL", "Internal error encountered."), ServerError),
    "slow": (status(504, "DEADLINE_EXCEEDED", "Deadline expired."), ServerError),
    "cancelled": (status(499, "CANCELLED", "The operation was cancelled."), ServerError),
    "too long": (status(400, "INVALID_ARGUMENT", LONG), ContextTooLong),
    "nothing known": ({"error": {}}, ServerError),
    "a code alone": ({"error": {"code": 503}}, Overloaded),
}


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("framing", ["event", "plain", "array"])
@pytest.mark.parametrize("words", [0, 2])
def test_a_failure_inside_a_stream(name: str, framing: str, words: int) -> None:
    """As an event, as plain JSON over several lines, or in an array, before or after words; what
    was used up to there is told."""
    said, want = FAILURES[name]
    before = [body({"text": "up"}, finish=None, usage=counted(9, n, 9 + n)) for n in (1, 2)][:words]
    after = {
        "event": sse(said),
        "plain": json.dumps(said, indent=2).encode() + b"\n",
        "array": json.dumps([said], indent=2).encode(),
    }[framing]
    parser = ADAPTER.make_parser(PLACE, True)
    events = parser.feed(sse(*before) + after)
    if not any(isinstance(event, Failed) for event in events):
        events += parser.close()
    heard = hear(events)
    usage = Usage(9, 2) if words else None
    assert (heard.failed, heard.text, heard.usage) == (want, "up" * words, usage)
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert failed.error.in_stream


def test_a_delay_inside_a_stream_is_heard() -> None:
    parser = ADAPTER.make_parser(PLACE, True)
    (event,) = parser.feed(sse(FAILURES["too fast"][0]))
    assert isinstance(event, Failed)
    assert event.error.after_s == 34.4


@pytest.mark.parametrize(
    "part",
    [
        {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
        {"fileData": {"mimeType": "image/png", "fileUri": "gs://b/c"}},
        {"executableCode": {"language": "PYTHON", "code": "1+1"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}},
    ],
)
def test_what_cannot_be_passed_on_is_a_failure_with_its_name(part: JSON) -> None:
    """It was billed, so the bill is told; nothing is left out in silence."""
    heard = read(sse(body({"text": "see"}, part, usage=counted(9, 1300, 1309))))
    assert (heard.failed, heard.text, heard.usage) == (ProtocolError, "see", Usage(9, 1300))


BROKEN = {
    "nothing": b"",
    "only a comment": b": ping\r\n\r\n",
    "no finish": sse(body({"text": "up"}, finish=None)),
    "one of two choices": sse(body({"text": "a"}), body({"text": "b"}, finish=None, index=1)),
    "no candidate and no reason": sse({"usageMetadata": counted(9, 0, 9)}),
    "cut in the text": sse(body({"text": "up"}))[:60],
    "cut in the last event": sse(body({"text": "u"}, finish=None), body({"text": "p"}))[:-40],
    "cut in an array": json.dumps([body({"text": "up"})]).encode()[:-5],
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_stream_that_is_cut_is_no_answer(name: str) -> None:
    with pytest.raises(ProtocolError) as wrong:
        read(BROKEN[name])
    assert wrong.value.reason == "upstream-truncated"


@pytest.mark.parametrize(
    "given", [b"", b"<html>", b"[]", b"null", b'"x"', b"{", b'{"candidates":3}', b"\xff\xfe"]
)
def test_what_is_no_answer_is_a_broken_protocol(given: bytes) -> None:
    with pytest.raises(ProtocolError):
        ADAPTER.make_parser(PLACE, False).whole(given)


def test_an_end_without_its_blank_line_is_an_end() -> None:
    """The connection closed properly after a whole document."""
    assert read(sse(body({"text": "up"})).rstrip()) == replace(SAID, text="up")


# Cuts -----------------------------------------------------------------------------------------

STREAMS = [
    *((case.name, sse(*case.chunks), case.place) for case in CASES),
    *((f"{case.name}, LF", sse(*case.chunks, end="\n"), case.place) for case in CASES[:20]),
    *((f"{case.name}, array", json.dumps(case.chunks).encode(), case.place) for case in CASES),
    *((name, sse(body({"text": "ü"}, finish=None)) + json.dumps(said, indent=1).encode(), PLACE)
      for name, (said, _) in FAILURES.items()),
    ("comments", b": hello\r\n\r\nevent: x\r\nid: 1\r\n" + sse(body({"text": "翼"})) + b":\n",
     PLACE),
    ("data in two lines", b'data: {"candidates":[{"content":{"parts":[{"text":"up"}]},\r\n'
     b'data: "finishReason":"STOP"}]}\r\n\r\n', PLACE),
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(STREAMS), st.data())
def test_any_cut_of_a_stream_says_the_same(
    named: tuple[str, bytes, Place], data: st.DataObject
) -> None:
    """The same events but for their number: bytes are cut between letters, in escapes, in CR LF."""
    _, stream, place = named
    places = st.lists(st.integers(0, len(stream)), max_size=12)
    cuts = sorted({0, len(stream), *data.draw(places)})
    parser = ADAPTER.make_parser(place, True)
    events: list[Event] = []
    for start, end in pairwise(cuts):
        events += parser.feed(stream[start:end])
        if events and isinstance(events[-1], Failed):
            break
    else:
        events += parser.close()
    assert hear(events) == read(stream, place)


@pytest.mark.parametrize("named", STREAMS, ids=lambda named: named[0])
def test_a_byte_at_a_time_says_the_same(named: tuple[str, bytes, Place]) -> None:
    _, stream, place = named
    parser = ADAPTER.make_parser(place, True)
    events: list[Event] = []
    for start in range(len(stream)):
        events += parser.feed(stream[start : start + 1])
        if events and isinstance(events[-1], Failed):
            break
    else:
        events += parser.close()
    assert hear(events) == read(stream, place)


def test_the_corpus_is_large_enough() -> None:
    """At least 120 distinct bodies, streams and errors of this family."""
    distinct = {json.dumps(bill.given) for bill in BILLS} | {case.name for case in CASES}
    distinct |= set(ENDS) | set(BLOCKS) | set(FAILURES) | set(BROKEN)
    assert len(distinct) >= 120
