"""A gateway worker: `python -m towplane.gateway.worker SERVING_FD CHANNEL_FD JOURNAL_ROOT`.

One process with one event loop: it takes a listening socket and a socket to the plane process as
inherited descriptors, waits for its first snapshot, and serves. It imports nothing that serving
does not need, so that it starts in a fraction of a second. When the plane process goes away, so
does the worker, after what runs has ended.
"""

import asyncio
import contextlib
import gc
import signal
import socket
import ssl
import sys
from pathlib import Path
from typing import cast

import msgspec
import uvloop

from towplane.gateway.connection import Connection
from towplane.gateway.explanation import answer_question
from towplane.gateway.hall import SWEEP_S, Hall
from towplane.gateway.messages import (
    BACKLOG,
    Drain,
    Explain,
    Frames,
    FromWorker,
    Granted,
    Kept,
    Observed,
    Ready,
    Recall,
    Report,
    Snapshot,
    ToWorker,
    frame,
)
from towplane.parts.clock import Clock
from towplane.parts.ids import RequestIds
from towplane.tenants.journal import JournalWriter

_decode = msgspec.msgpack.Decoder(ToWorker).decode


class Channel(asyncio.Protocol):
    """The worker's end of the channel to the plane process."""

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The channel is open."""
        self._transport = transport  # type: ignore[assignment]  # uvloop's own class

    def data_received(self, data: bytes) -> None:
        """Messages came."""
        for body in self._frames.feed(data):
            self._worker.hear(_decode(body))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """The plane process is gone."""
        self._transport = None
        self._worker.orphaned()

    def tell(self, message: FromWorker) -> None:
        """Send a message; to nobody if the plane process is gone."""
        if self._transport is not None:
            self._transport.write(frame(message))


class Worker:
    """The life of one worker."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, serving: socket.socket, journal_root: Path
    ) -> None:
        self._loop = loop
        self._serving = serving
        ids = RequestIds()
        self.channel = Channel(self)
        self._journal = JournalWriter(journal_root / ids.prefix)
        self._hall = Hall(
            loop=loop, clock=Clock(), ids=ids, journal=self._journal, tell=self.channel.tell
        )
        self._server: asyncio.Server | None = None
        self._tls: ssl.SSLContext | None = None
        self._drain_s = 30.0
        self._ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def hear(self, message: ToWorker) -> None:
        """A message of the plane process."""
        match message:
            case Snapshot():
                self._apply(message)
            case Granted():
                self._hall.granted(message)
            case Recall():
                self._hall.recalled(message.pool)
            case Report():
                self.channel.tell(self._hall.report(message.serial))
            case Explain():
                self.channel.tell(answer_question(self._hall, message))
            case Observed():
                self._hall.observed(message)
            case Kept():
                self._hall.cached(message)
            case Drain():
                self.drain()

    def drain(self) -> None:
        """Take no new work, let what runs end, then end; at the deadline end anyway."""
        if not self._hall.draining:
            self._start(self._drain())

    def orphaned(self) -> None:
        """Without the plane process nothing new is taken: nobody could restart or bill it."""
        self.drain()

    async def run(self) -> None:
        """Serve until told to end."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.drain)
        sweep = self._loop.create_task(self._sweep())
        await self._ended.wait()
        sweep.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweep
        self._hall.close()
        self._journal.close()

    def _start(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _apply(self, snapshot: Snapshot) -> None:
        self._drain_s = snapshot.drain_s
        self._hall.apply(snapshot)
        listen = snapshot.listen
        if listen.certificate is not None:
            if self._tls is None:
                self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
                self._tls.set_alpn_protocols(["http/1.1"])
            self._tls.load_cert_chain(listen.certificate, listen.key)
        if self._server is None and not self._hall.draining:
            self._start(self._serve(snapshot.version))
        else:
            self.channel.tell(Ready(snapshot.version, self._journal.incarnation))

    async def _serve(self, version: int) -> None:
        self._server = await self._loop.create_server(
            lambda: cast("asyncio.Protocol", Connection(self._hall)),
            sock=self._serving,
            ssl=self._tls,
            backlog=BACKLOG,
        )
        self.channel.tell(Ready(version, self._journal.incarnation))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self._hall.sweep()

    async def _drain(self) -> None:
        if self._server is not None:
            self._server.close()
        self._hall.drain()
        ends_at = self._loop.time() + self._drain_s
        while self._hall.busy() and self._loop.time() < ends_at:  # noqa: ASYNC110  # it sweeps
            await asyncio.sleep(SWEEP_S)
        self._ended.set()


async def _main(serving_fd: int, channel_fd: int, journal_root: Path) -> None:
    loop = asyncio.get_running_loop()
    worker = Worker(loop, socket.socket(fileno=serving_fd), journal_root)
    await loop.create_connection(lambda: worker.channel, sock=socket.socket(fileno=channel_fd))
    await worker.run()


def main() -> None:
    """Entry point of the process."""
    # What was imported lives as long as the process, and the line leaves no cycles behind: the
    # collector has little to find, so it looks rarely.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    serving_fd, channel_fd, journal_root = sys.argv[1:4]
    uvloop.run(_main(int(serving_fd), int(channel_fd), Path(journal_root)))


if __name__ == "__main__":
    main()
