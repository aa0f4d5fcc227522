"""Certificates for loopback, made by the `openssl` command when a story needs them."""

import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

__all__ = ["Certificate", "make_certificate"]


class Certificate(NamedTuple):
    """A self-signed certificate for 127.0.0.1, which is its own authority."""

    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """For a server that shows it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def client_context(self) -> ssl.SSLContext:
        """For a client that trusts nothing else."""
        return ssl.create_default_context(cafile=str(self.certificate))


def make_certificate(folder: Path, name: str = "server") -> Certificate:
    """Make one that is valid for two days."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    paths = ["-out", str(made.certificate), "-keyout", str(made.key)]
    subprocess.run(["openssl", *words.split(), *names, *paths], check=True, capture_output=True)
    return made
