"""An HTTP proxy on loopback: it tunnels by CONNECT, forwards by absolute URLs, and keeps a book.

It knows addresses for names that exist nowhere, so that a story needs no name server.
"""

import base64
import contextlib
import socket
import socketserver
import threading
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

__all__ = ["FakeProxy"]


@dataclass
class FakeProxy:
    """with FakeProxy(user="u:p", names={"provider.test:443": ("127.0.0.1", 4433)}) as proxy:
    ... proxy.address ...
    assert proxy.asked == ["CONNECT provider.test:443"]
    """

    user: str = ""
    """`USER:PASSWORD` that it asks for; empty: none."""
    names: dict[str, tuple[str, int]] = field(default_factory=dict)
    """By `host:port` as asked: where it connects."""
    answer: bytes = b""
    """It answers everything with these bytes instead, and keeps the connection."""
    asked: list[str] = field(default_factory=list)
    """Method and target of every request that it took."""
    address: tuple[str, int] = ("", 0)

    def __enter__(self) -> Self:
        proxy = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    proxy._serve(self)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = ("127.0.0.1", self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, handler: socketserver.StreamRequestHandler) -> None:
        method, target, fields = self._read_head(handler)
        self.asked.append(f"{method} {target}")
        if self.answer:
            handler.wfile.write(self.answer)
            handler.rfile.read(1)  # until the client leaves
            return
        wanted = "Basic " + base64.b64encode(self.user.encode()).decode()
        if self.user and fields.pop("proxy-authorization", "") != wanted:
            handler.wfile.write(
                b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                b'proxy-authenticate: Basic realm="proxy"\r\ncontent-length: 0\r\n\r\n'
            )
            return
        where = target if method == "CONNECT" else urlsplit(target).netloc
        host, _, port = where.rpartition(":")
        try:
            upstream = socket.create_connection(self.names.get(where, (host, int(port or 80))))
        except OSError:
            handler.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
            return
        with upstream:
            if method == "CONNECT":
                handler.wfile.write(b"HTTP/1.1 200 Connection established\r\nvia: 1.1 fake\r\n\r\n")
            else:
                lines = [f"{method} {urlsplit(target).path} HTTP/1.1"]
                lines += [f"{name}: {value}" for name, value in fields.items()]
                upstream.sendall("\r\n".join([*lines, "connection: close", "", ""]).encode())
                upstream.sendall(handler.rfile.read(int(fields.get("content-length", 0))))
            _pump(handler.connection, upstream)

    def _read_head(
        self, handler: socketserver.StreamRequestHandler
    ) -> tuple[str, str, dict[str, str]]:
        method, target, _ = handler.rfile.readline().decode().split(" ", 2)
        fields: dict[str, str] = {}
        while line := handler.rfile.readline().decode().strip():
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        return method, target, fields


def _pump(client: socket.socket, upstream: socket.socket) -> None:
    """Both directions until either ends."""

    def carry(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    back = threading.Thread(target=carry, args=(upstream, client), daemon=True)
    back.start()
    carry(client, upstream)
    back.join()
