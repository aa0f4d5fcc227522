"""A DNS server on a real socket, over UDP: records by name and type, and what goes wrong.

Messages are read and written by dnspython.

    with FakeDns() as dns:
        dns.records["vllm.example.", "A"] = ["10.0.0.1"]
"""

import asyncio
import threading
from typing import Any, Self, cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

__all__ = ["FakeDns"]


class FakeDns:
    """One server."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        """By name, with its dot, and type."""
        self.ttl_s = 1
        self.rcode = dns.rcode.NOERROR
        """Of every answer; another than this and there are no records in it."""
        self.is_silent = False
        self.asked: list[tuple[str, str]] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="dns", daemon=True)

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._transport.close)
        self._loop.call_soon_threadsafe(self._loop.call_later, 0.01, self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _listen(self) -> None:
        self._transport, _ = await self._loop.create_datagram_endpoint(
            lambda: _Server(self), ("127.0.0.1", 0)
        )
        self.port = self._transport.get_extra_info("sockname")[1]

    def reply_to(self, data: bytes) -> bytes | None:
        """The answer to one packet; None: none comes."""
        asked = dns.message.from_wire(data)
        question = asked.question[0]
        name, kind = question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        if self.is_silent:
            return None
        reply = dns.message.make_response(asked)
        reply.flags |= dns.flags.RA
        reply.set_rcode(self.rcode)
        found = self.records.get((name, kind), [])
        if self.rcode == dns.rcode.NOERROR and found:
            reply.answer.append(dns.rrset.from_text(name, self.ttl_s, "IN", kind, *found))
        elif self.rcode == dns.rcode.NOERROR and not any(each == name for each, _ in self.records):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply.to_wire()


class _Server(asyncio.DatagramProtocol):
    def __init__(self, of: FakeDns) -> None:
        self._of = of

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        reply = self._of.reply_to(data)
        if reply is not None:
            self._transport.sendto(reply, addr)
