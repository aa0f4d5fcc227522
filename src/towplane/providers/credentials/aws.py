"""Credentials of AWS, by botocore: keys, profiles, roles of machines, roles that are assumed.

Workers sign with what is issued here (`providers.bedrock.sigv4`) and never see botocore. A role is
assumed by the regional STS, from whatever stands beside it; a session without a refresh is an hour
long (AssumeRole, `DurationSeconds`), the most that a chain of roles may have.
"""

from pathlib import Path
from typing import Any

from towplane.parts.errors import Unsupported
from towplane.parts.extras import load_extra
from towplane.providers.credentials.keys import STARS, header_source
from towplane.providers.credentials.source import Issued, NotIssued, Reveal, Source, Via, clean
from towplane.providers.spec import BedrockCredential

__all__ = ["aws_source"]

RECHECK_S = 900.0
"""A profile may be written anew; a static one does not say when it ends."""
_CONNECT_S, _READ_S = 5, 10
_MACHINE = ("assume-role-with-web-identity", "container-role", "iam-role")
"""botocore's names of the ways that need nothing but the machine: IRSA's file, the endpoint of ECS
or EKS Pod Identity, the instance's metadata service."""


def aws_source(name: str, one: BedrockCredential, region: str, reveal: Reveal, via: Via) -> Source:
    """A source of keys to sign with, or of a bearer key."""
    if one.bearer is not None:
        return header_source(name, one.bearer, reveal, header="authorization", scheme="Bearer ")
    is_static = one.access_key is not None and one.role is None
    references = (one.access_key, one.secret_key, one.session_token, one.external_id)
    return Source(
        name=name,
        how=_say(one),
        issue=lambda: _static(one, reveal) if is_static else _issue(one, region, reveal, via),
        sample=Issued(aws=("AKIA" + STARS, STARS, STARS if _is_temporary(one) else "")),
        made_of=(one, region, via),
        references=frozenset(filter(None, (*references, via.authorization))),
        is_instant=is_static,
        recheck_s=None if is_static else RECHECK_S,
    )


def _say(one: BedrockCredential) -> str:
    if one.web_identity is not None:
        start = "web identity"
    elif one.profile is not None:
        start = f"profile {one.profile}"
    else:
        start = "instance role" if one.instance else "static key"
    return f"{start}, role {one.role}" if one.role else start


def _is_temporary(one: BedrockCredential) -> bool:
    return bool(one.role or one.session_token or one.instance or one.web_identity)


def _static(one: BedrockCredential, reveal: Reveal) -> Issued:
    assert one.access_key is not None
    assert one.secret_key is not None
    token = reveal(one.session_token) if one.session_token else ""
    return Issued(aws=(reveal(one.access_key), reveal(one.secret_key), token))


def _issue(one: BedrockCredential, region: str, reveal: Reveal, via: Via) -> Issued:
    botocore = load_extra("botocore.session", "bedrock")
    errors = load_extra("botocore.exceptions", "bedrock")
    hidden = [reveal(each) for each in (one.access_key, one.secret_key, one.external_id) if each]
    try:
        session = botocore.Session(profile=one.profile)
        if one.web_identity is not None:
            return _exchange(session, one, region, reveal, via)
        found = _static(one, reveal) if one.access_key is not None else _find(session, one)
        if one.role is None:
            return found
        assert found.aws is not None
        return _assume(session, one, region, reveal, via, found.aws)
    except errors.ClientError as error:
        said = error.response.get("Error", {})
        raise NotIssued(
            clean(f"STS: {said.get('Code')}: {said.get('Message')}", *hidden),
            next_step="check the role's trust policy and its external id",
        ) from None
    except errors.BotoCoreError as error:
        raise NotIssued(clean(str(error), *hidden)) from None


def _find(session: Any, one: BedrockCredential) -> Issued:
    """What a profile or the machine has."""
    if one.profile is not None:
        found = session.get_credentials()
    else:
        resolver = session.get_component("credential_provider")
        resolver.providers = [each for each in resolver.providers if each.METHOD in _MACHINE]
        found = resolver.load_credentials()
    if found is None:
        where = f"the profile {one.profile}" if one.profile else "this machine"
        raise NotIssued(f"{where} has no credentials of AWS")
    frozen = found.get_frozen_credentials()
    # botocore says when only to itself; without it, `recheck_s` asks again.
    expiry = getattr(found, "_expiry_time", None)
    return Issued(
        aws=(frozen.access_key, frozen.secret_key, frozen.token or ""),
        expires_at=expiry.timestamp() if expiry is not None else None,
    )


def _assume(
    session: Any,
    one: BedrockCredential,
    region: str,
    reveal: Reveal,
    via: Via,
    keys: tuple[str, str, str],
) -> Issued:
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    given = dict(zip(names, (*keys[:2], keys[2] or None), strict=True))
    sts = _sts(session, region, reveal, via, **given)
    wanted = {"RoleArn": one.role, "RoleSessionName": one.session_name}
    if one.external_id is not None:
        wanted["ExternalId"] = reveal(one.external_id)
    return _read(sts.assume_role(**wanted))


def _exchange(
    session: Any, one: BedrockCredential, region: str, reveal: Reveal, via: Via
) -> Issued:
    """A web identity's token for a role; it is read anew each time, for it is renewed, too."""
    assert one.web_identity is not None
    try:
        token = Path(one.web_identity).read_text().strip()
    except OSError as error:
        raise NotIssued(f"the token file {one.web_identity}: {error.strerror}") from None
    unsigned = load_extra("botocore", "bedrock").UNSIGNED
    sts = _sts(session, region, reveal, via, signature_version=unsigned)
    return _read(
        sts.assume_role_with_web_identity(
            RoleArn=one.role, RoleSessionName=one.session_name, WebIdentityToken=token
        )
    )


def _sts(
    session: Any,
    region: str,
    reveal: Reveal,
    via: Via,
    *,
    signature_version: Any = None,
    **keys: str | None,
) -> Any:
    config = load_extra("botocore.config", "bedrock").Config(
        proxies=via.proxies(reveal),
        connect_timeout=_CONNECT_S,
        read_timeout=_READ_S,
        retries={"total_max_attempts": 2},
        signature_version=signature_version,
    )
    return session.create_client("sts", region_name=region, config=config, verify=via.ca, **keys)


def _read(answer: dict[str, Any]) -> Issued:
    found = answer.get("Credentials")
    if found is None:
        raise Unsupported("STS answered without credentials")
    return Issued(
        aws=(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]),
        expires_at=found["Expiration"].timestamp(),
    )
