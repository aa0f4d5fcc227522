"""The workers of the serving port, as the plane process runs them.

It opens one listening socket per worker (SO_REUSEPORT) and keeps each open across a worker's death:
connections that come while a worker restarts wait in its backlog instead of being refused. A worker
that dies is restarted after its journal has been recovered, so that its units can be used again.
"""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from towplane.gateway.coordinator import Coordinator, Spent
from towplane.gateway.messages import (
    BACKLOG,
    Drain,
    Explain,
    Explained,
    Frames,
    FromWorker,
    Kept,
    Need,
    Observed,
    Ready,
    Report,
    Reported,
    Returned,
    Snapshot,
    ToWorker,
    frame,
)
from towplane.monitoring.merge import Tally
from towplane.parts import process
from towplane.parts.clock import Clock
from towplane.parts.errors import PlaneError, Platform
from towplane.tenants.windows import Account, Used

__all__ = ["Fleet", "WorkerStatus"]

REPORT_WAIT_S = 2.0
_RECOVER_AGAIN_S = 2.0
_RESTART_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Waits before a restart, by how many times in a row the worker ended before it served."""

# As it comes, glibc gives freed memory back to the kernel with every request of 128 KB, which costs
# 30 to 50 page faults, or about 150 µs; up to these sizes a worker keeps it (mallopt(3)).
_ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(16 * 1024 * 1024),
}

_log = logging.getLogger("towplane.gateway")
_decode = msgspec.msgpack.Decoder(FromWorker).decode

WorkerState = Literal["starting", "serving", "draining", "down"]
Recover = Callable[[str], Awaitable[dict[tuple[Account, str], Used]]]


@dataclass(slots=True)
class WorkerStatus:
    """One place in the fleet."""

    number: int
    state: WorkerState = "starting"
    pid: int | None = None
    restarts: int = 0
    since: float = 0.0
    """Wall clock."""
    report: Reported | None = None
    """The last one, if it still lives."""


@dataclass(slots=True)
class _Life:
    """One incarnation of one worker."""

    id: int
    child: process.Child
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    incarnation: str = ""
    number: int = 0
    """Of its place in the fleet."""
    waiting: dict[int, "asyncio.Future[Reported | Explained]"] = field(default_factory=dict)


class Fleet:
    """All workers. Life: construct → open → start → keep_books → push, again and again → stop."""

    def __init__(
        self,
        *,
        journal_root: Path,
        clock: Clock,
    ) -> None:
        self._root = journal_root
        self._clock = clock
        self._recover: Recover | None = None
        self.coordinator = Coordinator(clock=clock, tell=self._tell)
        self.workers: list[WorkerStatus] = []
        self.tally = Tally()
        self.address = ("", 0)
        self._sockets: list[socket.socket] = []
        self._lives: dict[int, _Life] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._settling: set[asyncio.Task[None]] = set()
        self.snapshot: Snapshot | None = None
        """What the workers decide by."""
        self.tell_newcomer: Callable[[], Iterable[ToWorker]] = tuple
        """What a worker that starts must hear besides."""
        self._next_id = 0
        self._serial = 0
        self._ending = False
        self._serving = asyncio.Event()

    def open(self, host: str, port: int, count: int) -> None:
        """Take the port. Raises Platform when it cannot be had."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            _refuse_shared(host, port, family)
            for _ in range(count):
                listening = socket.socket(family, socket.SOCK_STREAM)
                self._sockets.append(listening)
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                listening.bind((host, port))
                port = listening.getsockname()[1]
                listening.listen(BACKLOG)
        except OSError as error:
            self._close_sockets()
            raise Platform(
                f"The serving port {host}:{port} cannot be opened: {error.strerror}.",
                next_step="Stop what uses it, or change gateway.listen.",
            ) from None
        self.address = (host, port)

    async def start(self) -> None:
        """Start every worker; they serve once they have a snapshot."""
        loop = asyncio.get_running_loop()
        for number, listening in enumerate(self._sockets):
            self.workers.append(WorkerStatus(number))
            life = await self._spawn(listening)
            self._tasks.append(loop.create_task(self._keep(number, listening, life)))

    def keep_books(self, *, spent: Spent, recover: Recover) -> None:
        """Where the ledger is: `recover` folds a dead worker's journal and says what it spent."""
        self._recover = recover
        self.coordinator.spent = spent

    def push(self, snapshot: Snapshot) -> None:
        """What is decided by from now on."""
        self.snapshot = snapshot
        self.coordinator.apply(snapshot.tenants, snapshot.keys, snapshot.providers, snapshot.routes)
        for life in self._lives.values():
            self._send(life, snapshot)

    def observed(self, message: Observed) -> None:
        """Every worker hears what engines said of themselves."""
        for life in self._lives.values():
            self._send(life, message)

    def kept(self, message: Kept) -> None:
        """Every worker hears what an engine's cache keeps."""
        for life in self._lives.values():
            self._send(life, message)

    def refused_credentials(self) -> set[str]:
        """Names of those that some provider refuses now, as the workers last said."""
        return {
            credential.name
            for worker in self.workers
            if worker.report is not None
            for credential in worker.report.credentials
            if credential.state == "parked"
        }

    def incarnations(self) -> list[str]:
        """The names of the living workers' journals."""
        return [life.incarnation for life in self._lives.values() if life.incarnation]

    async def report(self) -> None:
        """Ask every worker how things stand; a worker that does not answer keeps its old report."""
        self._serial += 1
        futures: list[asyncio.Future[Reported | Explained]] = []
        for life in self._lives.values():
            if life.incarnation:
                future = asyncio.get_running_loop().create_future()
                life.waiting[self._serial] = future
                futures.append(future)
                self._send(life, Report(self._serial))
        if futures:
            await asyncio.wait(futures, timeout=REPORT_WAIT_S)

    async def explain(self, question: Explain) -> dict[int, Explained]:
        """What each worker says to this, by its number; those that answer in time."""
        self._serial += 1
        futures: dict[int, asyncio.Future[Reported | Explained]] = {}
        for life in self._lives.values():
            if life.incarnation:
                future = asyncio.get_running_loop().create_future()
                futures[life.number] = life.waiting[self._serial] = future
                self._send(life, msgspec.structs.replace(question, serial=self._serial))
        if futures:
            await asyncio.wait(futures.values(), timeout=REPORT_WAIT_S)
        return {
            number: found
            for number, future in futures.items()
            if future.done()
            and not future.cancelled()
            and isinstance(found := future.result(), Explained)
        }

    async def serving(self) -> None:
        """Return when every worker has served for the first time."""
        await self._serving.wait()

    async def stop(self, *, drain_s: float) -> None:
        """Let running requests end, then end every worker."""
        self._ending = True
        self._close_sockets()
        for worker in self.workers:
            if worker.state == "serving":
                worker.state = "draining"
        for life in self._lives.values():
            self._send(life, Drain())
        lives = list(self._lives.values())
        if lives:
            await asyncio.wait(
                [asyncio.ensure_future(life.child.wait()) for life in lives], timeout=drain_s + 2.0
            )
        for life in lives:
            life.child.kill()
        await asyncio.gather(*self._tasks)
        if self._settling:
            await asyncio.wait(self._settling, timeout=_RECOVER_AGAIN_S)

    # Private

    async def _keep(self, number: int, listening: socket.socket, life: _Life) -> None:
        """Keep one worker alive, from its first life on."""
        status = self.workers[number]
        failures = 0
        while True:
            await self._live(status, life)
            failures = 0 if life.incarnation else failures + 1
            if not self._ending:
                await asyncio.sleep(_RESTART_S[min(failures, len(_RESTART_S) - 1)])
            if self._ending:
                break
            status.restarts += 1
            life = await self._spawn(listening)

    async def _live(self, status: WorkerStatus, life: _Life) -> None:
        """One life of a worker, to its end; its journal is recovered while the next one starts."""
        status.state, status.pid, status.since = "starting", life.child.pid, self._clock.wall()
        self._lives[life.id] = life
        life.number = status.number
        if self.snapshot is not None:
            self._send(life, self.snapshot)
        for message in self.tell_newcomer():
            self._send(life, message)
        await self._listen(life, status)
        ended = await life.child.wait()
        del self._lives[life.id]
        if not self._ending:
            _log.error("worker %d (pid %d) ended: %s", status.number, life.child.pid, ended.words)
        self.tally.retire(life.id)
        status.state, status.pid, status.report = "down", None, None
        for future in life.waiting.values():
            future.cancel()
        if life.incarnation:
            task = asyncio.get_running_loop().create_task(self._settle(life))
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)

    async def _settle(self, life: _Life) -> None:
        """Recover a dead worker's journal, however often that takes, and free what it held."""
        assert self._recover is not None
        while True:
            try:
                spent = await self._recover(life.incarnation)
            except PlaneError as error:
                _log.error("journal %s: %s %s", life.incarnation, error.say, error.next_step)
                await asyncio.sleep(_RECOVER_AGAIN_S)
            else:
                break
        self.coordinator.worker_died(life.id, spent)

    async def _spawn(self, listening: socket.socket) -> _Life:
        ours, theirs = socket.socketpair()
        self._next_id += 1
        number = self._next_id  # of this life: others begin while this one waits below
        argv = [
            sys.executable, "-m", "towplane.gateway.worker",
            str(listening.fileno()), str(theirs.fileno()), str(self._root),
        ]  # fmt: skip
        child = process.start(
            argv,
            env={**_ALLOCATOR, **os.environ},
            pass_fds=(listening.fileno(), theirs.fileno()),
            death_signal=15,  # SIGTERM: it drains; what runs may end
        )
        theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours)
        return _Life(number, child, reader, writer)

    async def _listen(self, life: _Life, status: WorkerStatus) -> None:
        """Hear a worker until it ends."""
        frames = Frames()
        try:
            while data := await life.reader.read(65536):
                for body in frames.feed(data):
                    self._hear(life, status, _decode(body))
        except ConnectionError:
            pass
        life.writer.close()

    def _hear(self, life: _Life, status: WorkerStatus, message: FromWorker) -> None:
        match message:
            case Ready():
                if not life.incarnation:
                    life.incarnation = message.incarnation
                    self.coordinator.worker_started(life.id, message.incarnation)
                if status.state == "starting":
                    status.state = "serving"
                    if all(worker.state == "serving" for worker in self.workers):
                        self._serving.set()
            case Need() | Returned():
                self.coordinator.hear(life.id, message)
            case Reported():
                status.report = message
                self.tally.report(life.id, message.samples)
                _answer(life, message)
            case Explained():
                _answer(life, message)

    def _tell(self, worker: int, message: ToWorker) -> None:
        life = self._lives.get(worker)
        if life is not None:
            self._send(life, message)

    def _send(self, life: _Life, message: ToWorker) -> None:
        if not life.writer.is_closing():
            life.writer.write(frame(message))

    def _close_sockets(self) -> None:
        while self._sockets:
            self._sockets.pop().close()


def _answer(life: _Life, message: Reported | Explained) -> None:
    future = life.waiting.pop(message.serial, None)
    if future is not None and not future.done():
        future.set_result(message)


def _refuse_shared(host: str, port: int, family: int) -> None:
    """SO_REUSEPORT would let two planes share a port in silence: try without it first."""
    if port == 0:
        return
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
