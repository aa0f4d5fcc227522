"""The rows of the matrix: what is shown, by which function, and by which parameters it may be
refused. A refusal that names anything else is a failure."""

from collections.abc import Callable
from typing import NamedTuple

from towplane.testing.conversation import calling, counting, failing, speaking
from towplane.testing.conversation.scene import Scene

__all__ = ["FEATURES", "Feature"]


class Feature(NamedTuple):
    """One row."""

    title: str
    run: Callable[[Scene], None]
    params: frozenset[str] = frozenset()
    """A cell may end in a refusal that names one of these."""
    dialects: tuple[str, ...] = ("chat", "responses", "messages")


def _row(title: str, run: Callable[[Scene], None], *params: str) -> Feature:
    return Feature(title, run, frozenset(params))


FEATURES: dict[str, Feature] = {
    "plain": _row("text", speaking.plain),
    "stream": _row("streamed, cut at random bytes", speaking.stream),
    "instructions": _row("system and developer roles", speaking.instruct),
    "turns": _row("several turns", speaking.turns),
    "image": _row("image input", speaking.image),
    "document": _row("document input (PDF)", speaking.document, "document"),
    "tools": _row("tools: call, result, answer", calling.round_trip),
    "parallel-tools": _row("parallel calls", calling.parallel),
    "single-tool": _row(
        "one call at a time", calling.single, "parallel_tool_calls",
        "tool_choice.disable_parallel_tool_use"),
    "streamed-tools": _row("streamed arguments", calling.stream_calls),
    "forced-tool": _row("tool choice", calling.force),
    "json": _row("JSON mode", calling.json_mode, "response_format", "text.format"),
    "schema": _row("JSON Schema", calling.schema),
    "reasoning": _row("reasoning, billed", calling.reason),
    "thoughts": _row("reasoning shown", calling.show_thoughts, "reasoning.summary"),
    "signatures": _row("signatures intact", calling.sign, "reasoning.summary"),
    "stop": _row("stop sequence", speaking.stop),
    "limit": _row("limit of the output", speaking.limit),
    "seed": _row("seed", speaking.seed, "seed"),
    "logprobs": _row("logprobs", speaking.logprobs, "logprobs", "include", "top_logprobs"),
    "samples": _row("several samples", speaking.samples, "n"),
    "citations": _row("citations", speaking.cite, "citations", "document"),
    "refusal": _row("refusal", speaking.decline),
    "filter": _row("content filter", speaking.filter_out),
    "cache": _row("prompt cache", counting.cache),
    "usage": _row("usage", counting.usage),
    "streamed-usage": _row("usage of a stream", counting.stream_usage),
    "unknown-field": _row("unknown field", counting.pass_unknown, "new_field"),
    "dropped-field": _row("unknown field, `drop_unsupported`", counting.drop),
    "context-error": _row("error: context too long", failing.context),
    "credential-error": _row("error: credential refused", failing.denied),
    "limit-error": _row("error: 429, and when to come back", failing.limited),
    "model-error": _row("error: no such model", failing.missing),
    "server-error": _row("error: 500", failing.server),
    "overload-error": _row("error: overloaded", failing.overloaded),
    "stream-error": _row("error inside a stream", failing.break_off),
    "cancel": _row("cancelled by the client", failing.cancel),
    "completions": Feature("completions", counting.complete, dialects=("chat",)),
    "streamed-completions": Feature(
        "completions, streamed", counting.stream_completion, dialects=("chat",)),
    "embeddings": Feature(
        "embeddings", counting.embed, frozenset(("model",)), dialects=("chat",)),
    "count-tokens": Feature(
        "count_tokens", counting.count_tokens, frozenset(("model",)), dialects=("messages",)),
}  # fmt: skip
"""By name, in the order of the rows."""
