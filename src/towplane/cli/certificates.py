"""The certificates, keys and authorities that a document names: checked, and watched for renewal.

Workers load them anew with each snapshot; here it is only found out whether they can.
"""

import asyncio
import contextlib
import os
import ssl
from collections.abc import Callable

from towplane.cli.loops import logged
from towplane.document.plane import Plane
from towplane.gateway.egress import egress_of
from towplane.parts.errors import BadDocument

__all__ = ["check_certificates", "watch_certificates"]

LOOK_S = 1.0
"""How often it is looked whether they were renewed."""


def check_certificates(plane: Plane) -> None:
    """Load every certificate, key and authority that workers will need. Raises BadDocument."""
    tls = plane.gateway.tls
    try:
        if tls is not None:
            path = tls.certificate
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate, tls.key)
        for provider in plane.providers.values():
            egress = egress_of(provider)
            if egress.ca is not None:
                path = egress.ca
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(egress.ca)
            if egress.certificate is not None:
                path = egress.certificate
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.load_cert_chain(egress.certificate, egress.certificate_key)
    except OSError as error:  # ssl.SSLError is one
        raise BadDocument(
            f"{path} cannot be used: {error.strerror or error}.",
            next_step="Give a PEM file that this user may read, with its matching key.",
        ) from None


async def watch_certificates(plane: Callable[[], Plane], changed: Callable[[], None]) -> None:
    """Tell of those renewed, without end: they take effect for new connections, without a new
    document."""
    known = _dates(plane())
    while True:
        await asyncio.sleep(LOOK_S)
        found = _dates(plane())
        if found in (known, ()):
            continue
        known = found
        with logged("reading the renewed certificate"):
            check_certificates(plane())
            changed()


def _dates(plane: Plane) -> tuple[int, ...]:
    """When the files of both sides were written; empty where one is missing."""
    with contextlib.suppress(FileNotFoundError):
        return tuple(os.stat(path).st_mtime_ns for path in _files(plane))
    return ()


def _files(plane: Plane) -> list[str]:
    tls = plane.gateway.tls
    files = [tls.certificate, tls.key] if tls is not None else []
    for provider in plane.providers.values():
        egress = egress_of(provider)
        files += filter(None, (egress.ca, egress.certificate, egress.certificate_key))
    return list(dict.fromkeys(files))
