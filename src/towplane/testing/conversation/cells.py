"""The cells of the matrix and how each ends: supported, refused by a parameter's name, or not
applicable, for a reason of the table below. A cell that ends otherwise is a failed test."""

import re
from typing import Any, NamedTuple

from towplane.testing.conversation.features import FEATURES
from towplane.testing.conversation.scene import Scene
from towplane.testing.conversation.upstreams import UPSTREAMS, Act

__all__ = ["CELLS", "DIALECTS", "NOT_APPLICABLE", "SUPPORTED", "Cell", "play", "reason_against"]

DIALECTS = {
    "chat": "Chat completions (`openai`)",
    "responses": "Responses (`openai`)",
    "messages": "Messages (`anthropic`)",
}
"""By name: the dialect, and the official client that speaks it."""
SUPPORTED = "supported"
_REASONS = ("unsupported-parameter", "unsupported-operation")
_NAMED = re.compile(r"`([^`]+)` has no counterpart")

_OPENAI = ("openai-compatible", "openai", "azure-v1", "azure-deployments", "bedrock-openai",
           "vertex-openai")  # fmt: skip
_RESPONSES = ("openai", "azure-v1", "azure-deployments", "bedrock-openai")
_SAME = "The provider speaks this dialect: every field passes, none is dropped."
_SILENT = ("openai", "azure-v1", "azure-deployments", "bedrock-openai", "vertex-openai")


class Cell(NamedTuple):
    """One of them."""

    dialect: str
    upstream: str
    feature: str

    @property
    def id(self) -> str:
        """As in the names of tests."""
        return f"{self.dialect}-{self.upstream}-{self.feature}"


CELLS: tuple[Cell, ...] = tuple(
    Cell(dialect, upstream, name)
    for dialect in DIALECTS
    for upstream in UPSTREAMS
    for name, feature in FEATURES.items()
    if dialect in feature.dialects
)

Rule = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], str]
"""Dialects, providers and features; an empty one is all of them. And why."""
NOT_APPLICABLE: tuple[Rule, ...] = (
    (("responses",), (), ("stop", "seed", "samples"), "Responses has no such parameter."),
    (("messages",), (), ("seed", "samples", "logprobs", "json"),
     "Messages has no such parameter."),
    (("chat", "messages"), _SILENT, ("thoughts",), "This API bills thoughts and shows none."),
    (("chat", "messages"), _OPENAI, ("signatures",), "This API signs nothing."),
    (("responses",), ("openai-compatible", "vertex-openai"), ("signatures",),
     "This API signs nothing."),
    (("chat",), _OPENAI, ("dropped-field",), _SAME),
    (("responses",), _RESPONSES, ("dropped-field",), _SAME),
    (("messages",), ("anthropic", "bedrock-invoke", "vertex-claude"), ("dropped-field",), _SAME),
    (("chat", "responses"), (*_OPENAI, "vertex-gemini"), ("citations",),
     "Only a search of the API's own has sources here."),
    ((), ("vertex-gemini",), ("refusal",), "Gemini declines in plain words, or is filtered."),
    ((), ("bedrock-converse",), ("refusal",), "Converse has no stop reason for a refusal."),
    ((), ("bedrock-invoke",), ("filter",),
     "The plane asks for no guardrail with InvokeModel."),
    ((), ("bedrock-openai",), ("cache",), "This API says nothing of a cache."),
)  # fmt: skip
"""The one table of what a cell cannot show."""


def reason_against(cell: Cell) -> str:
    """Why a cell cannot show its feature; empty: it can."""
    for dialects, upstreams, features, why in NOT_APPLICABLE:
        if (
            (not dialects or cell.dialect in dialects)
            and (not upstreams or cell.upstream in upstreams)
            and (not features or cell.feature in features)
        ):
            return why
    return ""


def play(scene: Scene, cell: Cell) -> str:
    """How the cell ends: `SUPPORTED`, or `refused: PARAMETER`. Raises where it is neither."""
    feature = FEATURES[cell.feature]
    scene.up.play(Act())
    before = scene.up.asked
    try:
        feature.run(scene)
    except scene.talk().errors.BadRequestError as error:
        param = _refused(error)
        if param not in feature.params or scene.up.asked != before:
            raise
        return f"refused: {param}"
    return SUPPORTED


def _refused(error: Any) -> str:
    """The parameter that the plane refused; empty: it was something else."""
    reason = error.response.headers.get("x-towplane-reason")
    if reason not in _REASONS:
        return ""
    if reason == "unsupported-operation":
        return "model"
    found = _NAMED.search(str(error))
    return found[1] if found is not None else ""
