"""Credentials that are keys: ready to be sent as they are, never refreshed."""

from collections.abc import Callable

from towplane.providers.adapter import Credential
from towplane.providers.spec import AnthropicSpec, OpenAICompatibleSpec, OpenAISpec

__all__ = ["key_credentials"]


def key_credentials(
    name: str,
    spec: OpenAICompatibleSpec | OpenAISpec | AnthropicSpec,
    reveal: Callable[[str], str],
) -> tuple[Credential, ...]:
    """The pool of a provider that knows keys only; `reveal` gives the secret of a reference."""
    return tuple(
        Credential(f"{name}#{number}", (_header(spec, reveal(one.api_key)),))
        for number, one in enumerate(spec.credentials, start=1)
    )


def _header(spec: OpenAICompatibleSpec | OpenAISpec | AnthropicSpec, key: str) -> tuple[str, str]:
    if isinstance(spec, AnthropicSpec):
        return ("x-api-key", key)
    return ("authorization", f"Bearer {key}")
