"""Checks what signs a request, as AWS does: SigV4 by computing it again, bearer keys by looking.

Written from AWS's description ("Create a signed AWS API request") alone; it shares nothing with the
signer that it checks. Messages are AWS's own ("Troubleshoot signed requests", public reports). No
clock and no socket: the caller says what time it is.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from towplane.testing.framing import Message

__all__ = ["Account", "AuthError", "check_signature", "signature_of"]

SKEW_S = 300.0
"""AWS says "5 min." in its messages."""
_CREDENTIAL = re.compile(r"Credential=([^,\s]+)")
_SIGNED = re.compile(r"SignedHeaders=([^,\s]+)")
_SIGNATURE = re.compile(r"Signature=([0-9a-f]{64})\s*$")


@dataclass(frozen=True, slots=True)
class Account:
    """A key that the fake Bedrock knows."""

    access_key: str
    secret_key: str
    token: str = ""
    """Of temporary keys: it must come along."""
    expires_at: float = float("inf")
    """Wall clock; of temporary keys."""


class AuthError(Exception):
    """The request is not let in."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.message = message


def check_signature(
    message: Message, accounts: dict[str, Account], region: str, now: float
) -> Account:
    """Whose request it is. Raises AuthError."""
    told = message.get(b"authorization").decode("latin-1")
    found = [pattern.search(told) for pattern in (_CREDENTIAL, _SIGNED, _SIGNATURE)]
    if not told.startswith("AWS4-HMAC-SHA256 ") or None in found:
        raise AuthError(
            "IncompleteSignatureException",
            "Authorization header requires 'Credential' parameter. Authorization header requires "
            "'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. "
            f"Authorization={told}",
        )
    scope, names, signature = (match[1] for match in found if match is not None)
    parts = scope.split("/")
    account = accounts.get(parts[0])
    if account is None or len(parts) != 5:
        raise _unknown()
    _check_token(message, account, now)
    stamp = message.get(b"x-amz-date").decode("latin-1")
    _check_scope(parts, stamp, region)
    _check_time(stamp, now)
    signed = names.split(";")
    must = {"host", *(n.decode() for n, _ in message.headers if n.startswith(b"x-amz-"))}
    if not must <= set(signed):
        missing = sorted(must - set(signed))[0]
        raise _invalid(f"'{missing}' must be a 'SignedHeader' in the AWS Authorization. ")
    if not hmac.compare_digest(signature, signature_of(message, account, parts, signed, stamp)):
        raise _invalid(
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method. Consult the service "
            "documentation for details."
        )
    return account


def signature_of(
    message: Message, account: Account, scope: list[str], signed: list[str], stamp: str
) -> str:
    """The signature that the request should have."""
    path, _, query = message.path.decode("latin-1").partition("?")
    uri = "/".join(quote(segment, safe="-_.~") for segment in path.split("/"))
    pairs = sorted(
        (quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~"))
        for name, _, value in (part.partition("=") for part in query.split("&") if part)
    )
    headers = "".join(f"{name}:{_trimmed(message, name)}\n" for name in signed)
    canonical = "\n".join(
        [
            message.method.decode(),
            uri,
            "&".join(f"{name}={value}" for name, value in pairs),
            headers,
            ";".join(signed),
            hashlib.sha256(bytes(message.body)).hexdigest(),
        ]
    )
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, "/".join(scope[1:]), hashed])
    key = b"AWS4" + account.secret_key.encode()
    for part in (*scope[1:], to_sign):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


def _trimmed(message: Message, name: str) -> str:
    values = message.all(name.encode())
    return ",".join(" ".join(value.decode("latin-1").split()) for value in values)


def _check_token(message: Message, account: Account, now: float) -> None:
    token = message.get(b"x-amz-security-token").decode("latin-1")
    if token != account.token:
        raise _unknown()
    if account.expires_at <= now:
        raise AuthError(
            "ExpiredTokenException", "The security token included in the request is expired"
        )


def _check_scope(parts: list[str], stamp: str, region: str) -> None:
    _, day, told_region, service, last = parts
    if told_region != region:
        raise _invalid(f"Credential should be scoped to a valid region, not '{told_region}'. ")
    if service != "bedrock":
        raise _invalid("Credential should be scoped to correct service: 'bedrock'. ")
    if last != "aws4_request":
        raise _invalid(
            f"Credential should be scoped with a valid terminator: 'aws4_request', not '{last}'."
        )
    if stamp[:8] != day:
        raise _invalid(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from "
            f"HTTP: '{day}' != '{stamp[:8]}', from '{stamp}'."
        )


def _check_time(stamp: str, now: float) -> None:
    try:
        signed_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise AuthError(
            "IncompleteSignatureException",
            "Date must be in ISO-8601 'basic format'. Got "
            f"'{stamp}'. See http://en.wikipedia.org/wiki/ISO_8601",
        ) from None
    if signed_at < now - SKEW_S:
        raise _invalid(
            f"Signature expired: {stamp} is now earlier than {_stamp(now - SKEW_S)} "
            f"({_stamp(now)} - 5 min.)"
        )
    if signed_at > now + SKEW_S:
        raise _invalid(
            f"Signature not yet current: {stamp} is still later than {_stamp(now + SKEW_S)} "
            f"({_stamp(now)} + 5 min.)"
        )


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")


def _unknown() -> AuthError:
    return AuthError(
        "UnrecognizedClientException", "The security token included in the request is invalid."
    )


def _invalid(message: str) -> AuthError:
    return AuthError("InvalidSignatureException", message)
