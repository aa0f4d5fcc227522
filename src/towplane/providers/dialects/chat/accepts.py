"""What not every server of chat's wire takes: one value for each family of servers."""

from typing import NamedTuple

__all__ = ["ENGINES", "GOOGLE", "OPENAI", "Accepts"]


class Accepts(NamedTuple):
    """What not every server of this wire takes."""

    limit: str = "max_completion_tokens"
    """How it calls the limit of the output."""
    top_k: bool = False
    developer: bool = True
    """The role `developer`; otherwise it is told as `system`."""
    files: bool = True
    """Documents as parts; otherwise only as text."""
    thoughts: bool = False
    """`reasoning_content` of earlier turns."""
    thinking_blocks: bool = False
    """Thoughts with their signatures, as LiteLLM and this plane take them."""
    google_signatures: bool = False
    """Google's `extra_content` on calls."""
    cache_marks: bool = False
    """`cache_control`, in Anthropic's form."""
    extra: frozenset[str] = frozenset()
    """Fields without a normal form that it calls and means as the client's dialect does."""


OPENAI = Accepts(
    extra=frozenset(
        ("prompt_cache_key", "prompt_cache_retention", "safety_identifier", "store")
    )  # the same in Responses
)
ENGINES = Accepts(limit="max_tokens", top_k=True, developer=False, files=False, thoughts=True)
"""vLLM, SGLang, llama.cpp, LMDeploy, Ollama and services that are built on them."""
GOOGLE = Accepts(limit="max_tokens", files=False, google_signatures=True)
"""Gemini's OpenAI-compatible endpoints."""
