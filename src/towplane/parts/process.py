"""A supervised child process: started in its own session, never left behind. Linux only.

A child is the leader of its own process group, gets `death_signal` from the kernel when its parent
dies, writes to a log file of bounded size, and ends with an `Exit` that says in words what
happened. This module knows no engine and no gateway worker.

The law: nothing outlives its supervisor. `stop` ends the child, if need be by force; what the child
started itself and left in its group is killed when the child ends; and a parent that dies by
SIGKILL takes its children with it.

The kernel ties the death signal to the *thread* that started the child: start children in a
thread that lives as long as they may, such as the main one.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "NOT_FOUND",
    "NOT_RUNNABLE",
    "Child",
    "Exit",
    "Identity",
    "Log",
    "adopt",
    "identify",
    "start",
]

NOT_STARTED, NOT_RUNNABLE, NOT_FOUND = 125, 126, 127
"""Exit codes of a program that did not begin, counted as shells and env(1) do: its parent was gone
already, it is not executable here, it or a library of it is missing."""

# prctl(PR_SET_PDEATHSIG) has to be called in the child. `preexec_fn` would run Python between fork
# and exec of a process with threads; this shim costs 10 ms, runs after exec, and then becomes the
# program. The parent may have died before prctl: then nobody would ever send the signal.
_SHIM = """
import ctypes, os, sys
parent, death_signal, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
ctypes.CDLL(None).prctl(1, death_signal)
if os.getppid() != parent:
    os._exit(125)
try:
    os.execvp(program[0], program)
except OSError as error:
    print(f"cannot start {program[0]}: {error.strerror}", file=sys.stderr, flush=True)
    os._exit(127 if isinstance(error, FileNotFoundError) else 126)
"""

_CODE_WORDS = {
    NOT_STARTED: "not started: its supervisor was gone",
    NOT_RUNNABLE: "the program cannot be run",
    NOT_FOUND: "the program or a library of it was not found",
}
_SIGNAL_WORDS = {
    signal.SIGILL: "illegal instruction: the program was built for another CPU",
    signal.SIGKILL: "killed, by somebody or by the kernel for want of memory",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGABRT: "aborted itself",
    signal.SIGBUS: "bus error: a mapped file shrank or memory failed",
    signal.SIGFPE: "arithmetic error",
    signal.SIGTERM: "asked to end",
    signal.SIGINT: "interrupted",
}


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended; `code` as `subprocess` has it (negative: a signal), None: unknown."""

    code: int | None

    @property
    def signal(self) -> int | None:
        """The signal that ended it, also where a shell in between has said 128 + signal."""
        if self.code is None:
            return None
        number = -self.code if self.code < 0 else self.code - 128
        return number if number in {int(known) for known in signal.Signals} else None

    @property
    def words(self) -> str:
        """For people: `exit 1`, `signal 4 (SIGILL), illegal instruction: …`."""
        if self.code is None:
            return "ended; its exit code went to another parent"
        number = self.signal
        if number is not None:
            known = signal.Signals(number)
            said = f"signal {number} ({known.name})"
            return f"{said}, {_SIGNAL_WORDS[known]}" if known in _SIGNAL_WORDS else said
        said = f"exit {self.code}"
        return f"{said}, {_CODE_WORDS[self.code]}" if self.code in _CODE_WORDS else said


@dataclass(frozen=True, slots=True)
class Identity:
    """One process for good: a pid may be given again, but not with the same start on one boot."""

    pid: int
    ticks: int
    """When it started, in clock ticks since the boot (`/proc/PID/stat`)."""
    boot: str


class Log:
    """A file that children append to, kept below `limit_bytes` by `trim`; one older part stays."""

    def __init__(self, path: Path, limit_bytes: int = 8 * 1024 * 1024) -> None:
        self.path = path
        self._limit_bytes = limit_bytes
        self._begin = 0

    def open(self) -> int:
        """A descriptor to append to; `tail` speaks of what is written from now on."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Append mode lets the file be cut while children write to it.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o600)
        self._begin = os.fstat(descriptor).st_size
        return descriptor

    def trim(self) -> None:
        """Moves what is there to `FILE.1` once the file is too long; lines in flight may go."""
        try:
            if self.path.stat().st_size <= self._limit_bytes:
                return
        except FileNotFoundError:
            return
        older = self.path.with_name(self.path.name + ".1")
        older.write_bytes(self.path.read_bytes())
        older.chmod(0o600)
        os.truncate(self.path, 0)
        self._begin = 0

    def tail(self, lines: int = 20, most_bytes: int = 16 * 1024) -> tuple[str, ...]:
        """The last lines since `open`, without colours and control characters."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(self._begin, size - most_bytes))
                text = file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ()
        kept = [_plain(line) for line in text.splitlines() if line.strip()]
        return tuple(kept[-lines:])


class Child:
    """A running process, ours or adopted. Made by `start` and `adopt`."""

    def __init__(
        self, identity: Identity, descriptor: int, own: subprocess.Popen[bytes] | None
    ) -> None:
        self.identity = identity
        self._descriptor = descriptor
        self._own = own
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[Exit] = self._loop.create_future()
        self._loop.add_reader(descriptor, self._note_end)

    @property
    def pid(self) -> int:
        return self.identity.pid

    @property
    def exit(self) -> Exit | None:
        """None while it runs."""
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> Exit:
        """Returns when it has ended."""
        return await asyncio.shield(self._ended)

    def send(self, signum: int) -> None:
        """A signal to the process itself; nothing happens when it has ended."""
        if not self._ended.done():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, signum)

    def kill(self) -> None:
        """SIGKILL to its whole group."""
        if not self._ended.done():
            _kill_group(self.pid)
            self.send(signal.SIGKILL)  # adopted and not the leader of a group

    async def stop(self, *, grace_s: float) -> Exit:
        """SIGTERM, and SIGKILL to the group when `grace_s` was not enough."""
        self.send(signal.SIGTERM)
        done, _ = await asyncio.wait([self._ended], timeout=grace_s)
        if not done:
            self.kill()
        return await self.wait()

    def _note_end(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        code: int | None = None
        if self._own is not None:
            # Before the zombie is reaped, its number can belong to no other group.
            _kill_group(self.pid)
            code = self._own.wait()
        self._ended.set_result(Exit(code))


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    log: Log | None = None,
    pass_fds: Sequence[int] = (),
    death_signal: int = signal.SIGKILL,
) -> Child:
    """Starts a program; call it on a running loop, in a thread that stays (see above).

    `env` None: this process's. `log` None: this process's own output. A program that cannot be
    run ends with exit 126 or 127 and says so in its log.
    """
    shim = [sys.executable, "-I", "-S", "-c", _SHIM, str(os.getpid()), str(int(death_signal))]
    output = log.open() if log is not None else None
    try:
        process = subprocess.Popen(
            [*shim, *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=None if env is None else dict(env),
            cwd=cwd,
            pass_fds=pass_fds,
            start_new_session=True,
        )
    finally:
        if output is not None:
            os.close(output)
    # Not reaped yet, so the number is still its own, whatever has happened to it.
    return Child(_read_identity(process.pid), os.pidfd_open(process.pid), process)


def adopt(identity: Identity) -> Child | None:
    """Takes over a process that a dead parent has left; None when that process is gone."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except OSError:
        return None
    if identify(identity.pid) != identity:
        os.close(descriptor)
        return None
    return Child(identity, descriptor, None)


def identify(pid: int) -> Identity | None:
    """Who has this pid now; None: nobody, or only the remains of a process that has ended."""
    try:
        state = _read_stat(pid)[0]
        return None if state in "ZX" else _read_identity(pid)
    except (FileNotFoundError, ProcessLookupError):
        return None


def _read_identity(pid: int) -> Identity:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    # proc(5): starttime is field 22; what follows the name's parenthesis begins with field 3.
    return Identity(pid, int(_read_stat(pid)[19]), boot)


def _read_stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _plain(line: str) -> str:
    return "".join(char for char in line if char.isprintable() or char == "\t").rstrip()
