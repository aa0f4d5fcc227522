"""Engine replicas as child processes of the plane, on loopback.

Each has a free port, a key of its own, a log of bounded size, a record on disk and a watcher, so
that a slow answer of one holds up nothing else. It decides nothing.

The law: a replica has at most one process, and the record of a process is there as long as the
process is.
"""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from towplane.engines.adapters import load
from towplane.engines.replica import Stale
from towplane.engines.resolve import Startable
from towplane.parts.clock import Clock
from towplane.parts.errors import Unsupported
from towplane.parts.process import Child, Exit, Log, adopt, start
from towplane.targets.local.environment import make_environment
from towplane.targets.local.records import Record, log_path, read_all, remove, write
from towplane.targets.local.watch import HOST, Watch, can_generate
from towplane.targets.replicas import Key, Seen

__all__ = ["LocalTarget"]

TERM_GRACE_S = 3.0
"""From SIGTERM to SIGKILL. Requests were drained before; one that still runs would keep
llama-server for over 50 s, silent."""


@dataclass(slots=True)
class _Running:
    """One process, living or ended and not forgotten."""

    child: Child
    port: int
    api_key: str = field(repr=False)
    log: Log
    watch: Watch
    exit: Exit | None = None
    final: str = ""
    log_tail: tuple[str, ...] = ()


class LocalTarget:
    """The replicas on this machine; used on a running loop, in a thread that stays."""

    def __init__(
        self,
        folder: Path,
        on_change: Callable[[], None],
        *,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._folder = folder
        self._on_change = on_change
        self._clock = clock or Clock()
        self._sleep = sleep
        self._environment = environment
        self._running: dict[Key, _Running] = {}
        self._stale: dict[Key, tuple[Record, Child]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, key: Key, startable: Startable) -> None:
        """Starts a process and writes down which."""
        port, api_key = self._find_port(), secrets.token_urlsafe(24)
        command = startable.adapter.render(startable.launch(port=port, api_key=api_key))
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = Log(log_path(self._folder, *key))
        log.trim()
        environment = make_environment(self._environment, command.env)
        child = start(command.argv, env=environment, log=log)
        record = Record(
            engine=key[0],
            replica=key[1],
            kind=startable.adapter.kind,
            pid=child.identity.pid,
            ticks=child.identity.ticks,
            boot=child.identity.boot,
            port=port,
            digest=startable.digest,
            api_key=api_key,
            started_at=self._clock.wall(),
        )
        try:
            write(self._folder, record)
        except OSError:
            child.kill()  # without a record it would be lost to the next plane
            raise
        self._attend(key, child, record, log, startable)

    def stop(self, key: Key) -> None:
        """SIGTERM, then SIGKILL to the group on a timer."""
        self._spawn(_end(self._running[key].child))

    def kill(self, key: Key) -> None:
        """SIGKILL to the group."""
        self._running[key].child.kill()

    def forget(self, key: Key) -> None:
        """Drops a replica whose process has ended."""
        self._running.pop(key, None)

    def observe(self) -> dict[Key, Seen]:
        """What is known now; asks nobody."""
        return {key: _see(running) for key, running in self._running.items()}

    async def survey(self) -> tuple[Stale, ...]:
        """What an earlier plane has left; the records of dead processes are removed."""
        found: list[Stale] = []
        for record in read_all(self._folder):
            child = adopt(record.identity)
            if child is None:
                remove(self._folder, record.engine, record.replica)
                continue
            self._stale[record.engine, record.replica] = (record, child)
            stale = Stale(
                engine=record.engine,
                index=record.replica,
                digest=record.digest,
                pid=record.pid,
                is_healthy=await _is_healthy(record),
            )
            found.append(stale)
        return tuple(found)

    def adopt(self, key: Key, startable: Startable) -> None:
        """Takes over a process that `survey` has found."""
        record, child = self._stale.pop(key)
        log = Log(log_path(self._folder, *key))
        self._attend(key, child, record, log, startable)

    async def kill_stale(self, key: Key) -> None:
        """Ends a process that `survey` has found."""
        record, child = self._stale.pop(key)
        await _end(child)
        remove(self._folder, record.engine, record.replica)

    async def close(self) -> None:
        """Ends every process and waits for it."""
        for running in self._running.values():
            self._spawn(_end(running.child))
        for key in list(self._stale):
            self._spawn(self.kill_stale(key))
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def _attend(
        self, key: Key, child: Child, record: Record, log: Log, startable: Startable
    ) -> None:
        assert key not in self._running or self._running[key].exit is not None
        watch = Watch(
            startable.adapter,
            startable.name,
            record.port,
            record.api_key,
            now=self._clock.monotonic,
            sleep=self._sleep,
        )
        running = _Running(child, record.port, record.api_key, log, watch)
        self._running[key] = running
        self._spawn(self._follow(key, running, startable))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, key: Key, running: _Running, startable: Startable) -> None:
        watching = asyncio.get_running_loop().create_task(
            running.watch.run(self._on_change, lambda: _trim(running.log))
        )
        end = await running.child.wait()
        watching.cancel()
        running.log_tail = running.log.tail()
        if not running.watch.is_ready:
            running.final = startable.adapter.final(end, running.log_tail)
        running.exit = end
        remove(self._folder, *key)
        self._on_change()

    def _find_port(self) -> int:
        taken = {running.port for running in self._running.values() if running.exit is None}
        while True:
            with socket.socket() as probe:
                probe.bind((HOST, 0))
                port = int(probe.getsockname()[1])
            if port not in taken:
                return port


def _trim(log: Log) -> None:
    with contextlib.suppress(OSError):  # a full disk ends no watching
        log.trim()


async def _end(child: Child) -> None:
    await child.stop(grace_s=TERM_GRACE_S)


async def _is_healthy(record: Record) -> bool:
    try:
        adapter = load(record.kind)
    except Unsupported:
        return False
    return await can_generate(adapter, record.engine, record.port, record.api_key)


def _see(running: _Running) -> Seen:
    watch = running.watch
    return Seen(
        pid=running.child.pid,
        host=HOST,
        port=running.port,
        api_key=running.api_key,
        log=running.log.path,
        log_tail=running.log_tail,
        exit=running.exit,
        final=running.final,
        is_ready=watch.is_ready,
        version=watch.version,
        vitals=watch.vitals,
        progress_at=watch.progress_at,
        frozen_probes=watch.frozen_probes,
    )
