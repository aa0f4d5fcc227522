"""What a webhook is told and how it is signed. Pure: the clock and randomness are passed in.

The signature is made as Stripe makes its own: `towplane-signature: t=SECONDS,v1=HEX`, an HMAC with
SHA-256 over `SECONDS.BODY`, so that a receiver can refuse what was recorded and is sent again. The
laws: a message has one id however often it is sent; nothing secret is in it; a receiver that
compares the signature believes nobody else.
"""

import hashlib
import hmac
from datetime import UTC, datetime
from typing import Literal

import msgspec

from towplane.tenants.measures import MEASURES, MONEY, TOKENS, Measure
from towplane.tenants.spec import Mode
from towplane.tenants.windows import end_of

__all__ = [
    "GIVE_UP_S",
    "SIGNATURE",
    "TOLERANCE_S",
    "Alert",
    "body_of",
    "next_try_s",
    "sign",
    "verify",
]

SIGNATURE = "towplane-signature"
TOLERANCE_S = 300.0
"""How far a receiver should let a signature's time be from its own, as Stripe's libraries do."""

GIVE_UP_S = 86_400.0
"""After so long a message that nobody took is given up."""
_FIRST_S = 5.0
_LONGEST_S = 3600.0

State = Literal["listed", "waiting", "sent", "failed"]


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A share of a limit that was reached, and what became of the message."""

    id: str
    """The same however often it is sent."""
    at: datetime
    tenant: str
    kind: Literal["tenant", "project", "key"]
    """Whose limit it is."""
    name: str
    """The tenant, the project as `TENANT/PROJECT`, or the key's public id."""
    measure: Measure
    window: str
    """`2026-11-23`, `2026-11` or `total`, UTC."""
    share: float
    """Which share of the limit was reached."""
    limit: int
    used: int
    """When it was noticed."""
    state: State = "waiting"
    """`listed`: there is no webhook to tell."""
    tries: int = 0
    ended_at: datetime | None = None
    trouble: str = ""
    """Why the last try failed."""


def body_of(alert: Alert, *, plane: str, mode: Mode) -> bytes:
    """The JSON that is posted."""
    unit = MEASURES[alert.measure].unit
    ends_at = end_of(alert.window)
    return msgspec.json.encode(
        {
            "id": alert.id,
            "type": "limit.near" if alert.share < 1 else "limit.reached",
            "created_at": alert.at,
            "plane": plane,
            "tenant": alert.tenant,
            "account": {"kind": alert.kind, "name": alert.name},
            "measure": alert.measure,
            "unit": "nanousd" if unit == MONEY else "tokens" if unit == TOKENS else "requests",
            "mode": mode,
            "window": alert.window,
            "window_ends_at": None if alert.window == "total" else _moment(ends_at),
            "share": alert.share,
            "limit": alert.limit,
            "used": alert.used,
        }
    )


def sign(body: bytes, secret: str, now: float) -> str:
    """The value of the signature's header."""
    seconds = str(int(now))
    return f"t={seconds},v1={_mac(seconds, body, secret)}"


def verify(body: bytes, header: str, secret: str, now: float) -> bool:
    """Whether a plane with this secret sent this body a moment ago: what a receiver does."""
    parts = dict(part.strip().partition("=")[::2] for part in header.split(","))
    seconds = parts.get("t", "")
    if not (seconds.isascii() and seconds.isdigit()) or abs(now - int(seconds)) > TOLERANCE_S:
        return False
    return hmac.compare_digest(_mac(seconds, body, secret), parts.get("v1", ""))


def next_try_s(tries: int, random: float) -> float:
    """How long to wait after so many failures: full jitter, so that many do not come at once."""
    return random * min(_LONGEST_S, _FIRST_S * 2.0 ** min(tries, 16))


def _mac(seconds: str, body: bytes, secret: str) -> str:
    signed = b"%b.%b" % (seconds.encode(), body)
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
