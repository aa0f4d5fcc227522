"""From a provider's section to how workers reach it. Pure, and quick to import: a plane checks the
certificates that are named here before it starts anything else."""

from collections.abc import Callable
from urllib.parse import urlsplit

from towplane.gateway.messages import EgressInfo
from towplane.parts.addresses import split_address
from towplane.providers.spec import OpenAICompatibleSpec, ProviderSpec

__all__ = ["egress_of"]


def egress_of(provider: ProviderSpec, reveal: Callable[[str], str] | None = None) -> EgressInfo:
    """How a provider is reached; without `reveal`, without the word for its proxy."""
    spec = provider.egress
    ca = spec.ca
    if isinstance(provider, OpenAICompatibleSpec) and ca is None:
        ca = provider.ca
    word = spec.proxy_authorization
    return EgressInfo(
        ca=ca,
        certificate=spec.certificate,
        certificate_key=spec.certificate_key,
        proxy=_proxy(spec.proxy) if spec.proxy is not None else None,
        proxy_authorization=reveal(word) if reveal is not None and word is not None else "",
        address=split_address(spec.address) if spec.address is not None else None,
    )


def _proxy(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 80
