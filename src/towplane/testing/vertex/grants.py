"""Google's token endpoint, as far as a service account needs it: RFC 7523, RS256, one hour.

    with VertexEmulator() as vertex:
        info = vertex.grants.service_account(vertex.origin)   # a key file's JSON
        google.oauth2.service_account.Credentials.from_service_account_info(info, scopes=[SCOPE])

It verifies what Google verifies: the key, the signature, the audience, the times and the scope.
What it issues works until it expires. Knows no model.
"""

import base64
import json
import secrets
import threading
import time
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

__all__ = ["SCOPE", "Grants"]

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_AUDIENCE = "https://oauth2.googleapis.com/token"
"""What google-auth 2.62 writes, whatever the address of the endpoint is."""
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LONGEST_S = 3600
_SKEW_S = 300


class Grants:
    """Service accounts, and the tokens that they were given."""

    def __init__(self, life_s: float = 3600.0) -> None:
        self.life_s = life_s
        """Of the tokens that are issued from now on."""
        self.asked = 0
        """How often a token was asked for."""
        self._accounts: dict[str, tuple[str, rsa.RSAPublicKey]] = {}
        self._tokens: dict[str, float] = {}
        self._lock = threading.Lock()

    def service_account(self, origin: str, name: str = "plane") -> dict[str, str]:
        """A new service account's key file; `origin` is where its tokens come from."""
        key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        email = f"{name}@acme.iam.gserviceaccount.com"
        key_id = secrets.token_hex(20)
        self._accounts[email] = (key_id, key.public_key())
        text = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return {
            "type": "service_account",
            "project_id": "acme",
            "private_key_id": key_id,
            "private_key": text.decode(),
            "client_email": email,
            "client_id": "100000000000000000001",
            "auth_uri": f"{origin}/auth",
            "token_uri": f"{origin}/token",
            "universe_domain": "googleapis.com",
        }

    def issue(self, life_s: float | None = None) -> str:
        """A token without a grant, for tests that need none."""
        token = f"ya29.{secrets.token_urlsafe(24)}"
        with self._lock:
            self._tokens[token] = time.time() + (self.life_s if life_s is None else life_s)
        return token

    def expire_all(self) -> None:
        """From now on no token works that was issued before."""
        with self._lock:
            self._tokens = dict.fromkeys(self._tokens, 0.0)

    def trouble_with(self, token: str) -> str:
        """Google's reason why a token does not work; empty: it does."""
        with self._lock:
            until = self._tokens.get(token)
        if until is None:
            return "ACCESS_TOKEN_TYPE_UNSUPPORTED"
        return "ACCESS_TOKEN_EXPIRED" if until <= time.time() else ""

    def exchange(self, form: dict[str, str], audience: str) -> tuple[int, dict[str, Any]]:
        """Status and body of the token endpoint's answer."""
        self.asked += 1
        if form.get("grant_type") != _GRANT:
            return 400, _refuse("unsupported_grant_type", "Invalid grant_type")
        wrong = self._check(form.get("assertion", ""), audience)
        if wrong:
            return 400, _refuse("invalid_grant", wrong)
        token = self.issue()
        return 200, {
            "access_token": token,
            "expires_in": int(self.life_s),
            "token_type": "Bearer",
        }

    def _check(self, assertion: str, audience: str) -> str:
        """What is wrong with an assertion, in Google's words; empty: nothing."""
        try:
            head, claims, signature = assertion.split(".")
            header, claim = json.loads(_unpad(head)), json.loads(_unpad(claims))
            key_id, key = self._accounts[claim["iss"]]
            if header["alg"] != "RS256" or header.get("kid", key_id) != key_id:
                return "Invalid JWT Signature."
            key.verify(
                _unpad(signature),
                f"{head}.{claims}".encode(),
                padding.PKCS1v15(),
                hashes.SHA256(),
            )
        except InvalidSignature:
            return "Invalid JWT Signature."
        except (ValueError, KeyError):
            return "Invalid grant: account not found"
        return _check_claims(claim, audience, time.time())


def _check_claims(claim: dict[str, Any], audience: str, now: float) -> str:
    issued, expires = claim.get("iat", 0), claim.get("exp", 0)
    if claim.get("aud") not in (audience, _AUDIENCE):
        return "Invalid JWT: Failed audience check."
    if expires <= now - _SKEW_S or issued > now + _SKEW_S or expires - issued > _LONGEST_S:
        return (
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable "
            "timeframe. Check your iat and exp values in the JWT claim."
        )
    if SCOPE not in str(claim.get("scope", "")).split():
        return "Invalid OAuth scope or ID token audience provided."
    return ""


def _refuse(error: str, description: str) -> dict[str, Any]:
    return {"error": error, "error_description": description}


def _unpad(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
