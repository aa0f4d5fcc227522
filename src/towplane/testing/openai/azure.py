"""What a resource of Azure OpenAI does otherwise: paths, keys, its own errors, filters, headers.

Shapes: Microsoft Learn "Azure OpenAI REST API reference", "Content filtering", "Manage traffic with
spillover"; error bodies as seen in public issues. No HTTP and no clock here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

from towplane.testing.openai.chat import Frame
from towplane.testing.openai.errors import error

__all__ = [
    "Azure",
    "Where",
    "denied",
    "filter_body",
    "filter_frames",
    "filtered",
    "limited",
    "no_deployment",
    "not_found",
    "parse",
]

VERSIONS = frozenset(("2024-06-01", "2024-10-21", "2025-03-01-preview", "2025-04-01-preview"))
_OPERATIONS = ("chat/completions", "completions", "embeddings")
_SAFE = {
    name: {"filtered": False, "severity": "safe"}
    for name in ("hate", "self_harm", "sexual", "violence")
}
_FOUND = _SAFE | {"violence": {"filtered": True, "severity": "high"}}


@dataclass(slots=True)
class Azure:
    """A resource: how it is entered, and which of its deployments spill over."""

    keys: tuple[str, ...] = ("azure-key",)
    tokens: dict[str, float] = field(default_factory=dict)
    """Entra tokens, and until when each holds, on the wall clock."""
    region: str = "Sweden Central"
    versions: frozenset[str] = VERSIONS
    spillover: dict[str, str] = field(default_factory=dict)
    """By provisioned deployment: its property `spilloverDeploymentName`."""


class Where(NamedTuple):
    """What a path asks for."""

    operation: str
    """As `chat/completions`."""
    deployment: str = ""
    """Of a deployment URL; empty: the body names it."""
    version: str | None = None
    is_v1: bool = False


def parse(path: str) -> Where | None:
    """Read a request's target; None where Azure knows no such path."""
    path, _, query = path.partition("?")
    version = parse_qs(query).get("api-version", [None])[0]
    if path.startswith("/openai/v1/"):
        return Where(path.removeprefix("/openai/v1/"), "", version, is_v1=True)
    if path.startswith("/openai/deployments/"):
        name, _, operation = path.removeprefix("/openai/deployments/").partition("/")
        return Where(operation, unquote(name), version) if operation in _OPERATIONS else None
    if path in ("/openai/responses", "/openai/models"):
        return Where(path.removeprefix("/openai/"), "", version)
    return None


def not_found() -> dict[str, Any]:
    """What Azure says of a path, or of an api-version, that it does not know."""
    return {"error": {"code": "404", "message": "Resource not found"}}


def no_deployment() -> dict[str, Any]:
    """What it says of a deployment that is not there."""
    say = (
        "The API deployment for this resource does not exist. If you created the deployment within "
        "the last 5 minutes, please wait a moment and try again."
    )
    return {"error": {"code": "DeploymentNotFound", "message": say}}


def denied(*, token: bool) -> dict[str, Any]:
    """What it says of a key or a token that is wrong."""
    if token:
        say = (
            "Unauthorized. Access token is missing, invalid, audience is incorrect "
            "(https://cognitiveservices.azure.com), or have expired."
        )
        return {"statusCode": 401, "message": say}
    say = (
        "Access denied due to invalid subscription key or wrong API endpoint. Make sure to "
        "provide a valid key for an active subscription and use a correct regional API endpoint "
        "for your resource."
    )
    return {"error": {"code": "401", "message": say}}


def limited(seconds: int, version: str | None) -> dict[str, Any]:
    """What it says above a limit."""
    say = (
        "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version "
        f"{version or 'v1'} have exceeded token rate limit of your current OpenAI S0 pricing tier. "
        f"Please retry after {seconds} seconds."
    )
    return {"error": {"code": "429", "message": say}}


def filtered() -> dict[str, Any]:
    """What it says of a prompt that its filter stopped."""
    say = (
        "The response was filtered due to the prompt triggering Azure OpenAI's content management "
        "policy. Please modify your prompt and retry."
    )
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": _FOUND}
    return error(say, None, "content_filter", "prompt", status=400, innererror=inner)


def filter_body(body: dict[str, Any]) -> dict[str, Any]:
    """A chat answer with what the filter found."""
    choices = [
        choice
        | {
            "content_filter_results": _FOUND
            if choice["finish_reason"] == "content_filter"
            else _SAFE
        }
        for choice in body["choices"]
    ]
    results = [{"prompt_index": 0, "content_filter_results": _SAFE}]
    return body | {"choices": choices, "prompt_filter_results": results}


def filter_frames(frames: Iterator[Frame]) -> Iterator[Frame]:
    """A chat stream with what the filter found: first of the prompt, in a chunk without choices."""
    results = [{"prompt_index": 0, "content_filter_results": _SAFE}]
    head = {"id": "", "object": "", "created": 0, "model": "", "choices": []}
    yield Frame(head | {"prompt_filter_results": results})
    for frame in frames:
        data = frame.data
        if not isinstance(data, dict):
            yield frame
            continue
        choices = []
        for choice in data["choices"]:
            ends = choice["finish_reason"] == "content_filter"
            found = _FOUND if ends else _SAFE if choice.get("delta", {}).get("content") else {}
            choices.append(choice | {"content_filter_results": found})
        yield frame._replace(data=data | {"choices": choices})
