"""Fuzzing of the serving port's parser seam, in memory: `python -m towplane.testing.fuzz`.

Requests and upstream answers of the hostile corpus are mutated, spliced and cut at random, and fed
to the real line. Whatever comes in, these laws hold:

 1. no exception escapes to the event loop;
 2. what goes upstream is well-formed, says the model that the plane decided on, and is a request
    that a strict reader finds in the same bytes at the same place;
 3. what the client gets is well-formed, and after a refusal of the framing nothing more is read;
 4. every attempt that was opened is settled once, and nothing is left when the client has gone;
 5. no connection holds more than its limits.

A failure prints the seed and the bytes, which make it happen again.
"""

import argparse
import gc
import itertools
import json
import random
import re
import sys
import time
from dataclasses import dataclass

from towplane.document.plane import HttpLimits
from towplane.gateway.connection import Connection
from towplane.gateway.exchange import Exchange
from towplane.routing.spec import Timeouts
from towplane.testing.framing import Malformed, Message, MessageReader
from towplane.testing.hostile import ANSWERS, REQUESTS
from towplane.testing.hostile.case import body, post
from towplane.testing.hostile.play import fill
from towplane.testing.memory import UPSTREAM_KEY, MemoryPlane, answer_well

__all__ = ["Finding", "fuzz"]

LIMITS = HttpLimits(headers=20, header_bytes=2048, body_bytes=4096, header_timeout_s=1.0,
                    body_timeout_s=1.0, idle_timeout_s=1.0)  # fmt: skip
TIMEOUTS = Timeouts(connect_s=1.0, first_token_s=1.0, between_tokens_s=1.0, total_s=5.0)
HELD_BYTES = 8 * (LIMITS.header_bytes + LIMITS.body_bytes) + 64 * 1024
"""Requests that wait on one connection, and one read that has just come in."""

_SPICES: tuple[bytes, ...] = (
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b" ", b"\t", b"\x00", b"\x0b", b"\x7f", b"\xff",
    b":", b";", b",", b'"', b"0", b"1", b"-1", b"+1", b"0x1", b"ffffffffffffffff", b"0\r\n\r\n",
    b"5\r\nhello\r\n", b"\r\n ", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n", b"Host: evil\r\n",
    b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"Connection: keep-alive\r\n",
    b"Upgrade: h2c\r\nConnection: upgrade\r\n", b"HTTP/1.0", b"HTTP/1.1", b"GET ", b"POST ",
    b"HEAD ", b"CONNECT ", b"{", b"}", b"[", b'"model":"x",', b'"stream":true,', b"\\u0000",
    b"data: ", b"data: [DONE]\n\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n",
    b"http://x/", b"http://[/", b"//", b"?", b"#", b"*",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """A law that did not hold, and what broke it."""

    law: str
    seed: int
    """`random.Random(seed)` makes the same input again."""
    given: bytes
    """What was fuzzed: what the client sent, or what the upstream answered."""


@dataclass(slots=True)
class Report:
    """What a run did."""

    tried: int
    refused: int
    served: int
    findings: list[Finding]


def fuzz(seconds: float, *, seed: int, most: int = 20) -> Report:
    """Fuzz for a time, one input after the other; stop early at `most` findings."""
    report = Report(0, 0, 0, [])
    seams = (_RequestSeam(), _AnswerSeam())
    until = time.monotonic() + seconds
    while time.monotonic() < until and len(report.findings) < most:
        number = seed + report.tried
        seam: _RequestSeam | _AnswerSeam = seams[
            report.tried % 8 == 7
        ]  # requests cost less and are what strangers send
        laws, given, statuses = seam.try_one(random.Random(number))
        report.tried += 1
        report.served += 200 in statuses
        report.refused += any(status >= 400 for status in statuses)
        report.findings += [Finding(law, number, given) for law in laws]
        if laws:  # what broke may not spoil what follows
            _close(seams)
            seams = (_RequestSeam(), _AnswerSeam())
    _close(seams)
    del seams, seam
    gc.collect()
    alive = sum(type(thing) in (Connection, Exchange) for thing in gc.get_objects())
    if alive and not report.findings:
        report.findings.append(Finding(f"{alive} connections or exchanges leak", seed, b""))
    return report


def _close(seams: "tuple[_RequestSeam, _AnswerSeam]") -> None:
    for seam in seams:
        seam.plane.close()


class _Oracle(MessageReader):
    """The strict reader, lenient only where a careful reader may be and nothing can be smuggled:
    empty lines before a request, several spaces in its line, bytes above ASCII in its target, any
    reason phrase, which the plane never passes on."""

    def _read_head(self) -> bool:
        if self.kind == "request":
            del self._buffer[: len(self._buffer) - len(self._buffer.lstrip(b"\r\n"))]
        return super()._read_head()

    def _start(self, line: bytes) -> Message:
        if self.kind == "request":
            line = re.sub(rb" +", b" ", line)
            line = re.sub(rb" (?:RTSP|ICE)/1\.", b" HTTP/1.", line)
            line = re.sub(rb"[\x80-\xff]", b"?", line)
        else:
            line = re.sub(rb"(HTTP/1\.[01] [0-9]{3}) .*", rb"\1", line, flags=re.DOTALL)
        return super()._start(line)


def _read(kind: str, given: bytes, *, ends: bool) -> list[Message]:
    """The messages that a strict reader finds before the first byte that it does not understand."""
    oracle = _Oracle("request" if kind == "request" else "response")
    found: list[Message] = []
    try:
        for start in range(len(given)):  # byte by byte, so that what precedes a flaw is found
            found += oracle.feed(given[start : start + 1])
        if ends:
            found += oracle.end()
    except Malformed:
        pass
    return found


class _RequestSeam:
    """A client's bytes are fuzzed; the upstream behaves."""

    def __init__(self) -> None:
        self.plane = MemoryPlane(answer_well, limits=LIMITS, timeouts=TIMEOUTS)
        self._seeds = [
            fill(b"".join(part for part in case.given if type(part) is bytes), self.plane.key, tag)
            for case, tag in ((case, b"case-0000") for case in REQUESTS)
        ]
        self._seeds = [given for given in self._seeds if 0 < len(given) < 3 * LIMITS.body_bytes]

    def try_one(self, rng: random.Random) -> tuple[list[str], bytes, list[int]]:
        plane = self.plane
        plane.upstream_saw.clear()
        given = _mutate(rng, self._seeds)
        client = plane.connect()
        laws: list[str] = []
        for piece in _cut(rng, given):
            try:
                client.send(piece)
            except Exception as error:  # noqa: BLE001  # that none escapes is the law
                laws.append(f"{error!r} escapes from data_received")
                break
            if _held_by(client.protocol) > HELD_BYTES:
                laws.append(f"a connection holds {_held_by(client.protocol)} bytes")
            if rng.random() < 0.3:
                plane.turn(1)
        if rng.random() < 0.2:
            client.end()
        plane.turn(24)
        statuses = [] if laws else _judge_client(client.received, given, laws)
        if statuses and statuses[-1] >= 400 and not client.is_over:
            last = bytes(client.received).rpartition(b"HTTP/1.1 ")[2]
            if b"connection: close" in last:
                laws.append("the connection stays open after it said close")
        self._judge_upstream(given, laws)
        for _ in range(3):
            plane.wait(1.1)
        client.leave()
        plane.turn()
        _judge_rest(plane, laws)
        return laws, given, statuses

    def _judge_upstream(self, given: bytes, laws: list[str]) -> None:
        if not self.plane.upstream_saw:
            return
        wanted = iter(
            [_meaning(bytes(message.body)) for message in _read("request", given, ends=True)]
        )
        for message in self.plane.upstream_saw:
            seen = _meaning(bytes(message.body))
            if message.get(b"authorization") != f"Bearer {UPSTREAM_KEY}".encode():
                laws.append("the upstream sees another credential than the plane's")
            if isinstance(seen, dict) and seen.get("model") != "fake":
                laws.append(f"the upstream sees another model: {bytes(message.body)[:200]!r}")
            if not any(seen == other for other in wanted):
                laws.append(f"the upstream sees a request that is not there: {seen!r}"[:300])


class _AnswerSeam:
    """The upstream's bytes are fuzzed; the client behaves."""

    def __init__(self) -> None:
        self.plane = MemoryPlane(self._answer, limits=LIMITS, timeouts=TIMEOUTS)
        self._pieces: list[bytes] = []
        self._seeds = [
            "".join(answer.given.raw).encode("latin-1") for answer in ANSWERS if answer.given.raw
        ]
        self._seeds = [given for given in self._seeds if len(given) < 8192]
        for extra in (b"", b',"stream":true'):
            message = Message(b"", [], b"POST", b"/v1/chat/completions")
            message.body += body(extra=extra)
            self._seeds += [b"".join(answer_well(message))] * 20

    def _answer(self, message: Message) -> list[bytes]:
        return self._pieces or answer_well(message)

    def try_one(self, rng: random.Random) -> tuple[list[str], bytes, list[int]]:
        plane = self.plane
        given = _mutate(rng, self._seeds)
        ends = rng.random() < 0.5
        self._pieces = [*_cut(rng, given), *([b""] if ends else [])] or [b""]
        is_stream = rng.random() < 0.5
        laws: list[str] = []
        client = plane.connect()
        client.send(
            fill(post(body(extra=b',"stream":true' if is_stream else b"")), plane.key, b"case-0000")
        )
        plane.turn(len(self._pieces) + 12)
        for _ in range(7):
            plane.wait(1.1)
        self._pieces = []
        statuses = _judge_client(client.received, b"", laws)
        if len([status for status in statuses if status >= 200]) > 1:
            laws.append(f"one request has several answers: {statuses}")
        self._judge_answer(bytes(client.received), given, ends, laws)
        client.leave()
        plane.turn()
        self._judge_next(laws)
        _judge_rest(plane, laws)
        return laws, given, statuses

    def _judge_answer(self, received: bytes, given: bytes, ends: bool, laws: list[str]) -> None:
        """A good answer for the client is a good answer of the upstream."""
        answers = [
            message for message in _read("response", received, ends=False) if message.status == 200
        ]
        if not answers or b'data: {"error"' in answers[0].body:
            return
        is_stream = b"text/event-stream" in answers[0].get(b"content-type").lower()
        if is_stream and b"data: [DONE]" in answers[0].body:
            return  # said to be whole by itself, whatever the framing around it does then
        said = [message for message in _read("response", given, ends=ends) if message.status >= 200]
        if not said:
            laws.append("a broken answer is relayed as a good one")
        elif not is_stream and answers[0].body != said[0].body:
            laws.append("an answer is changed on its way")

    def _judge_next(self, laws: list[str]) -> None:
        """What the upstream said too much is not the answer to the next request."""
        client = self.plane.connect()
        client.send(fill(post(), self.plane.key, b"case-0001"))
        self.plane.turn(12)
        if b" 200 OK\r\n" not in client.received or b"plane " not in client.received:
            laws.append(f"the next request is spoiled: {bytes(client.received)[:200]!r}")
        client.leave()
        self.plane.turn()


def _judge_client(received: bytearray, given: bytes, laws: list[str]) -> list[int]:
    """What the client got is well-formed; its statuses."""
    reader = MessageReader("response")
    if b"HEAD " in given:  # which answers have no body depends on what was understood
        return [int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", received)]
    try:
        messages = reader.feed(bytes(received))
    except Malformed as problem:
        laws.append(f"the client gets malformed HTTP: {problem}")
        return []
    return [message.status for message in messages]


def _judge_rest(plane: MemoryPlane, laws: list[str]) -> None:
    """What must hold whenever the client has gone."""
    laws += [f"an exception escapes: {error}" for error in plane.errors]
    laws += [f"the upstream gets malformed HTTP: {problem}" for problem in plane.malformed]
    laws += [f"settled without being open: {attempt}" for attempt in plane.journal.twice]
    laws += [f"never settled: {attempt}" for attempt in plane.journal.open]
    if plane.hall.exchanges or plane.hall.connections:
        laws.append("an exchange or a connection stays behind")
    for target in plane.hall.targets.values():
        if target.in_flight:
            laws.append(f"{target.in_flight} attempts stay in flight")
    plane.journal.settled.clear()
    plane.told.clear()


def _meaning(given: bytes) -> object:
    """A body as a value, less what the plane adds to it."""
    try:
        value = json.loads(given.decode(errors="surrogateescape"))
    except (ValueError, RecursionError):
        return given
    if isinstance(value, dict):
        value.pop("stream_options", None)
    return value


def _mutate(rng: random.Random, seeds: list[bytes]) -> bytes:
    given = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 5, 8))):
        at = rng.randrange(len(given) + 1)
        if rng.random() < 0.5:  # near a line's end, where parsers decide
            ends = [match.start() for match in re.finditer(rb"[\r\n: ]", bytes(given))]
            at = min(len(given), rng.choice(ends) + rng.randrange(3)) if ends else at
        span = rng.choice((1, 1, 2, 4, 16, 64))
        match rng.randrange(7):
            case 0:
                given[at:at] = rng.choice(_SPICES)
            case 1:
                given[at : at + span] = rng.choice(_SPICES)
            case 2:
                del given[at : at + span]
            case 3:
                given[at:at] = given[at : at + span]
            case 4 if given:
                given[min(at, len(given) - 1)] = rng.randrange(256)
            case 5:
                other = rng.choice(seeds)
                given[at:] = other[rng.randrange(len(other)) :]
            case _:
                given += rng.choice(seeds)
    return bytes(given[: 4 * LIMITS.body_bytes])


def _cut(rng: random.Random, given: bytes) -> list[bytes]:
    """Packets: one, a few, or every byte."""
    how = rng.random()
    if how < 0.4:
        return [given] if given else []
    if how < 0.5 and len(given) < 600:
        return [given[index : index + 1] for index in range(len(given))]
    borders = sorted({rng.randrange(len(given) + 1) for _ in range(rng.randrange(1, 8))})
    edges = [0, *borders, len(given)]
    pieces = (given[a:b] for a, b in itertools.pairwise(edges))
    return [piece for piece in pieces if piece]


def _held_by(connection: Connection) -> int:
    """Bytes of requests that a connection keeps."""
    held = sum(map(len, connection._pieces))
    for request in (*connection._queue, connection._request):
        held += len(request.url) + sum(map(len, request.body))
        held += sum(len(name) + len(value) for name, value in request.fields.items())
    return held


def main() -> int:
    """Fuzz from the command line."""
    options = argparse.ArgumentParser(prog="python -m towplane.testing.fuzz")
    options.add_argument("--minutes", type=float, default=5.0)
    options.add_argument("--seed", type=int, default=None, help="default: from the clock")
    given = options.parse_args()
    seed = int(time.time()) * 1_000_000 if given.seed is None else given.seed
    report = fuzz(given.minutes * 60, seed=seed)
    for finding in report.findings:
        print(f"{finding.law}\n  seed {finding.seed}\n  {finding.given!r}")  # noqa: T201  # a command
    print(  # noqa: T201  # a command
        f"{report.tried} inputs from seed {seed}: {report.served} served, {report.refused} refused,"
        f" {len(report.findings)} findings"
    )
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
