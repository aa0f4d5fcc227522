"""Tokens of Entra for Azure OpenAI, by azure-identity.

Each is asked for with a credential object of its own, because the objects keep a token until
shortly before its end, and when to renew is decided here. In the clouds of governments the
authority and the scope follow from the endpoint; `AZURE_AUTHORITY_HOST` names another authority, as
azure-identity reads it.
"""

import os
from typing import Any
from urllib.parse import urlsplit

from towplane.parts.extras import load_extra
from towplane.providers.credentials.keys import STARS
from towplane.providers.credentials.source import Issued, NotIssued, Reveal, Source, Via, clean
from towplane.providers.spec import AzureCredential

__all__ = ["entra_source"]

_CLOUDS = {
    ".azure.us": ("login.microsoftonline.us", "https://cognitiveservices.azure.us/.default"),
    ".azure.cn": ("login.chinacloudapi.cn", "https://cognitiveservices.azure.cn/.default"),
}
"""By the end of the endpoint's host: authority and scope (azure-identity `AzureAuthorityHosts`)."""
_PATIENCE = {"retry_total": 2, "connection_timeout": 5, "read_timeout": 15}
"""azure-core waits for five minutes by itself."""
SCOPE = "https://cognitiveservices.azure.com/.default"


def entra_source(
    name: str, one: AzureCredential, endpoint: str, reveal: Reveal, via: Via
) -> Source:
    """A source of bearer tokens."""
    references = (one.client_secret, via.authorization)
    return Source(
        name=name,
        how=_say(one),
        issue=lambda: _issue(one, endpoint, reveal, via),
        sample=Issued((("authorization", "Bearer " + STARS),)),
        made_of=(one, endpoint, via),
        references=frozenset(filter(None, references)),
    )


def _say(one: AzureCredential) -> str:
    if one.managed_identity:
        return f"managed identity {one.client_id}" if one.client_id else "managed identity"
    if one.workload_identity is not None:
        return f"workload identity {one.client_id}"
    way = "certificate" if one.certificate is not None else "client secret"
    return f"{way} of {one.client_id}"


def _issue(one: AzureCredential, endpoint: str, reveal: Reveal, via: Via) -> Issued:
    identity = load_extra("azure.identity", "azure")
    errors = load_extra("azure.core.exceptions", "azure")
    secret = reveal(one.client_secret) if one.client_secret is not None else ""
    host = urlsplit(endpoint).hostname or ""
    cloud = next((found for end, found in _CLOUDS.items() if host.endswith(end)), None)
    authority, scope = cloud or (None, SCOPE)
    try:
        credential = _make(identity, one, secret, _options(authority, reveal, via))
        with credential:
            token = credential.get_token(scope)
    except (errors.AzureError, ValueError, OSError) as error:
        say = getattr(error, "message", "") or str(error)
        raise NotIssued(
            clean(say, secret), next_step="check tenant_id, client_id and what proves them"
        ) from None
    return Issued((("authorization", f"Bearer {token.token}"),), expires_at=float(token.expires_on))


def _options(authority: str | None, reveal: Reveal, via: Via) -> dict[str, Any]:
    options: dict[str, Any] = {**_PATIENCE}
    given = os.environ.get("AZURE_AUTHORITY_HOST")
    if given:
        # An authority of one's own is not known to the public one, which need not be reachable.
        options["disable_instance_discovery"] = True
    elif authority is not None:
        options["authority"] = authority
    if via.proxy is not None:
        options["proxies"] = via.proxies(reveal)
        if via.ca is not None:
            options["connection_verify"] = via.ca
    return options


def _make(identity: Any, one: AzureCredential, secret: str, options: dict[str, Any]) -> Any:
    if one.managed_identity:
        return identity.ManagedIdentityCredential(client_id=one.client_id, **_PATIENCE)
    if one.workload_identity is not None:
        return identity.WorkloadIdentityCredential(
            tenant_id=one.tenant_id,
            client_id=one.client_id,
            token_file_path=one.workload_identity,
            **options,
        )
    if one.certificate is not None:
        return identity.CertificateCredential(
            one.tenant_id, one.client_id, one.certificate, **options
        )
    return identity.ClientSecretCredential(one.tenant_id, one.client_id, secret, **options)
