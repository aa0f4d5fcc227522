"""Why an answer ended: chat's words for it, and what other servers of this wire say, both ways.

| normal            | chat's word      | because |
|-------------------|------------------|---------|
| `stop`            | `stop`           | |
| `stop_sequence`   | `stop`           | which one stands in `stop_reason`, as vLLM has it |
| `length`          | `length`         | |
| `context_full`    | `length`         | it was cut, by another limit |
| `tool_calls`      | `tool_calls`     | |
| `refusal`         | `content_filter` | `stop` where it declined in words, as OpenAI does |
| `content_filter`  | `content_filter` | |
| `pause`           | `length`         | it is not over: asking again goes on |
| `malformed`       | `stop`           | chat has no word for it |
| `other`           | `stop`           | the same |

Where the word says less than the provider's own, that one stands in `native_finish_reason`, as
OpenRouter has it.
"""

from towplane.providers.conversation.answer import Ended, Finish

__all__ = ["BROKEN", "FINISHES", "WORDS", "is_lossy", "word_of"]

WORDS: dict[Finish, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "context_full": "length",
    "tool_calls": "tool_calls",
    "refusal": "content_filter",
    "content_filter": "content_filter",
    "pause": "length",
    "malformed": "stop",
    "other": "stop",
}
_EXACT: tuple[Finish, ...] = (
    "stop", "stop_sequence", "length", "tool_calls", "content_filter",
)  # fmt: skip

FINISHES: dict[str, Finish] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",  # OpenAI, before `tool_calls`
    "content_filter": "content_filter",
    "eos": "stop",  # Together
    "eos_token": "stop",  # TGI
    "stop_sequence": "stop_sequence",  # TGI
    "max_tokens": "length",
    "model_length": "context_full",  # Mistral
    "repetition": "length",  # Together and vLLM: cut because it went round in circles
    "refusal": "refusal",
    "sensitive": "content_filter",  # Zhipu
    "safety": "content_filter",
    "recitation": "content_filter",
}
"""By the word of a server that speaks chat."""

BROKEN = {
    "abort": "aborted the answer",  # vLLM, SGLang and LMDeploy, when they are stopped
    "error": "broke off the answer",  # Mistral, OpenRouter, vLLM, LMDeploy
    "insufficient_system_resource": "broke off the answer, for it is full",  # DeepSeek
    "network_error": "broke off the answer",  # Zhipu
}
"""Words that say that the answer failed, and what happened."""


def word_of(ended: Ended, *, refused: bool) -> str:
    """Chat's word; `refused`: the model said in `refusal` that it declines."""
    if refused and ended.reason == "refusal":
        return "stop"
    return WORDS[ended.reason]


def is_lossy(ended: Ended) -> bool:
    """Whether chat's word says less than the provider's own, which is known."""
    return bool(ended.said) and ended.reason not in _EXACT
