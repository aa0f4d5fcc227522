"""What can be wrong with providers: how they are reached, what they allow, what is provisioned.

Pure, as `document.check`, which composes it; credentials are judged by `check_credentials`.
"""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from towplane.document.check_credentials import check_credentials
from towplane.document.check_discover import check_discover
from towplane.document.check_signals import check_signals
from towplane.document.finding import Finding, say_name
from towplane.document.plane import Plane
from towplane.document.problems import Place, find_nearest
from towplane.providers.spec import (
    AnthropicSpec,
    AzureOpenAISpec,
    BedrockSpec,
    Egress,
    OpenAICompatibleSpec,
    OpenAISpec,
    ProviderSpec,
    VertexSpec,
)
from towplane.routing.spec import TargetSpec

__all__ = ["check_providers"]

_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]+", re.ASCII)
_LOCATION = re.compile(r"global|us|eu|[a-z]+-[a-z]+[0-9]+", re.ASCII)
_API_VERSION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?|preview|latest", re.ASCII)


def check_providers(plane: Plane) -> Iterator[Finding]:
    """Findings within each provider, and of the models that it names."""
    for name, provider in plane.providers.items():
        place = ("providers", name)
        yield from check_credentials(place, provider)
        yield from _check_egress(place, provider)
        yield from _check_limits(place, provider)
        yield from _check_kind(place, provider)
        models = _models_of(plane, name)
        yield from _check_provisioned(place, provider, models)
        if isinstance(provider, AzureOpenAISpec):
            yield from _check_spillover(place, provider, models)
        if isinstance(provider, OpenAICompatibleSpec):
            yield from check_discover(place, provider)
            yield from check_signals(place, provider)


def _check_egress(place: Place, provider: ProviderSpec) -> Iterator[Finding]:
    egress = provider.egress
    here = (*place, "egress")
    if egress.certificate_key is not None and egress.certificate is None:
        what = "a key without its certificate"
        expected = "egress.certificate beside it"
        yield Finding(place=(*here, "certificate_key"), what=what, expected=expected)
    if egress.proxy_authorization is not None and egress.proxy is None:
        what, expected = "no proxy to show it to", "egress.proxy beside it"
        yield Finding(place=(*here, "proxy_authorization"), what=what, expected=expected)
    yield from _check_proxy((*here, "proxy"), egress)
    if isinstance(provider, OpenAICompatibleSpec) and provider.ca and egress.ca:
        what, expected = "two lists of authorities", "only egress.ca"
        yield Finding(place=(*place, "ca"), what=what, expected=expected)
    if egress.certificate is not None and _scheme_of(provider) == "http":
        what, expected = "no TLS, so no client certificate is shown", "an https endpoint"
        yield Finding(place=(*here, "certificate"), what=what, expected=expected)


def _check_proxy(place: Place, egress: Egress) -> Iterator[Finding]:
    if egress.proxy is None:
        return
    url = urlsplit(egress.proxy)
    if url.scheme == "https":
        what, expected = "TLS to the proxy itself is not spoken", "http://HOST:PORT"
        yield Finding(place=place, what=what, expected=expected)
    elif url.path:
        yield Finding(place=place, what="a proxy has no path", expected="http://HOST:PORT")


def _check_limits(place: Place, provider: ProviderSpec) -> Iterator[Finding]:
    limits = provider.limits
    for name, value in (
        ("rpm", limits.rpm),
        ("tpm", limits.tpm),
        ("concurrency", limits.concurrency),
    ):
        if value == 0:
            yield Finding(
                place=(*place, "limits", name),
                what="zero would let nothing through",
                expected="a number from 1 up, or no such key",
            )
    if limits.rpm and limits.tpm and limits.tpm < limits.rpm:
        yield Finding(
            place=(*place, "limits", "tpm"),
            what="fewer tokens than requests in a minute",
            severity="warning",
        )


def _check_kind(place: Place, provider: ProviderSpec) -> Iterator[Finding]:
    match provider:
        case OpenAISpec() if not urlsplit(provider.endpoint).path:
            yield Finding(
                place=(*place, "endpoint"),
                what="no version path",
                expected=f"{provider.endpoint}/v1",
                severity="warning",
            )
        case AnthropicSpec() if provider.endpoint.endswith("/v1"):
            what, expected = "a version path", provider.endpoint.removesuffix("/v1")
            yield Finding(place=(*place, "endpoint"), what=what, expected=expected)
        case AzureOpenAISpec(api_version=str(version)) if not _API_VERSION.fullmatch(version):
            yield Finding(
                place=(*place, "api_version"),
                what="not a version of the API",
                expected="such as 2025-04-01-preview, or none for the v1 API",
                found=say_name(version),
            )
        case BedrockSpec() if not _REGION.fullmatch(provider.region):
            what, expected = "not a region of AWS", "such as us-east-1"
            found = say_name(provider.region)
            yield Finding(place=(*place, "region"), what=what, expected=expected, found=found)
        case VertexSpec() if not _LOCATION.fullmatch(provider.location):
            yield Finding(
                place=(*place, "location"),
                what="not a location of Google Cloud",
                expected="such as europe-west4, us, eu or global",
                found=say_name(provider.location),
            )


def _check_provisioned(place: Place, provider: ProviderSpec, models: set[str]) -> Iterator[Finding]:
    for index, capacity in enumerate(provider.provisioned):
        here = (*place, "provisioned", index)
        if not capacity.models:
            yield Finding(place=(*here, "models"), what="no model", expected="at least one")
        if capacity.until is not None and capacity.until <= capacity.since:
            expected = f"a day after {capacity.since}"
            what = "it ends before it begins"
            yield Finding(
                place=(*here, "until"), what=what, expected=expected, found=capacity.until
            )
        if capacity.units == 0:
            yield Finding(place=(*here, "units"), what="no unit", expected="at least 1")
        for number, model in enumerate(capacity.models):
            yield from _check_used((*here, "models", number), model, models)


def _check_spillover(
    place: Place, provider: AzureOpenAISpec, models: set[str]
) -> Iterator[Finding]:
    for name, other in provider.spillover.items():
        here = (*place, "spillover", name)
        if other in ("", name):
            what = "a deployment spills over into itself" if other else "an empty name"
            yield Finding(place=here, what=what, expected="the name of another deployment")
        yield from _check_used(here, name, models, at_key=True)


def _check_used(
    place: Place, model: str, models: set[str], *, at_key: bool = False
) -> Iterator[Finding]:
    """Paid for or prepared, and no route leads there: allowed, but most likely a slip."""
    if model not in models:
        yield Finding(
            place=place,
            what="no route uses this model of the provider",
            found=say_name(model),
            nearest=find_nearest(model, models),
            at_key=at_key,
            severity="warning",
        )


def _models_of(plane: Plane, name: str) -> set[str]:
    """The models that routes use at a provider."""
    return {
        target.model or model
        for model, route in plane.routing.items()
        for target in (*route.targets, *route.fallback)
        if isinstance(target, TargetSpec) and target.provider == name
    }


def _scheme_of(provider: ProviderSpec) -> str:
    return urlsplit(provider.endpoint).scheme if provider.endpoint else "https"
