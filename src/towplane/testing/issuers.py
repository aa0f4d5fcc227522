"""Those who issue credentials, on loopback: AWS, Entra and Google as far as their packages ask.

One HTTP server that answers botocore, azure-identity and google-auth, and verifies what the
originals verify: SigV4 signatures, external ids, client secrets, assertions signed with a known
key. What it issues lives as long as `life_s` says; `fault` makes it refuse.
"""

import base64
import contextlib
import hashlib
import hmac
import itertools
import json
import ssl
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, quote, urlsplit

__all__ = ["FakeIssuers"]


@dataclass
class FakeIssuers:
    """with FakeIssuers() as issuers:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", issuers.url)
    """

    life_s: float = 3600.0
    aws_keys: dict[str, str] = field(default_factory=lambda: {"AKIDBASE": "base-secret"})
    """Secret by access key: who may assume roles."""
    roles: dict[str, str | None] = field(default_factory=dict)
    """The external id that each role asks for, by ARN."""
    web_token: str = "web-identity-token"
    """The OIDC token that STS takes, at AWS, Entra and Google."""
    instance_role: str = "instance-role"
    client_secret: str = "entra-client-secret"
    public_keys: dict[str, Any] = field(default_factory=dict)
    """By issuer of an assertion: the RSA key that its signature is checked with."""
    fault: tuple[int, str] | None = None
    """Answer everything with this status and body."""
    tls: ssl.SSLContext | None = None
    asked: list[str] = field(default_factory=list)
    """What was asked for, in words, in order."""
    url: str = ""

    def __enter__(self) -> Self:
        self._numbers = itertools.count(1)

        handler = type("_Handler", (_Handler,), {"of": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if self.tls is not None else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, str, str]:
        """Status, content type and body for a request."""
        if self.fault is not None:
            return self.fault[0], "application/json", self.fault[1]
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if path == "/":
            if "Action" in form:
                return self._sts(method, headers, body, form)
            return 200, "text/plain", "computeMetadata/"
        if path.startswith("/latest/"):
            return self._instance(method, path, headers)
        if path == "/container":
            return self._container(headers)
        if path.startswith("/computeMetadata/"):
            return self._metadata(path, headers)
        if path == "/msi/token":
            return self._managed(headers, query)
        if path.endswith("/openid-configuration"):
            return self._discovery(path)
        if path.endswith("/oauth2/v2.0/token"):
            return self._entra(path, form)
        if path == "/google/token":
            return self._google(form)
        if path == "/google/sts":
            return self._federation(form)
        return 404, "text/plain", "no such path"

    # AWS

    def _sts(
        self, method: str, headers: dict[str, str], body: bytes, form: dict[str, str]
    ) -> tuple[int, str, str]:
        action, role = form["Action"], form.get("RoleArn", "")
        self.asked.append(f"{action} {role} as {form.get('RoleSessionName')}")
        if role not in self.roles:
            return _sts_error("AccessDenied", f"not authorized to assume {role}")
        if action == "AssumeRoleWithWebIdentity":
            if form.get("WebIdentityToken") != self.web_token:
                return _sts_error("InvalidIdentityToken", "the token was not accepted")
            return self._session(action, role)
        wrong = self._check_signature(method, headers, body)
        if wrong:
            return _sts_error(wrong, "the request signature does not match")
        if form.get("ExternalId") != self.roles[role]:
            return _sts_error("AccessDenied", f"not authorized to assume {role}")
        return self._session(action, role)

    def _session(self, action: str, role: str) -> tuple[int, str, str]:
        number = next(self._numbers)
        ends = datetime.fromtimestamp(time.time() + self.life_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.aws_keys[f"ASIA{number}"] = f"session-secret-{number}"
        return (
            200,
            "text/xml",
            f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            f"<{action}Result><Credentials><AccessKeyId>ASIA{number}</AccessKeyId>"
            f"<SecretAccessKey>session-secret-{number}</SecretAccessKey>"
            f"<SessionToken>session-token-{number}</SessionToken>"
            f"<Expiration>{ends}</Expiration></Credentials><AssumedRoleUser>"
            f"<Arn>{role}</Arn><AssumedRoleId>AROA:x</AssumedRoleId></AssumedRoleUser>"
            f"</{action}Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>"
            f"</{action}Response>",
        )

    def _check_signature(self, method: str, headers: dict[str, str], body: bytes) -> str:
        """Signature Version 4, as AWS documents it; answers the error's code."""
        scheme, _, rest = headers.get("authorization", "").partition(" ")
        parts = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
        if scheme != "AWS4-HMAC-SHA256":
            return "MissingAuthenticationToken"
        key, *scope = parts["Credential"].split("/")
        secret = self.aws_keys.get(key)
        if secret is None:
            return "InvalidClientTokenId"
        names = parts["SignedHeaders"].split(";")
        canonical = "\n".join(
            [method, "/", "", *(f"{name}:{headers.get(name, '').strip()}" for name in names), "",
             parts["SignedHeaders"], hashlib.sha256(body).hexdigest()]
        )  # fmt: skip
        to_sign = "\n".join(
            ["AWS4-HMAC-SHA256", headers.get("x-amz-date", ""), "/".join(scope),
             hashlib.sha256(canonical.encode()).hexdigest()]
        )  # fmt: skip
        derived = ("AWS4" + secret).encode()
        for step in scope:
            derived = hmac.digest(derived, step.encode(), "sha256")
        good = hmac.new(derived, to_sign.encode(), "sha256").hexdigest()
        return "" if hmac.compare_digest(good, parts["Signature"]) else "SignatureDoesNotMatch"

    def _instance(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str, str]:
        """Version 2 of the metadata service: a token first."""
        if method == "PUT" and path == "/latest/api/token":
            return 200, "text/plain", "imds-token"
        if headers.get("x-aws-ec2-metadata-token") != "imds-token":
            return 401, "text/plain", ""
        base = "/latest/meta-data/iam/security-credentials/"
        if path == base:
            return 200, "text/plain", self.instance_role
        if path == base + self.instance_role:
            self.asked.append("instance role")
            return 200, "application/json", json.dumps({"Code": "Success", **self._machine()})
        return 404, "text/plain", ""

    def _container(self, headers: dict[str, str]) -> tuple[int, str, str]:
        if headers.get("authorization") != "container-token":
            return 401, "application/json", "{}"
        self.asked.append("container role")
        return 200, "application/json", json.dumps(self._machine())

    def _machine(self) -> dict[str, str]:
        ends = datetime.fromtimestamp(time.time() + self.life_s, UTC)
        number = next(self._numbers)
        self.aws_keys[f"ASIAM{number}"] = "machine-secret"
        return {
            "AccessKeyId": f"ASIAM{number}",
            "SecretAccessKey": "machine-secret",
            "Token": "machine-token",
            "Expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    # Entra

    def _discovery(self, path: str) -> tuple[int, str, str]:
        tenant = path.split("/")[1]
        found = {
            "issuer": f"{self.url}/{tenant}/v2.0",
            "authorization_endpoint": f"{self.url}/{tenant}/oauth2/v2.0/authorize",
            "token_endpoint": f"{self.url}/{tenant}/oauth2/v2.0/token",
        }
        return 200, "application/json", json.dumps(found)

    def _entra(self, path: str, form: dict[str, str]) -> tuple[int, str, str]:
        way = "assertion" if "client_assertion" in form else "secret"
        self.asked.append(f"{path.split('/')[1]} {form.get('client_id')} {way} {form.get('scope')}")
        if way == "secret":
            is_right = form.get("client_secret") == self.client_secret
        elif form["client_assertion"] == self.web_token:
            is_right = True
        else:
            is_right = self._check_jwt(form["client_assertion"], ("PS256", "RS256"))
        if not is_right:
            return _oauth_error(401, "invalid_client", "AADSTS7000215: Invalid client secret.")
        return self._bearer("entra")

    def _managed(
        self, headers: dict[str, str], query: dict[str, list[str]]
    ) -> tuple[int, str, str]:
        if headers.get("x-identity-header") != "identity-header":
            return 401, "application/json", "{}"
        client = query.get("client_id", [""])[0]
        self.asked.append(f"managed identity {client} {query['resource'][0]}".replace("  ", " "))
        number = next(self._numbers)
        found = {
            "access_token": f"managed-token-{number}",
            "expires_on": str(int(time.time() + self.life_s)),
            "resource": query["resource"][0],
            "token_type": "Bearer",
        }
        return 200, "application/json", json.dumps(found)

    # Google

    def _google(self, form: dict[str, str]) -> tuple[int, str, str]:
        if form.get("grant_type") == "refresh_token":
            self.asked.append("user's login")
            return self._bearer("google-user")
        self.asked.append("service account")
        if not self._check_jwt(form.get("assertion", ""), ("RS256",)):
            return _oauth_error(400, "invalid_grant", "Invalid JWT Signature.")
        return self._bearer("google")

    def _federation(self, form: dict[str, str]) -> tuple[int, str, str]:
        """RFC 8693, token exchange."""
        self.asked.append(f"federation {form.get('audience')}")
        if form.get("subject_token") != self.web_token:
            return _oauth_error(400, "invalid_grant", "the subject token is not valid")
        return self._bearer("federated")

    def _metadata(self, path: str, headers: dict[str, str]) -> tuple[int, str, str]:
        if headers.get("metadata-flavor") != "Google":
            return 403, "text/plain", ""
        if path.endswith("/token"):
            self.asked.append("metadata server")
            return self._bearer("metadata")
        found = {"project-id": "acme", "universe-domain": "googleapis.com"}
        word = found.get(path.replace("universe/", "").rpartition("/")[2].replace("_", "-"))
        if word is not None:
            return 200, "text/plain", word
        account = {"email": "vm@acme", "scopes": ["cloud-platform"], "aliases": ["default"]}
        return 200, "application/json", json.dumps(account)

    def _bearer(self, name: str) -> tuple[int, str, str]:
        found = {
            "access_token": f"{name}-token-{next(self._numbers)}",
            "expires_in": int(self.life_s),
            "token_type": "Bearer",
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        }
        return 200, "application/json", json.dumps(found)

    def _check_jwt(self, token: str, algorithms: tuple[str, ...]) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        try:
            head, claims, signature = token.split(".")
            issuer = json.loads(_unpad(claims))["iss"]
            algorithm = json.loads(_unpad(head))["alg"]
            key = self.public_keys[issuer]
            scheme: Any = padding.PKCS1v15()
            if algorithm == "PS256":
                scheme = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
            key.verify(_unpad(signature), f"{head}.{claims}".encode(), scheme, hashes.SHA256())
        except (ValueError, KeyError, InvalidSignature):
            return False
        return algorithm in algorithms


class _Handler(BaseHTTPRequestHandler):
    of: FakeIssuers
    protocol_version = "HTTP/1.1"

    def _do(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        with contextlib.suppress(OSError):
            status, kind, text = self.of.answer(self.command, self.path, headers, body)
            data = text.encode()
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.send_header("metadata-flavor", "Google")
            self.end_headers()
            self.wfile.write(data)

    do_GET = do_POST = do_PUT = _do  # noqa: N815  # the names of the standard library

    def log_message(self, *_: object) -> None:
        """Quiet."""


def _sts_error(code: str, message: str) -> tuple[int, str, str]:
    return (
        403,
        "text/xml",
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>'
        f"<Type>Sender</Type><Code>{code}</Code><Message>{quote(message, safe=' :/')}</Message>"
        "</Error><RequestId>r</RequestId></ErrorResponse>",
    )


def _oauth_error(status: int, code: str, say: str) -> tuple[int, str, str]:
    return status, "application/json", json.dumps({"error": code, "error_description": say})


def _unpad(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
