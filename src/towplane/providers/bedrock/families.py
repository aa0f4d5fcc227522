"""Whose model an id of Bedrock names, and what that model can be asked for.

    anthropic.claude-…            a foundation model
    us.anthropic.claude-…         a cross-region inference profile; also eu. apac. global. …
    arn:aws:bedrock:R::foundation-model/ID · arn:aws:bedrock:R:N:inference-profile/ID

An ARN of an application's own profile, a provisioned or an imported model says nothing about the
model behind it; then the family is unknown, and only what Converse has for all models is sent.
Pure.
"""

from functools import lru_cache
from typing import Literal, NamedTuple
from urllib.parse import quote

__all__ = ["Family", "Thinks", "base_model", "family_of", "path_of"]

Thinks = Literal["never", "claude", "nova", "effort"]
"""How a model is told to think: as its generation of Claude wants it, in Nova's own words, by an
effort alone (OpenAI's), or not at all."""


class Family(NamedTuple):
    """What the models of one vendor understand beside what Converse has for all."""

    name: str = ""
    """The vendor's part of the id; empty: unknown."""
    thinks: Thinks = "never"
    top_k: tuple[str, ...] = ()
    """Where `top_k` stands in additionalModelRequestFields; empty: nowhere."""
    fields: frozenset[str] = frozenset()
    """Parameters of OpenAI's that go to additionalModelRequestFields under their own name."""
    caches: frozenset[str] = frozenset()
    """Where cache points may stand: `system`, `messages`, `tools`."""
    tells_tool_errors: bool = False
    """Whether a tool's result may say that it failed (botocore: Nova and Claude only)."""


_EVERYWHERE = frozenset(("system", "messages", "tools"))
_OPENAI_FIELDS = frozenset(("seed", "presence_penalty", "frequency_penalty", "logit_bias"))

_FAMILIES = {
    # Sources: Bedrock User Guide, "Inference request parameters" of each vendor; "Prompt caching".
    "anthropic": Family(
        "anthropic", "claude", ("top_k",), caches=_EVERYWHERE, tells_tool_errors=True
    ),
    "amazon": Family(
        "amazon",
        top_k=("inferenceConfig", "topK"),
        caches=frozenset(("system", "messages")),
        tells_tool_errors=True,
    ),
    "cohere": Family(
        "cohere",
        top_k=("k",),
        fields=frozenset(("seed", "presence_penalty", "frequency_penalty")),
    ),
    "mistral": Family("mistral", top_k=("top_k",)),
    "openai": Family("openai", "effort", fields=_OPENAI_FIELDS),
}

_GROUPS = frozenset(
    ("us", "us-gov", "eu", "apac", "global", "jp", "au", "ca", "in", "kr", "uk", "sa", "me", "af")
)
"""What stands before a model's id in a cross-region profile: a group of regions."""


@lru_cache(256)
def family_of(model: str) -> Family:
    """The family of a model id, a profile or an ARN."""
    base = base_model(model)
    vendor = base.partition(".")[0] if "." in base and not base.startswith("arn:") else ""
    family = _FAMILIES.get(vendor) or Family(vendor)
    if vendor == "amazon" and "nova-2" in base:
        return family._replace(thinks="nova")
    return family


@lru_cache(256)
def base_model(model: str) -> str:
    """The foundation model's id, as far as a profile or an ARN tells it; else what was given."""
    name = model
    if model.startswith("arn:"):
        kind, _, name = model.split(":", 5)[-1].partition("/")
        if kind not in ("foundation-model", "inference-profile"):
            return model
    group, _, rest = name.partition(".")
    return rest if group in _GROUPS else name


@lru_cache(256)
def path_of(model: str, action: str) -> str:
    """The request target of an action: `:` and `/` of a model's id are encoded."""
    return f"/model/{quote(model, safe='-._~')}/{action}"
