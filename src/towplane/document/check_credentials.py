"""What can be wrong with credentials: no way, two ways, or half of one.

Pure, as `document.check`, which composes it; it sees references, never what is behind them.

The law: a credential has exactly one way to be had, with all that this way needs and nothing else.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from towplane.document.finding import Finding, say_name
from towplane.document.problems import Place
from towplane.providers.spec import (
    AzureCredential,
    BedrockCredential,
    OpenAICompatibleSpec,
    ProviderSpec,
    VertexCredential,
    VertexSpec,
)

__all__ = ["check_credentials"]

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/.+", re.ASCII)
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)  # STS API reference, AssumeRole


def check_credentials(place: Place, provider: ProviderSpec) -> Iterator[Finding]:
    """Findings within the pool of one provider."""
    credentials = provider.credentials
    if not credentials and not isinstance(provider, OpenAICompatibleSpec):
        yield Finding(place=(*place, "credentials"), what="no credential", expected="at least one")
    for index, one in enumerate(credentials):
        here = (*place, "credentials", index)
        if one in credentials[:index]:
            yield Finding(place=here, what="the same credential twice", expected="one entry")
        match one:
            case BedrockCredential():
                yield from _check_bedrock(here, one)
            case AzureCredential():
                yield from _check_azure(here, one)
            case VertexCredential():
                yield from _check_vertex(here, one)
    if isinstance(provider, VertexSpec) and not provider.project:
        yield from _check_project(place, provider)


def _check_project(place: Place, provider: VertexSpec) -> Iterator[Finding]:
    if not all(one.api_key for one in provider.credentials):
        yield Finding(
            place=(*place, "project"),
            what="no project",
            expected="the Google Cloud project; only express mode, with nothing but api_key, "
            "needs none",
        )


def _check_bedrock(place: Place, one: BedrockCredential) -> Iterator[Finding]:
    ways = {
        "access_key": one.access_key or one.secret_key or one.session_token,
        "profile": one.profile,
        "instance": one.instance,
        "bearer": one.bearer,
        "web_identity": one.web_identity,
    }
    if one.role is not None and not any(ways.values()):
        yield Finding(
            place=(*place, "role"),
            what="a role needs somebody who assumes it",
            expected="access_key and secret_key, profile, instance or web_identity beside it",
        )
    else:
        yield from _check_ways(place, ways)
    keys = {"access_key": one.access_key, "secret_key": one.secret_key}
    if any(keys.values()) or one.session_token:
        yield from _check_needs(place, "a static key", keys)
    if one.web_identity:
        yield from _check_needs(place, "web_identity", {"role": one.role})
    if one.external_id and (one.role is None or one.web_identity):
        what = "a web identity is not asked for it" if one.web_identity else "no role asks for it"
        yield Finding(place=(*place, "external_id"), what=what)
    if one.role is not None and one.bearer:
        yield Finding(place=(*place, "role"), what="a bearer key cannot assume a role")
    if one.role is not None and not _ROLE.fullmatch(one.role):
        yield Finding(
            place=(*place, "role"),
            what="not the ARN of a role",
            expected="arn:aws:iam::ACCOUNT:role/NAME",
            found=say_name(one.role),
        )
    if not _SESSION_NAME.fullmatch(one.session_name):
        yield Finding(
            place=(*place, "session_name"),
            what="not a session name",
            expected="2 to 64 letters, digits and _+=,.@-",
            found=say_name(one.session_name),
        )


def _check_azure(place: Place, one: AzureCredential) -> Iterator[Finding]:
    ways: dict[str, object] = {
        "api_key": one.api_key,
        "client_secret": one.client_secret,
        "certificate": one.certificate,
        "managed_identity": one.managed_identity,
        "workload_identity": one.workload_identity,
    }
    yield from _check_ways(place, ways)
    for way in ("client_secret", "certificate", "workload_identity"):
        if ways[way]:
            needs = {"tenant_id": one.tenant_id, "client_id": one.client_id}
            yield from _check_needs(place, way, needs)
    for name, value, fitting in (
        ("tenant_id", one.tenant_id, ("client_secret", "certificate", "workload_identity")),
        (
            "client_id",
            one.client_id,
            ("client_secret", "certificate", "workload_identity", "managed_identity"),
        ),
    ):
        is_stray = any(ways.values()) and not any(ways[way] for way in fitting)
        if value and is_stray:
            yield _stray((*place, name), fitting)


def _check_vertex(place: Place, one: VertexCredential) -> Iterator[Finding]:
    yield from _check_ways(
        place,
        {
            "service_account": one.service_account,
            "federation": one.federation,
            "application_default": one.application_default,
            "api_key": one.api_key,
        },
    )


def _check_ways(place: Place, ways: Mapping[str, object]) -> Iterator[Finding]:
    given = [name for name, value in ways.items() if value]
    if len(given) != 1:
        yield Finding(
            place=place,
            what="several ways to one credential" if given else "no way to a credential",
            expected=f"exactly one of {', '.join(ways)}",
            found=" and ".join(given),
        )


def _check_needs(place: Place, way: str, needs: Mapping[str, object]) -> Iterator[Finding]:
    for name, value in needs.items():
        if not value:
            yield Finding(place=(*place, name), what="missing key", expected=f"{way} needs it")


def _stray(place: Place, fitting: Sequence[str]) -> Finding:
    return Finding(
        place=place,
        what="nothing asks for it",
        expected=f"one of {', '.join(fitting)} beside it, or no such key",
    )
