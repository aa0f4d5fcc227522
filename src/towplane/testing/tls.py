"""Certificates for servers and clients, made by the `openssl` command when a story needs them."""

import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

__all__ = ["Certificate", "make_certificate"]


class Certificate(NamedTuple):
    """A self-signed certificate, which is its own authority."""

    certificate: Path
    key: Path

    def server_context(self, *, asks_for: "Certificate | None" = None) -> ssl.SSLContext:
        """For a server that shows it, and takes only clients that show `asks_for`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if asks_for is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(asks_for.certificate)
        return context

    def client_context(self) -> ssl.SSLContext:
        """For a client that trusts nothing else."""
        return ssl.create_default_context(cafile=str(self.certificate))


def make_certificate(folder: Path, name: str = "server", *hosts: str) -> Certificate:
    """Make one that is valid for two days, for loopback or for these hosts."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    alternatives = ",".join(f"DNS:{host}" for host in hosts) or "IP:127.0.0.1,DNS:localhost"
    subject = f"/CN={hosts[0] if hosts else '127.0.0.1'}"
    names = ["-subj", subject, "-addext", f"subjectAltName={alternatives}"]
    paths = ["-out", str(made.certificate), "-keyout", str(made.key)]
    subprocess.run(["openssl", *words.split(), *names, *paths], check=True, capture_output=True)
    return made
