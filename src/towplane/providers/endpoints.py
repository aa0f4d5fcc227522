"""Where a provider is called: scheme, host, port and base path of each kind, and what its adapter
needs to know besides. Pure; one match over all kinds."""

from typing import NamedTuple, assert_never
from urllib.parse import urlsplit

import msgspec

from towplane.providers.spec import (
    AnthropicSpec,
    AzureOpenAISpec,
    BedrockSpec,
    OpenAICompatibleSpec,
    OpenAISpec,
    ProviderSpec,
    VertexSpec,
)

__all__ = ["Endpoint", "endpoint_of", "kind_of"]


class Endpoint(NamedTuple):
    """Where and how."""

    host: str
    port: int
    path: str
    """What stands before every path, without a slash at its end."""
    is_tls: bool
    options: dict[str, str]


def kind_of(spec: ProviderSpec) -> str:
    """The word of its `kind`."""
    return str(spec.__struct_config__.tag)


def endpoint_of(spec: ProviderSpec) -> Endpoint:
    """The endpoint of a provider."""
    match spec:
        case OpenAICompatibleSpec():
            return _at(spec.endpoint, {"apis": " ".join(spec.apis)})
        case OpenAISpec():
            options = {"organization": spec.organization or "", "project": spec.project or ""}
            return _at(spec.endpoint, options)
        case AnthropicSpec():
            return _at(spec.endpoint, {})
        case AzureOpenAISpec():
            spillover = msgspec.json.encode(spec.spillover).decode() if spec.spillover else ""
            options = {"api_version": spec.api_version or "", "spillover": spillover}
            return _at(spec.endpoint, options)
        case BedrockSpec():
            options = {"region": spec.region, "service": spec.service or "", "api": spec.api}
            host = f"https://bedrock-runtime.{spec.region}.amazonaws.com"
            return _at(spec.endpoint or host, options)
        case VertexSpec():
            options = {"project": spec.project, "location": spec.location, "api": spec.api}
            return _at(spec.endpoint or f"https://{_vertex_host(spec.location)}", options)
    assert_never(spec)


def _at(url: str, options: dict[str, str]) -> Endpoint:
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    given = {name: value for name, value in options.items() if value}
    port = parts.port or (443 if is_tls else 80)
    return Endpoint(parts.hostname or "", port, parts.path.rstrip("/"), is_tls, given)


def _vertex_host(location: str) -> str:
    if location == "global":
        return "aiplatform.googleapis.com"
    if location in ("us", "eu"):  # multi-regions have hosts of their own
        return f"aiplatform.{location}.rep.googleapis.com"
    return f"{location}-aiplatform.googleapis.com"
