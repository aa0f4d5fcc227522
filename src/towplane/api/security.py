"""Who may use the admin port, and what a browser may do with its answers.

`Gate` decides, `Guard` is the ASGI layer around everything. It knows no endpoint but the open ones.
The laws: without a token only loopback names are answered, so that no foreign name can be rebound
to us; a token is compared in constant time and never stored in a browser; no state is changed from
another origin; no script, style, image or frame comes from elsewhere.
"""

import hmac
import re
import secrets
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from towplane.api.errors import say_error

__all__ = ["COOKIE", "Gate", "Guard"]

COOKIE = "towplane-session"
SESSION_S = 12 * 3600.0
SESSIONS = 64
"""Logins kept at the same time; the oldest goes first."""
BODY_BYTES = 64 * 1024

_OPEN = ("/livez", "/readyz", "/login", "/static/")
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    # Not no-referrer: then browsers send `Origin: null` with our own forms, too.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Gate:
    """The token of the port, and the sessions that were opened with it."""

    def __init__(self, token: str | None, monotonic: Callable[[], float]) -> None:
        self._token = token.encode() if token else None
        self._monotonic = monotonic
        self._sessions: dict[str, float] = {}

    @property
    def needs_token(self) -> bool:
        """Whether a caller has to show one."""
        return self._token is not None

    def fits(self, token: str) -> bool:
        """Whether this is the token."""
        return self._token is not None and hmac.compare_digest(self._token, token.encode())

    def open_session(self) -> str:
        """A cookie's value for somebody who has shown the token."""
        while len(self._sessions) >= SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        session = secrets.token_urlsafe(32)
        self._sessions[session] = self._monotonic() + SESSION_S
        return session

    def close_session(self, session: str) -> None:
        """The cookie opens nothing any more."""
        self._sessions.pop(session, None)

    def lets_in(self, headers: Headers) -> bool:
        """Whether a request with these headers may see what is behind the gate."""
        if self._token is None:
            return True
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.fits(token.strip()):
            return True
        return self._sessions.get(session_of(headers), 0.0) > self._monotonic()


class Guard:
    """ASGI: refuses what may not pass, bounds bodies, adds the headers for browsers."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _with_headers(send)
        refusal = self._refusal(Request(scope))
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self._app(scope, _bounded(receive), send)

    def _refusal(self, request: Request) -> Response | None:
        # From the scope: Starlette makes `request.url` with the Host header, which can be forged.
        headers, path = request.headers, str(request.scope["path"])
        host = headers.get("host", "")
        if not self._gate.needs_token and _name(host) not in _LOOPBACK:
            return say_error(
                "not_allowed",
                "without an admin token this port answers to loopback names only",
                "use http://localhost, or set `admin.token` in the document",
                status=421,
            )
        if not _fits(headers.get("content-length")):
            return say_error("too_large", f"a body may have {BODY_BYTES} bytes here")
        if request.method not in _SAFE and _is_foreign(headers, host):
            return say_error("not_allowed", "a page of another origin may change nothing here")
        if path.startswith(_OPEN) or self._gate.lets_in(headers):
            return None
        if path.startswith("/api/") or path == "/metrics":
            answer = say_error(
                "unauthorised",
                "this port asks for the admin token",
                "send `Authorization: Bearer TOKEN`; `admin.token` of the document says which",
            )
            answer.headers["www-authenticate"] = 'Bearer realm="towplane"'
            return answer
        query = request.scope["query_string"].decode("latin-1")
        target = f"{path}?{query}" if query else path
        return RedirectResponse(f"/login?next={quote(target)}", status_code=303)


def session_of(headers: Headers) -> str:
    """The session's cookie, or nothing."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _name(host: str) -> str:
    """The name of `name:port` or `[address]:port`; nothing for what is neither."""
    found = re.fullmatch(r"\[([0-9a-f:]+)\](?::\d+)?|([^:/@?#\\\s]+)(?::\d+)?", host.lower())
    return (found[1] or found[2]) if found else ""


def _fits(content_length: str | None) -> bool:
    if content_length is None:
        return True
    return content_length.isdigit() and int(content_length) <= BODY_BYTES


def _is_foreign(headers: Headers, host: str) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != host


def _bounded(receive: Receive) -> Receive:
    """Bodies without a length are bounded, too: above the limit the client counts as gone."""
    taken = 0

    async def receive_bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        return {"type": "http.disconnect"} if taken > BODY_BYTES else message

    return receive_bounded


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(_HEADERS)
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return send_with_headers
