"""Answers of servers that speak chat, as each of them really writes it, and what they mean.

Each server is a `Server`: how it wraps a delta, where it says usage and what that comes to in
normal form. Every server answers in the same few ways; what only some do stands in `ODDITIES`.
"""

import itertools
import json
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.parts.errors import (
    ContextTooLong,
    Denied,
    Filtered,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    ServerError,
    Upstream,
)
from towplane.parts.usage import Detail, Usage
from towplane.providers.conversation.answer import (
    CallBegins,
    CallGrows,
    Cited,
    Ended,
    Event,
    Failed,
    LogProbs,
    RedactedThought,
    RefusalGrows,
    Signed,
    Started,
    TextGrows,
    ThoughtGrows,
    Used,
    is_token,
)
from towplane.providers.dialects.chat.parse import ChatParser
from towplane.providers.dialects.chat.relay import ChatRelay
from towplane.providers.dialects.chat.write import ChatWriter

Json = dict[str, Any]
TEXT = ["Hel", "lo, ", 'wörld "q" \\ ', "😀\n", "\u2028data: x"]
THOUGHT = ["Let me ", "think…"]
ARGUMENTS = ['{"city":', '"Genève', '"}']
DONE = b"data: [DONE]\n\n"
Where = Literal["own", "last", "every", "groq", "never"]


def event(value: Any) -> bytes:
    return b"data: %b\n\n" % json.dumps(
        value, separators=(",", ":"), ensure_ascii=False
    ).encode().replace(b"\xe2\x80\xa8", b"\\u2028")


@dataclass(frozen=True)
class Server:
    """How one server writes its answers."""

    name: str
    chunk: Json
    """What every chunk has besides its choices."""
    usage: Json
    means: Usage
    """The same in normal form, counted by hand."""
    where: Where = "own"
    choice: Json = field(default_factory=dict)
    """What every choice has besides."""
    delta: Json = field(default_factory=dict)
    """What every delta has besides."""
    first: tuple[Json, ...] = ()
    """Chunks that come before all others."""
    stop: str = "stop"
    thought: str = "reasoning_content"
    spaced: bool = False
    """Writes JSON with spaces."""
    has_role_chunk: bool = True
    calls_at_once: bool = False
    """A call comes in one chunk."""
    comment: bytes = b""
    no_usage: Json = field(default_factory=dict)
    """What a chunk without usage says of it."""
    is_done: bool = True

    def event(self, value: Json) -> bytes:
        made = event(value)
        if self.spaced:
            made = b"data: %b\n\n" % json.dumps(value).encode()
        return self.comment + made

    def wrap(self, delta: Json, finish: str | None = None, **more: Any) -> Json:
        inner = {"index": 0, "delta": self.delta | delta, "finish_reason": finish}
        return self.chunk | {"choices": [self.choice | inner]} | self.no_usage | more

    def stream(self, deltas: list[Json], finish: str, *, with_usage: bool = True) -> bytes:
        """A stream of these deltas."""
        chunks = list(self.first)
        if self.has_role_chunk:
            chunks.append(self.wrap({"role": "assistant", "content": ""}))
        chunks += [self.wrap(delta) for delta in deltas]
        where = self.where if with_usage else "never"
        last = self.wrap({}, finish)
        if where == "last":
            last["usage"] = self.usage
        if where == "groq":
            last["x_groq"] = {"id": "req_1", "usage": self.usage}
        chunks.append(last)
        if where == "every":
            for count, chunk in enumerate(chunks):
                part = {"completion_tokens": count, "total_tokens": count + 7}
                chunk["usage"] = self.usage | part if chunk is not last else self.usage
        if where == "own":
            chunks.append(self.chunk | {"choices": [], "usage": self.usage})
        return b"".join(map(self.event, chunks)) + (DONE if self.is_done else b"")

    def body(self, message: Json, finish: str) -> bytes:
        """An answer in one piece."""
        inner = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": finish}
        body = self.chunk | {"object": "chat.completion", "choices": [self.choice | inner]}
        return json.dumps(body | {"usage": self.usage}).encode()


def usage(prompt: int, completion: int, **more: Any) -> Json:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    } | more


def head(id: str, model: str, **more: Any) -> Json:
    return {
        "id": id,
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": model,
    } | more


FILTERS = {"hate": {"filtered": False, "severity": "safe"}}
SERVERS = [
    Server(
        "openai",
        head("chatcmpl-B1", "gpt-5-mini-2025-08-07", service_tier="default", obfuscation="x9"),
        usage(
            20, 9,
            prompt_tokens_details={"cached_tokens": 16, "audio_tokens": 0},
            completion_tokens_details={
                "reasoning_tokens": 4, "audio_tokens": 0,
                "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
            },
        ),
        Usage(20, 9, 16, Detail(reasoning=4)),
        delta={"refusal": None},
        no_usage={"usage": None},
    ),
    Server(
        "openai flex",
        head("chatcmpl-B2", "o4-mini", service_tier="flex"),
        usage(20, 9, prompt_tokens_details={"cached_tokens": 0, "cache_write_tokens": 12}),
        Usage(20, 9, 0, Detail(cache_write=12, service="flex")),
    ),
    Server(
        "azure",
        head("chatcmpl-A1", "gpt-4o-2024-11-20", system_fingerprint="fp_1"),
        usage(11, 4, prompt_tokens_details={"audio_tokens": 0, "cached_tokens": 0}),
        Usage(11, 4),
        choice={"content_filter_results": FILTERS, "logprobs": None},
        first=(
            {
                "choices": [], "created": 0, "id": "", "model": "", "object": "",
                "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": FILTERS}],
            },
        ),
    ),
    Server(
        "vllm",
        head("chatcmpl-v1", "Qwen/Qwen3-8B"),
        usage(31, 12, prompt_tokens_details=None),
        Usage(31, 12),
        choice={"logprobs": None, "token_ids": None},
    ),
    Server(
        "vllm, usage in every chunk",
        head("chatcmpl-v2", "Qwen/Qwen3-8B"),
        usage(31, 12, prompt_tokens_details={"cached_tokens": 16}),
        Usage(31, 12, 16),
        where="every",
        choice={"logprobs": None, "stop_reason": None},
        thought="reasoning",
    ),
    Server(
        "sglang",
        head("5f1", "default"),
        usage(8, 6, prompt_tokens_details=None, reasoning_tokens=0),
        Usage(8, 6),
        choice={"logprobs": None, "matched_stop": None},
        delta={"role": None, "reasoning_content": None, "tool_calls": None},
        no_usage={"usage": None},
    ),
    Server(
        "llama.cpp",
        {"created": 1_700_000_000, "id": "chatcmpl-L", "model": "gpt-oss:20b",
         "system_fingerprint": "b6097-9515c613", "object": "chat.completion.chunk"},
        usage(1085, 247),
        Usage(1085, 247),
        where="last",
    ),
    Server(
        "tgi",
        head("", "tgi", system_fingerprint="3.3.4-native"),
        usage(12, 5),
        Usage(12, 5),
        choice={"logprobs": None},
        delta={"role": "assistant"},
        has_role_chunk=False,
        stop="eos_token",
        no_usage={"usage": None},
    ),
    Server(
        "lmdeploy",
        head("17", "internlm3"),
        usage(9, 3),
        Usage(9, 3),
        where="last",
        choice={"logprobs": None},
        delta={"role": "assistant", "reasoning_content": None, "tool_calls": None},
        no_usage={"usage": None},
    ),
    Server(
        "ollama",
        head("chatcmpl-301", "llama3.2", system_fingerprint="fp_ollama"),
        usage(26, 10),
        Usage(26, 10),
        delta={"role": "assistant"},
        has_role_chunk=False,
        thought="reasoning",
        calls_at_once=True,
    ),
    Server(
        "mistral",
        head("cmpl-e5", "mistral-small-latest", p="abcde"),
        usage(15, 7, prompt_audio_seconds=None, num_cached_tokens=0),
        Usage(15, 7),
        where="last",
        calls_at_once=True,
    ),
    Server(
        "deepseek",
        head("d1", "deepseek-chat", system_fingerprint="fp_d"),
        usage(
            100, 10,
            prompt_tokens_details={"cached_tokens": 64},
            completion_tokens_details={"reasoning_tokens": 3},
            prompt_cache_hit_tokens=64, prompt_cache_miss_tokens=36,
        ),
        Usage(100, 10, 64, Detail(reasoning=3)),
        where="last",
        choice={"logprobs": None},
        comment=b": keep-alive\n\n",
    ),
    Server(
        "deepseek of old",
        head("d2", "deepseek-chat"),
        usage(100, 10, prompt_cache_hit_tokens=64, prompt_cache_miss_tokens=36),
        Usage(100, 10, 64),
        where="last",
    ),
    Server(
        "together",
        head("oCA", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
        usage(44, 18, cached_tokens=32),
        Usage(44, 18, 32),
        where="last",
        choice={"text": "", "logprobs": None, "seed": None},
        delta={"token_id": 1, "role": "assistant", "tool_calls": None},
        has_role_chunk=False,
        stop="eos",
        no_usage={"usage": None},
    ),
    Server(
        "groq",
        head("chatcmpl-G", "llama-3.3-70b-versatile", system_fingerprint="fp_g"),
        usage(21, 6, queue_time=0.03, prompt_time=0.001, completion_time=0.02, total_time=0.021),
        Usage(21, 6),
        where="groq",
        choice={"logprobs": None},
        thought="reasoning",
    ),
    Server(
        "openrouter",
        head("gen-17", "openai/gpt-4o-mini", provider="OpenAI"),
        usage(
            14, 8, cost=0.00002, is_byok=False,
            prompt_tokens_details={"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 0},
            completion_tokens_details={"reasoning_tokens": 5, "image_tokens": 0},
        ),
        Usage(14, 8, 0, Detail(reasoning=5)),
        where="own",
        choice={"native_finish_reason": None, "logprobs": None},
        comment=b": OPENROUTER PROCESSING\n\n",
        thought="reasoning",
    ),
    Server(
        "xai",
        head("x1", "grok-4", system_fingerprint="fp_x"),
        {
            "prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135,
            "prompt_tokens_details": {"text_tokens": 32, "cached_tokens": 6},
            "completion_tokens_details": {"reasoning_tokens": 94},
            "num_sources_used": 0,
        },
        Usage(32, 103, 6, Detail(reasoning=94)),
    ),
    Server(
        "gemini",
        head("g1", "gemini-2.5-flash"),
        {"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623},
        Usage(20, 603, 0, Detail(reasoning=405)),
        where="last",
        delta={"role": "assistant"},
        has_role_chunk=False,
        calls_at_once=True,
    ),
    Server(
        "litellm before anthropic",
        head("chatcmpl-li", "claude"),
        usage(
            50, 20,
            prompt_tokens_details={"cached_tokens": 10},
            cache_creation_input_tokens=30, cache_read_input_tokens=10,
        ),
        Usage(50, 20, 10, Detail(cache_write=30)),
    ),
    Server(
        "a server that writes spaces",
        head("s1", "m"),
        usage(3, 2),
        Usage(3, 2),
        spaced=True,
    ),
    Server(
        "ik_llama.cpp, which never says that it is done",
        head("k1", "m"),
        usage(5, 4),
        Usage(5, 4),
        where="last",
        is_done=False,
    ),
]  # fmt: skip


@dataclass(frozen=True)
class Want:
    """What an answer means."""

    text: str = ""
    thought: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    """Name and arguments."""
    finish: str = ""
    usage: Usage | None = None
    failure: type[Upstream] | None = None
    signatures: tuple[str, ...] = ()
    refusal: str = ""
    redacted: str = ""
    stop_sequence: str = ""
    sources: int = 0
    logprobs: int = 0


@dataclass(frozen=True)
class Case:
    name: str
    given: bytes
    want: Want
    streams: bool = True


def call_deltas(server: Server) -> list[Json]:
    first = {"index": 0, "id": "call_1", "type": "function"}
    if server.calls_at_once:
        function = {"name": "weather", "arguments": "".join(ARGUMENTS)}
        return [{"tool_calls": [first | {"function": function}]}]
    begins = {"tool_calls": [first | {"function": {"name": "weather", "arguments": ""}}]}
    grows = [{"tool_calls": [{"index": 0, "function": {"arguments": x}}]} for x in ARGUMENTS]
    return [begins, *grows]


CALLED = (("weather", "".join(ARGUMENTS)),)


def usual(server: Server) -> list[Case]:
    """What every server does."""
    words, text = [{"content": piece} for piece in TEXT], "".join(TEXT)
    thoughts = [{server.thought: piece} for piece in THOUGHT]
    function = {"name": "weather", "arguments": "".join(ARGUMENTS)}
    called = [{"id": "call_1", "type": "function", "function": function}]
    said = Want(text, finish="stop", usage=server.means)
    name, thought = server.name, "".join(THOUGHT)
    return [
        Case(f"{name}: text", server.stream(words, server.stop), said),
        Case(
            f"{name}: no usage",
            server.stream(words, server.stop, with_usage=False),
            replace(said, usage=None),
        ),
        Case(f"{name}: cut", server.stream(words, "length"), replace(said, finish="length")),
        Case(
            f"{name}: thoughts",
            server.stream(thoughts + words, server.stop),
            replace(said, thought=thought),
        ),
        Case(
            f"{name}: a call",
            server.stream(call_deltas(server), "tool_calls"),
            Want(calls=CALLED, finish="tool_calls", usage=server.means),
        ),
        Case(
            f"{name}: in one piece",
            server.body({"content": text, server.thought: thought}, server.stop),
            replace(said, thought=thought),
            streams=False,
        ),
        Case(
            f"{name}: a call in one piece",
            server.body({"content": None, "tool_calls": called}, "tool_calls"),
            Want(calls=CALLED, finish="tool_calls", usage=server.means),
            streams=False,
        ),
    ]


PLAIN = Server("plain", head("p", "m"), usage(7, 5), Usage(7, 5))


def odd(name: str, deltas: list[Json], word: str = "stop", **want: Any) -> Case:
    """A stream of a plain server with something odd in it."""
    told: dict[str, Any] = {"finish": "stop", "usage": PLAIN.means} | want
    return Case(name, PLAIN.stream(deltas, word), Want(**told))


def raw_stream(name: str, stream: bytes, **want: Any) -> Case:
    return Case(name, stream, Want(**want))


def failed(name: str, after: bytes, kind: type[Upstream], **want: Any) -> Case:
    """Something that says, after a token, that the answer failed."""
    stream = event(PLAIN.wrap({"content": "a"})) + after + DONE
    return Case(name, stream, Want("a", failure=kind, **want))


def tool(index: int | None, id: str | None, name: str | None, arguments: Any) -> Json:
    made: Json = {"function": {"arguments": arguments}}
    if index is not None:
        made["index"] = index
    if id is not None:
        made |= {"id": id, "type": "function"}
    if name is not None:
        made["function"]["name"] = name
    return made


A = {"content": "a"}
B = {"content": "b"}
END = event(PLAIN.wrap({}, "stop")) + DONE
LOGPROB = {"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}
TWO_CALLS = (("f", '{"a":1}'), ("g", '{"b":2}'))
ODDITIES = [
    odd("nothing is said", [], text=""),
    odd("empty deltas", [{"content": ""}, A, {"content": ""}, {}, B, {"content": None}], text="ab"),
    odd("both names of a thought", [{"reasoning": "t", "reasoning_content": "t"}, A], text="a",
        thought="t"),
    odd("thoughts between words", [A, {"reasoning_content": "t"}, B], text="ab", thought="t"),
    odd("a refusal", [{"refusal": "I "}, {"refusal": "won't"}], refusal="I won't",
        finish="refusal"),
    odd("the content filter", [A], "content_filter", text="a", finish="content_filter"),
    odd("the filter before a word", [], "content_filter", finish="content_filter"),
    odd("Mistral's window is full", [A], "model_length", text="a", finish="context_full"),
    odd("a reason that nobody knows", [A], "moonrise", text="a", finish="other"),
    odd("a function of 2023", [{"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": "{}"}}], "function_call", calls=(("f", "{}"),),
        finish="tool_calls"),
    odd("a forced call ends with stop", [{"tool_calls": [tool(0, "c", "f", "{}")]}], "stop",
        calls=(("f", "{}"),), finish="tool_calls"),
    odd("two calls", [{"tool_calls": [tool(0, "c", "f", '{"a":1}')]},
        {"tool_calls": [tool(1, "d", "g", "")]}, {"tool_calls": [tool(1, None, None, '{"b":2}')]}],
        "tool_calls", calls=TWO_CALLS, finish="tool_calls"),
    odd("two calls in one chunk", [{"tool_calls": [tool(0, "c", "f", '{"a":1}'),
        tool(1, "d", "g", '{"b":2}')]}], "tool_calls", calls=TWO_CALLS, finish="tool_calls"),
    odd("calls that grow in turns", [
        {"tool_calls": [tool(0, "c", "f", ""), tool(1, "d", "g", "")]},
        {"tool_calls": [tool(0, None, None, '{"a"'), tool(1, None, None, '{"b"')]},
        {"tool_calls": [tool(0, None, None, ":1}"), tool(1, None, None, ":2}")]},
        ], "tool_calls", calls=TWO_CALLS, finish="tool_calls"),
    odd("calls counted from 1", [{"tool_calls": [tool(1, "c", "f", '{"a":1}')]},
        {"tool_calls": [tool(2, "d", "g", '{"b":2}')]}], "tool_calls", calls=TWO_CALLS,
        finish="tool_calls"),
    odd("calls with the same index", [{"tool_calls": [tool(0, "c", "f", '{"a":1}')]},
        {"tool_calls": [tool(0, "d", "g", "")]}, {"tool_calls": [tool(0, None, None, '{"b":2}')]}],
        "tool_calls", calls=TWO_CALLS, finish="tool_calls"),
    odd("an id made up for each delta", [{"tool_calls": [tool(0, "c", "f", '{"a"')]},
        {"tool_calls": [tool(0, "d", None, ":1}")]}], "tool_calls", calls=(("f", '{"a":1}'),),
        finish="tool_calls"),
    odd("calls without an index", [{"tool_calls": [tool(None, "c", "f", '{"a":1}')]},
        {"tool_calls": [tool(None, "d", "g", '{"b":2}')]}], "tool_calls", calls=TWO_CALLS,
        finish="tool_calls"),
    odd("calls without an id", [{"tool_calls": [tool(0, None, "f", '{"a":1}')]},
        {"tool_calls": [tool(1, None, "g", '{"b":2}')]}], "tool_calls", calls=TWO_CALLS,
        finish="tool_calls"),
    odd("arguments that are an object", [{"tool_calls": [tool(0, "c", "f", {"a": 1})]}],
        "tool_calls", calls=(("f", '{"a":1}'),), finish="tool_calls"),
    odd("words before a call", [A, {"tool_calls": [tool(0, "c", "f", "{}")]}], "tool_calls",
        text="a", calls=(("f", "{}"),), finish="tool_calls"),
    odd("Gemini's signature", [{"tool_calls": [tool(0, "c", "f", "{}")
        | {"extra_content": {"google": {"thought_signature": "sig"}}}]}], "tool_calls",
        calls=(("f", "{}"),), signatures=("sig",), finish="tool_calls"),
    odd("Mistral's thoughts", [
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "t"}]}]},
        {"content": [{"type": "text", "text": "a"}]}, B], text="ab", thought="t"),
    odd("signed thoughts", [{"reasoning_content": "t", "thinking_blocks": [
        {"type": "thinking", "thinking": "t", "signature": None}]},
        {"reasoning_content": "", "thinking_blocks": [
        {"type": "thinking", "thinking": "", "signature": "sig"}]}, A], text="a", thought="t",
        signatures=("sig",)),
    odd("thoughts in blocks alone", [{"thinking_blocks": [
        {"type": "thinking", "thinking": "t", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xyz"}]}, A], text="a", thought="t",
        signatures=("sig",), redacted="xyz"),
    odd("a source", [A, {"annotations": [{"type": "url_citation", "url_citation": {
        "url": "https://x", "title": "X", "start_index": 0, "end_index": 1}}]}], text="a",
        sources=1),
    odd("Perplexity's sources", [A | {"citations": ["https://x"]}], text="a"),
    Case("a stop sequence in vLLM's way", event(PLAIN.wrap(A))
        + event(PLAIN.chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop",
        "stop_reason": "###"}]}) + DONE, Want("a", finish="stop_sequence", stop_sequence="###")),
    Case("a stop token in vLLM's way", event(PLAIN.wrap(A))
        + event(PLAIN.chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop",
        "stop_reason": 151643}]}) + DONE, Want("a", finish="stop")),
    Case("log probabilities", event(PLAIN.chunk | {"choices": [{"index": 0, "delta": A,
        "logprobs": {"content": [LOGPROB], "refusal": None}, "finish_reason": None}]}) + END,
        Want("a", finish="stop", logprobs=1)),
    Case("a finish with the last word", event(PLAIN.wrap(A)) + event(PLAIN.wrap(B, "stop")) + DONE,
        Want("ab", finish="stop")),
    raw_stream("no finish reason", event(PLAIN.wrap(A)) + DONE, text="a", finish="stop"),
    raw_stream("an empty finish reason", event(PLAIN.wrap(A, "")) + END, text="a", finish="stop"),
    raw_stream("a finish reason that comes twice", event(PLAIN.wrap(A, "length"))
        + END, text="a", finish="length"),
    raw_stream("CRLF", (event(PLAIN.wrap(A)) + event(PLAIN.wrap(B)) + END).replace(
        b"\n", b"\r\n"), text="ab", finish="stop"),
    raw_stream("no space behind the colon", (event(PLAIN.wrap(A)) + event(PLAIN.wrap(B)) + END)
        .replace(b"data: ", b"data:"), text="ab", finish="stop"),
    raw_stream("event names", b"event: message\n" + event(PLAIN.wrap(A)) + b"id: 5\n"
        + event(PLAIN.wrap(B)) + END, text="ab", finish="stop"),
    raw_stream("several data lines", b'data: {"choices":[{"delta":{"content":"a"}}\ndata: ]}\n\n'
        + END, text="a", finish="stop"),
    raw_stream("what comes after the end does not count", event(PLAIN.wrap(A)) + END
        + event(PLAIN.wrap(B)) + event(PLAIN.chunk | {"choices": [], "usage": usage(1, 1)}),
        text="a", finish="stop"),
    raw_stream("ids and times of other types", event(PLAIN.wrap(A, id=None, model=None,
        created=1.5)) + END, text="a", finish="stop"),
    raw_stream("no index", event({"choices": [{"delta": A}]}) + END, text="a", finish="stop"),
    raw_stream("usage that makes no sense", event(PLAIN.wrap(A))
        + event(PLAIN.wrap({}, "stop", usage={"tokens": 5})) + DONE, text="a", finish="stop"),
    raw_stream("usage that is empty", event(PLAIN.wrap(A))
        + event(PLAIN.wrap({}, "stop", usage={})) + DONE, text="a", finish="stop"),
    raw_stream("usage before the last word", event(PLAIN.wrap(A, usage=usage(7, 5)))
        + event(PLAIN.wrap(B)) + END, text="ab", finish="stop", usage=Usage(7, 5)),
    raw_stream("a total that holds the cache beside the prompt", event(PLAIN.wrap(A))
        + event(PLAIN.wrap({}, "stop", usage={"prompt_tokens": 10, "completion_tokens": 5,
        "total_tokens": 115, "prompt_tokens_details": {"cached_tokens": 100}})) + DONE,
        text="a", finish="stop", usage=Usage(10, 5, 100)),
    raw_stream("pictures and sound", event(PLAIN.wrap(A)) + event(PLAIN.wrap({}, "stop",
        usage=usage(40, 30, prompt_tokens_details={"audio_tokens": 8, "image_tokens": 9},
        completion_tokens_details={"audio_tokens": 20}))) + DONE, text="a", finish="stop",
        usage=Usage(40, 30, 0, Detail(audio_input=8, image_input=9, audio_output=20))),
    failed("vLLM was stopped", event(PLAIN.wrap({}, "abort")), ServerError),
    failed("the provider broke off", event(PLAIN.wrap({}, "error")), ServerError),
    failed("DeepSeek is full", event(PLAIN.wrap({}, "insufficient_system_resource")), Overloaded),
    failed("an error", event({"error": {"message": "out of memory", "code": 500}}), ServerError),
    failed("an error of few words", event({"error": "boom"}), ServerError),
    failed("TGI's error", event({"error": "Request failed during generation",
        "error_type": "generation"}), ServerError),
    failed("vLLM's error of old", event({"object": "error", "message": "boom", "type":
        "InternalServerError", "param": None, "code": 500}), ServerError),
    failed("SGLang's window", event({"object": "error", "message": "The input (61709 tokens) is "
        "longer than the model's context length (40960 tokens).", "type": "BadRequestError",
        "code": 400}), ContextTooLong),
    failed("OpenRouter's error", event(PLAIN.wrap({"content": ""}, "error") | {"error": {"code":
        502, "message": "Provider disconnected"}}), ServerError),
    failed("a limit in the stream", event({"error": {"code": 429, "message": "Rate limit exceeded"
        }}), RateLimited),
    failed("no money in the stream", event({"error": {"code": "insufficient_quota", "message": "x"
        }}), QuotaExhausted),
    failed("too much load", event({"error": {"type": "overloaded_error", "message": "Overloaded"
        }}), Overloaded),
    failed("filtered in the stream", event({"error": {"code": "content_filter", "message": "x"}}),
        Filtered),
    failed("a key that expired", event({"error": {"code": 401, "message": "x"}}), Denied),
    failed("an error with a name", b"event: error\n" + event({"error": {"message": "boom"}}),
        ServerError),
    Case("an error before the first token", event({"error": {"message": "boom"}}) + DONE,
        Want(failure=ServerError)),
    Case("an error after the finish", event(PLAIN.wrap(A, "stop"))
        + event({"error": {"message": "boom"}}) + DONE,
        Want("a", finish="stop", failure=ServerError)),
]  # fmt: skip

CASES = [case for server in SERVERS for case in usual(server)] + ODDITIES


def parse(case: Case, pieces: list[bytes]) -> list[Event]:
    parser = ChatParser("t")
    if not case.streams:
        return parser.whole(case.given)
    events: list[Event] = []
    for piece in pieces:
        events += parser.feed(piece)
    return events if parser.is_done else events + parser.close()


def meaning(events: list[Event]) -> Want:
    calls: list[list[str]] = []
    found = Want()
    for one in events:
        match one:
            case TextGrows(text):
                found = replace(found, text=found.text + text)
            case ThoughtGrows(text):
                found = replace(found, thought=found.thought + text)
            case RefusalGrows(text):
                found = replace(found, refusal=found.refusal + text)
            case CallBegins():
                assert one.call == len(calls)
                assert one.id
                calls.append([one.name, ""])
                if one.signature:
                    found = replace(found, signatures=(*found.signatures, one.signature))
            case CallGrows():
                calls[one.call][1] += one.arguments
            case Signed(signature):
                found = replace(found, signatures=(*found.signatures, signature))
            case RedactedThought(data):
                found = replace(found, redacted=data)
            case Cited():
                found = replace(found, sources=found.sources + 1)
            case LogProbs(content):
                found = replace(found, logprobs=found.logprobs + len(content))
            case Ended():
                assert not found.finish, "a choice ends once"
                found = replace(found, finish=one.reason, stop_sequence=one.stop_sequence)
            case Used(told):
                found = replace(found, usage=told)
            case Failed(error):
                found = replace(found, failure=type(error))
                assert error.in_stream
    return replace(found, calls=tuple((name, arguments) for name, arguments in calls))


def test_the_corpus_is_large_and_its_names_are_distinct() -> None:
    assert len(CASES) >= 180
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_an_answer_means(case: Case) -> None:
    """In one piece; each event in a piece of its own; each byte in one."""
    events = [block + b"\n\n" for block in case.given.split(b"\n\n") if block]
    single = [case.given[i : i + 1] for i in range(len(case.given))]
    for pieces in ([case.given], events if b"\r\n" not in case.given else single, single):
        found = parse(case, pieces)
        assert meaning(found) == case.want
        assert not any(is_token(one) and getattr(one, "text", "x") == "" for one in found)
        starts = [place for place, one in enumerate(found) if isinstance(one, Started)]
        assert starts in ([0], []), "an answer starts once, and first"


STREAMS = [case for case in CASES if case.streams]
FINE = [case for case in STREAMS if case.want.failure is None]


@pytest.mark.parametrize("case", STREAMS, ids=lambda case: case.name)
def test_a_relay_reads_the_same_as_a_parser(case: Case) -> None:
    relay = ChatRelay("t", drops_usage=False, is_single=True)
    out, _, ends = relay.read(case.given, whole=True)
    assert ends
    assert (type(relay.failed) if relay.failed else None) == case.want.failure
    assert case.given.startswith(out)
    if case.want.failure is None:
        assert relay.usage == case.want.usage
        assert relay.finished
        assert out == case.given.partition(DONE)[0] + (DONE if DONE in case.given else b"") or (
            b"\r\n" in case.given
        )


BODIES = [case for case in CASES if not case.streams]


@pytest.mark.parametrize("case", BODIES, ids=lambda case: case.name)
def test_a_relay_reads_the_usage_of_a_body(case: Case) -> None:
    relay = ChatRelay("t", drops_usage=False, is_single=True)
    assert relay.read_whole(case.given) == (case.given, 0)
    assert relay.usage == case.want.usage


def cuts(data: st.DataObject, stream: bytes) -> list[bytes]:
    borders = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    return [stream[a:b] for a, b in itertools.pairwise([0, *sorted(borders), len(stream)])]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(STREAMS), st.data())
def test_a_relay_gives_the_same_however_a_stream_is_cut(case: Case, data: st.DataObject) -> None:
    def play(pieces: list[bytes]) -> tuple[bytes, int, Usage | None, bool, object]:
        relay = ChatRelay("t", drops_usage=True, is_single=True)
        out, tokens = b"", 0
        for place, piece in enumerate(pieces):
            more, count, ends = relay.read(piece, whole=place == len(pieces) - 1)
            out, tokens = out + more, tokens + count
            if ends or (relay.failed is not None and not tokens):
                break  # as the gateway does: another target may be tried
        return out, tokens, relay.usage, relay.finished, type(relay.failed)

    stream = case.given
    assert play(cuts(data, stream)) == play([stream])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(STREAMS), st.data())
def test_a_translation_is_the_same_however_a_stream_is_cut(case: Case, data: st.DataObject) -> None:
    def play(pieces: list[bytes]) -> tuple[bytes, Want, int]:
        parser, writer = ChatParser("t"), ChatWriter("m", 1, tells_usage=True)
        events: list[Event] = []
        out = b""
        for piece in pieces:
            more = parser.feed(piece)
            out += writer.stream(more)
            events += more
        if not parser.is_done:
            more = parser.close()
            out += writer.stream(more)
            events += more
        return out + writer.end(), meaning(events), sum(map(is_token, events))

    stream = case.given
    if b'"id":' not in stream.partition(b'"choices"')[0] or "without an id" in case.name:
        return  # ids of ours are drawn by lot
    if b'"function_call"' in stream or b'"id":""' in stream or b'"id":null' in stream:
        return
    assert play(cuts(data, stream)) == play([stream])


@pytest.mark.parametrize("case", FINE, ids=lambda case: case.name)
def test_what_is_written_of_an_answer_means_the_same(case: Case) -> None:
    """Server → events → chunks → events: nothing is lost on the way."""
    lossy = {"other": "stop", "context_full": "length"}
    want = replace(case.want, finish=lossy.get(case.want.finish, case.want.finish))
    writer = ChatWriter("m", 1, tells_usage=True)
    stream = writer.stream(parse(case, [case.given])) + writer.end()
    assert meaning(parse(replace(case, given=stream), [stream])) == want
    body = ChatWriter("m", 1, tells_usage=True).whole(parse(case, [case.given]))
    again = parse(Case("", body, want, streams=False), [])
    assert meaning(again) == want
