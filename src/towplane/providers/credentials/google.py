"""Access tokens of Google Cloud, by google-auth: service accounts, federation, what a machine has.

The scope is cloud-platform, as the Vertex AI documentation asks. A user's login (`gcloud auth
application-default login`) bills a project of its own, which goes along as a header.
"""

import calendar
import os
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from towplane.parts.extras import load_extra
from towplane.providers.credentials.keys import STARS, header_source
from towplane.providers.credentials.source import Issued, NotIssued, Reveal, Source, Via, clean
from towplane.providers.spec import VertexCredential

__all__ = ["google_source"]

_WITHIN_S = 15
"""google-auth waits for two minutes by itself."""
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def google_source(name: str, one: VertexCredential, reveal: Reveal, via: Via) -> Source:
    """A source of bearer tokens, or of an express key."""
    if one.api_key is not None:
        return header_source(name, one.api_key, reveal, header="x-goog-api-key")
    if one.service_account is not None:
        how = "service account"
    else:
        how = "workload identity federation" if one.federation else "application default"
    return Source(
        name=name,
        how=how,
        issue=lambda: _issue(one, reveal, via),
        sample=Issued((("authorization", "Bearer " + STARS),)),
        made_of=(one, via),
        references=frozenset(filter(None, (one.service_account, via.authorization))),
    )


def _issue(one: VertexCredential, reveal: Reveal, via: Via) -> Issued:
    auth = load_extra("google.auth", "vertex")
    transport = load_extra("google.auth.transport.requests", "vertex")
    errors = load_extra("google.auth.exceptions", "vertex")
    requests = load_extra("requests", "vertex")
    hidden: list[str] = []
    with requests.Session() as session:
        if via.proxy is not None:
            session.proxies = via.proxies(reveal)
            session.verify = via.ca or True
        try:
            credentials = _load(auth, one, reveal, hidden)
            credentials.refresh(partial(transport.Request(session), timeout=_WITHIN_S))
        except (errors.GoogleAuthError, ValueError, OSError) as error:
            say = str(error.args[0] if error.args else error)
            raise NotIssued(
                clean(say, *hidden), next_step="check the account, its key, and the clock"
            ) from None
    headers: tuple[tuple[str, str], ...] = (("authorization", f"Bearer {credentials.token}"),)
    project = getattr(credentials, "quota_project_id", None)
    if project:
        headers += (("x-goog-user-project", project),)
    expiry = credentials.expiry  # naive, UTC
    return Issued(headers, expires_at=calendar.timegm(expiry.timetuple()) if expiry else None)


def _load(auth: Any, one: VertexCredential, reveal: Reveal, hidden: list[str]) -> Any:
    if one.service_account is not None:
        account = load_extra("google.oauth2.service_account", "vertex")
        info = _decode(reveal(one.service_account))
        hidden.append(str(info.get("private_key", "")))
        return account.Credentials.from_service_account_info(info, scopes=[SCOPE])
    if one.federation is not None:
        return _federation(_decode(Path(one.federation).read_text()))
    named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if named:
        info = _decode(Path(named).read_text())
        if info.get("type") == "external_account":
            return _federation(info)
    return auth.default(scopes=[SCOPE])[0]


def _federation(info: dict[str, object]) -> Any:
    """As `google.auth.default` chooses, but without its look-up of the project: that is a call to
    another API, which this needs no right for, and the document names the project."""
    if info.get("type") != "external_account":
        raise ValueError("a federation configuration has the type external_account")
    source = info.get("credential_source")
    if info.get("subject_token_type") == "urn:ietf:params:aws:token-type:aws4_request":
        kind = "google.auth.aws"
    elif isinstance(source, dict) and "executable" in source:
        kind = "google.auth.pluggable"
    else:
        kind = "google.auth.identity_pool"
    return load_extra(kind, "vertex").Credentials.from_info(info, scopes=[SCOPE])


def _decode(text: str) -> dict[str, object]:
    try:
        return msgspec.json.decode(text, type=dict[str, object])
    except msgspec.DecodeError:
        raise ValueError("it is not a JSON object") from None
