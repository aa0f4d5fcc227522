"""Asks a replica on this machine: one HTTP request on a connection of its own, with a deadline.

It is for probes, not for traffic. It does not know what the answers mean; no answer is None.
"""

import asyncio

import httptools

from towplane.engines.adapter import Answer, Ask

__all__ = ["ask"]

_MOST_BYTES = 4 * 1024 * 1024


async def ask(host: str, port: int, question: Ask, api_key: str, timeout_s: float) -> Answer | None:
    """The answer; None: refused, broken off, not HTTP, too long, or too late."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _exchange(host, port, question, api_key)
    except (OSError, TimeoutError, httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None


async def _exchange(host: str, port: int, question: Ask, api_key: str) -> Answer | None:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(_write_request(host, port, question, api_key))
        reply = _Reply()
        parser = httptools.HttpResponseParser(reply)
        received = 0
        while not reply.is_complete and received < _MOST_BYTES:
            data = await reader.read(65536)
            if not data:
                break
            received += len(data)
            parser.feed_data(data)
        if not reply.is_complete:
            return None
        return Answer(parser.get_status_code(), b"".join(reply.body))
    finally:
        writer.close()


def _write_request(host: str, port: int, question: Ask, api_key: str) -> bytes:
    lines = [
        f"{question.method} {question.path} HTTP/1.1",
        f"Host: {host}:{port}",
        f"Authorization: Bearer {api_key}",
        "Content-Type: application/json",
        f"Content-Length: {len(question.body)}",
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + question.body


class _Reply:
    """Collects what the parser finds."""

    def __init__(self) -> None:
        self.body: list[bytes] = []
        self.is_complete = False

    def on_body(self, data: bytes) -> None:
        self.body.append(data)

    def on_message_complete(self) -> None:
        self.is_complete = True
