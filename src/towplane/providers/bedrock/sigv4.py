"""AWS Signature Version 4, for the requests that go to Bedrock: what is signed, and the headers.

Source: AWS, "Create a signed AWS API request"; the laws compare it with botocore 1.44.5. Paths are
encoded once more in the canonical request than on the wire, as every service but S3 wants it.
Signed are content-type, host, the request's own headers and all of `x-amz-*`; the head of the
request must hold `content-type: application/json`. No clock: the caller says what time it is.
"""

from functools import lru_cache
from hashlib import sha256
from hmac import digest
from time import gmtime, strftime
from urllib.parse import quote

from towplane.providers.adapter import Credential, Place, Rendered

__all__ = ["sign"]

SERVICE = "bedrock"
"""The signing name of bedrock-runtime (botocore 1.44.5 `signingName`)."""
_CONTENT_TYPE = "application/json"


def sign(
    credential: Credential, method: bytes, host: str, rendered: Rendered, place: Place, wall: float
) -> tuple[tuple[str, str], ...]:
    """The headers that sign a request to `place`, sent at `wall`."""
    assert credential.aws is not None
    access_key, secret_key, token = credential.aws
    stamp = _stamp(int(wall))
    day = stamp[:8]
    region = place.options.get("region", "")
    names, lines = _headers(host, stamp, token, rendered.headers)
    path, query = _target(place.path, rendered.path)
    body_hash = sha256(rendered.body).hexdigest()
    canonical = f"{method.decode()}\n{path}\n{query}\n{lines}\n{names}\n{body_hash}"
    scope = f"{day}/{region}/{SERVICE}/aws4_request"
    said = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    inner, outer = _pads(secret_key, day, region)
    signature = sha256(outer + sha256(inner + said.encode()).digest()).hexdigest()
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    if not token:
        return (("x-amz-date", stamp), ("authorization", authorization))
    return (
        ("x-amz-date", stamp),
        ("x-amz-security-token", token),
        ("authorization", authorization),
    )


@lru_cache(4)
def _stamp(wall_s: int) -> str:
    return strftime("%Y%m%dT%H%M%SZ", gmtime(wall_s))


_INNER, _OUTER = (bytes(byte ^ mask for byte in range(256)) for mask in (0x36, 0x5C))


@lru_cache(32)
def _pads(secret: str, day: str, region: str) -> tuple[bytes, bytes]:
    """The key of a day, made once for all its requests, as the two pads of HMAC (RFC 2104): hashing
    behind them takes half as long as OpenSSL's own HMAC."""
    key = digest(b"AWS4" + secret.encode(), day.encode(), "sha256")
    for part in (region, SERVICE, "aws4_request"):
        key = digest(key, part.encode(), "sha256")
    block = key.ljust(64, b"\0")  # SHA-256 works on blocks of 64 bytes
    return block.translate(_INNER), block.translate(_OUTER)


@lru_cache(256)
def _target(before: str, path: str) -> tuple[str, str]:
    """The canonical path and query of a request target."""
    path, _, query = (before + path).partition("?")
    pairs = sorted(part.partition("=")[::2] for part in query.split("&") if part)
    return quote(_without_dots(path), safe="/~"), "&".join(
        f"{name}={value}" for name, value in pairs
    )


def _headers(
    host: str, stamp: str, token: str, own: tuple[tuple[str, str], ...]
) -> tuple[str, str]:
    """The names of the signed headers and their lines, each ended by a line feed."""
    if not own:
        names, lines = "content-type;host;x-amz-date", f"x-amz-date:{stamp}\n"
        if token:
            names += ";x-amz-security-token"
            lines += f"x-amz-security-token:{token}\n"
        return names, f"content-type:{_CONTENT_TYPE}\nhost:{host}\n{lines}"
    found = {"content-type": _CONTENT_TYPE, "host": host, "x-amz-date": stamp}
    if token:
        found["x-amz-security-token"] = token
    found.update((name.lower(), " ".join(value.split())) for name, value in own)
    ordered = sorted(found.items())
    lines = "".join(f"{name}:{value}\n" for name, value in ordered)
    return ";".join(name for name, _ in ordered), lines


def _without_dots(path: str) -> str:
    """The path as AWS canonicalises it: no `.`, `..` or empty segments."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")
