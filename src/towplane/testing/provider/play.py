"""Plays one script: puts an answer on the wire as the script wants it, faults included.

Knows no path, no key and no model: what is said has been decided before.
"""

import asyncio
import gzip
import json
from dataclasses import dataclass
from typing import Any

from towplane.testing.book import Seen
from towplane.testing.emulator import Reply
from towplane.testing.framing import chunk, last_chunk
from towplane.testing.provider import dialect, wire
from towplane.testing.provider.dialect import Ask
from towplane.testing.provider.script import Script

__all__ = ["Play"]


@dataclass(frozen=True, slots=True)
class Play:
    """One answer; its methods in the order in which they are called."""

    script: Script
    ask: Ask
    seen: Seen
    reply: Reply

    async def begin(self) -> None:
        """What comes before the head."""
        for status in self.script.interim:
            reason = "Continue" if status == 100 else "Early Hints"
            await self._write(f"HTTP/1.1 {status} {reason}\r\n\r\n".encode())
        await self._fail("before_head")
        if self.script.head_delay_s:
            await asyncio.sleep(self.script.head_delay_s)

    async def raw(self, pieces: list[str]) -> None:
        """Bytes of the script's own instead of an answer."""
        for piece in pieces:
            await self._write(piece.encode("latin-1"))
            await asyncio.sleep(0.002)
        if not self.script.raw_stay:
            await self.reply.close()

    async def plain(self, status: int, value: dict[str, Any]) -> None:
        """An answer in one piece."""
        script = self.script
        body = json.dumps(value).encode()
        headers = [("content-type", "application/json"), ("x-request-id", "req_fake")]
        if status >= 400 and script.error_body is not None:
            body = script.error_body.encode()
            headers[0] = ("content-type", "text/plain")
        if script.gzip:
            body = gzip.compress(body)
            headers.append(("content-encoding", "gzip"))
        if status in (204, 304):
            await self._write(wire.head(status, headers, script=script, length=0))
            return
        is_chunked = script.plain_chunked or script.framing in ("until_close", "http10")
        length = None if is_chunked else len(body)
        await self._write(wire.head(status, headers, script=script, length=length))
        await self._fail("after_head")
        if self.seen.method == "HEAD":
            return
        if length is None and script.framing == "chunked":
            body = chunk(body, script.chunk_extension) + last_chunk(script.trailers)
        if script.failure is not None and script.failure.when == "token":
            await self._write(body[: len(body) // 2])
            await self._break(body[len(body) // 2 :])
        await self._write(body)

    async def stream(self) -> None:
        """An answer in events."""
        script, seen = self.script, self.seen
        headers = [("content-type", "text/event-stream; charset=utf-8")]
        length = None
        if script.framing == "length":
            events = dialect.stream(self.ask, script, seen.number)
            length = sum(len(wire.event(event.data, crlf=script.crlf)) for event in events)
        await self._write(wire.head(script.status, headers, script=script, length=length))
        await self._fail("after_head")
        if script.first_token_delay_s:
            await asyncio.sleep(script.first_token_delay_s)
        held: list[bytes] = []
        for event in dialect.stream(self.ask, script, seen.number):
            piece = wire.event(event.data, crlf=script.crlf)
            if event.token:
                await self._before_token(piece)
            held.append(piece)
            if script.pack == "joined" and len(held) < 4 and event.data != "[DONE]":
                seen.output += event.token
                continue
            await self._write_body(b"".join(held))
            seen.output += event.token
            held.clear()
        if held:
            await self._write_body(b"".join(held))
        await self._fail_at_token(b": the end\n\n")
        if script.end_delay_s:
            await asyncio.sleep(script.end_delay_s)
        if script.framing == "chunked":
            await self._write(last_chunk(script.trailers))

    async def end(self) -> None:
        """Close, where the answer ends with its connection."""
        if not self.script.keep_alive or self.script.framing in ("until_close", "http10"):
            await self.reply.close()

    async def _before_token(self, piece: bytes) -> None:
        await self._fail_at_token(piece)
        if self.script.pace_s and self.seen.output:
            await asyncio.sleep(self.script.pace_s)
        if self.script.pings:
            end = "\r\n" if self.script.crlf else "\n"
            await self._write_body(f": ping{end}{end}".encode())

    async def _fail_at_token(self, piece: bytes) -> None:
        failure = self.script.failure
        if failure is not None and failure.when == "token" and failure.token == self.seen.output:
            await self._break(piece)

    async def _fail(self, when: str) -> None:
        if self.script.failure is not None and self.script.failure.when == when:
            await self._break(b"data: {}\n\n")

    async def _break(self, piece: bytes) -> None:
        """Carry out the failure of the script; `piece` is what would have come next."""
        assert self.script.failure is not None
        how = self.script.failure.how
        if how == "stall":
            await self.reply.stall()
        if how == "error_event":
            await self._write_body(
                wire.event(json.dumps(dialect.error(500)), crlf=self.script.crlf)
            )
            if self.script.framing == "chunked":
                await self._write(last_chunk({}))
        elif how in ("half_chunk_reset", "half_chunk_close"):
            framed = chunk(piece)
            await self._write(framed[: len(framed) // 2])
        if how in ("reset", "half_chunk_reset"):
            await self.reply.reset()
        await self.reply.close()

    async def _write_body(self, data: bytes) -> None:
        is_chunked = self.script.framing == "chunked"
        for piece in wire.pack(data, self.script.pack):
            framed = chunk(piece, self.script.chunk_extension) if is_chunked else piece
            await self._write(framed)

    async def _write(self, data: bytes) -> None:
        size = self.script.write_bytes or len(data) or 1
        for start in range(0, len(data), size):
            await self.reply.write(data[start : start + size])
            if self.script.write_bytes:
                await asyncio.sleep(0)
