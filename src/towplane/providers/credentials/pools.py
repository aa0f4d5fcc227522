"""The pool of a provider: a source for each credential that its section lists. Pure."""

from typing import assert_never

from towplane.providers.credentials.keys import header_source
from towplane.providers.credentials.source import Reveal, Source, Via
from towplane.providers.spec import (
    AnthropicSpec,
    AzureOpenAISpec,
    BedrockSpec,
    OpenAICompatibleSpec,
    OpenAISpec,
    ProviderSpec,
    VertexSpec,
)

__all__ = ["open_credentials"]


def open_credentials(name: str, spec: ProviderSpec, reveal: Reveal) -> list[Source]:
    """The sources of the provider `name`; nothing is read or asked yet."""
    via = _via(spec)
    match spec:
        case OpenAICompatibleSpec() | OpenAISpec():
            return [
                header_source(
                    f"{name}#{number}",
                    one.api_key,
                    reveal,
                    header="authorization",
                    scheme="Bearer ",
                )
                for number, one in enumerate(spec.credentials, start=1)
            ]
        case AnthropicSpec():
            return [
                header_source(f"{name}#{number}", one.api_key, reveal, header="x-api-key")
                for number, one in enumerate(spec.credentials, start=1)
            ]
        case AzureOpenAISpec():
            from towplane.providers.credentials.azure import entra_source  # by who needs it

            return [
                entra_source(f"{name}#{number}", one, spec.endpoint, reveal, via)
                if one.api_key is None
                else header_source(f"{name}#{number}", one.api_key, reveal, header="api-key")
                for number, one in enumerate(spec.credentials, start=1)
            ]
        case BedrockSpec():
            from towplane.providers.credentials.aws import aws_source

            return [
                aws_source(f"{name}#{number}", one, spec.region, reveal, via)
                for number, one in enumerate(spec.credentials, start=1)
            ]
        case VertexSpec():
            from towplane.providers.credentials.google import google_source

            return [
                google_source(f"{name}#{number}", one, reveal, via)
                for number, one in enumerate(spec.credentials, start=1)
            ]
    assert_never(spec)


def _via(spec: ProviderSpec) -> Via:
    egress = spec.egress
    if egress.proxy is None:
        return Via()  # `ca` and `address` are the endpoint's alone
    return Via(egress.proxy, egress.proxy_authorization, egress.ca)
