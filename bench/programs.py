"""The two C programs of the benchmark: compiled here, started here, their answers read here.

Knows no gateway: a load goes to a port. The programs themselves say what they do (`c/*.c`).
"""

import contextlib
import json
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

__all__ = ["Load", "Outcome", "Times", "Upstream", "build", "free_port", "upstream"]

SOURCES = Path(__file__).parent / "c"
PROGRAMS = {"upstream": ("upstream.c", "wires.c"), "load": ("load.c",)}
"""Programs and what they are compiled of."""
BUILD = Path(__file__).parent / "build"


class Times(msgspec.Struct, frozen=True):
    """Latencies in microseconds."""

    p50: int
    p90: int
    p99: int
    max: int
    mean: float


class Outcome(msgspec.Struct, frozen=True):
    """What the load generator saw."""

    sent: int
    good: int
    events: int
    bytes: int
    reads: int
    connects: int
    elapsed_s: float
    latency_us: Times | None
    ttfb_us: Times | None
    errors: dict[str, int]
    unfinished: int
    behind: int
    first_error: str
    user_us: int
    system_us: int

    @property
    def failed(self) -> int:
        return sum(self.errors.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked of a server; see the head of load.c."""

    connections: int = 16
    duration_s: float = 3.0
    count: int = 0
    rate: float = 0.0
    ramp_s: float = 0.0
    body_bytes: int = 1024
    stream: bool = False
    max_tokens: int = 64
    pace: int = 0
    path: str = "/v1/chat/completions"
    model: str = "m"
    says_pace: bool = False
    """Ask for the pace in the prompt, which every translation brings through, not by `seed`."""
    needs_done: bool = True
    """A stream is good only if it ends with `[DONE]`."""

    def command(self, port: int, headers: tuple[str, ...]) -> list[str]:
        words = [str(BUILD / "load"), "--port", str(port), "--connections", str(self.connections)]
        words += ["--duration", str(self.duration_s), "--count", str(self.count)]
        words += ["--rate", str(self.rate), "--ramp", str(self.ramp_s), "--pace", str(self.pace)]
        words += ["--body-bytes", str(self.body_bytes), "--max-tokens", str(self.max_tokens)]
        words += ["--path", self.path, "--model", self.model]
        words += ["--stream"] if self.stream else []
        words += ["--say-pace"] if self.says_pace else []
        words += [] if self.needs_done else ["--any-end"]
        for header in headers:
            words += ["--header", header]
        return words

    def start(self, port: int, headers: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command(port, headers), stdout=subprocess.PIPE)

    def run(self, port: int, headers: tuple[str, ...] = ()) -> Outcome:
        return Load.result(self.start(port, headers))

    @staticmethod
    def result(process: subprocess.Popen[bytes]) -> Outcome:
        printed, _ = process.communicate()
        return msgspec.json.decode(printed, type=Outcome)


@dataclass(frozen=True, slots=True)
class Upstream:
    """The fake provider that stands behind every gateway."""

    port: int

    def stats(self) -> dict[str, int]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/stats", timeout=5) as answer:
            counts: dict[str, int] = json.load(answer)
            return counts


def build() -> None:
    """Compiles what has changed. A missing compiler is the caller's error to print."""
    BUILD.mkdir(exist_ok=True)
    newest = max(source.stat().st_mtime for source in SOURCES.iterdir())
    for name, parts in PROGRAMS.items():
        program = BUILD / name
        if program.exists() and program.stat().st_mtime > newest:
            continue
        sources = [str(SOURCES / part) for part in parts]
        subprocess.run(
            ["cc", "-std=c11", "-O2", "-Wall", "-Wextra", "-o", str(program), *sources], check=True
        )


@contextlib.contextmanager
def upstream() -> Iterator[Upstream]:
    """The upstream on a free port, for the length of a `with` block."""
    command = [str(BUILD / "upstream"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield Upstream(int(process.stdout.readline().split()[1]))
        finally:
            process.terminate()


def free_port() -> int:
    """A port that was free a moment ago; for programs that cannot tell which one they took."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
