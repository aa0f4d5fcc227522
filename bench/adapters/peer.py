"""What the benchmark asks of a gateway under test: install it once, start it, talk to it.

Installation goes to `bench/peers/NAME` and is kept. A peer that cannot be installed or started
raises `CannotRun` with the reason, which the benchmark prints in the peer's place.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = [
    "CannotRun", "Command", "Peer", "Running", "Site", "Way", "launch", "pip_home", "run_quietly",
]  # fmt: skip

Command = Sequence[str | Path]
HOMES = Path(__file__).parent.parent / "peers"


class CannotRun(Exception):
    """A peer that cannot take part, and why."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a started gateway is asked, in OpenAI's chat dialect, for a model of a provider."""

    model: str
    headers: tuple[str, ...]
    says_done: bool = True
    """Whether a stream ends with `[DONE]`, as OpenAI's do."""


@dataclass(frozen=True, slots=True)
class Running:
    """A started gateway. `process` leads a session of its own; None: nothing stands between."""

    process: subprocess.Popen[bytes] | None
    port: int
    headers: tuple[str, ...] = ()
    log: Path | None = None
    ways: Mapping[str, Way] = field(default_factory=dict)
    """By provider: how translated answers are asked for."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where one start takes place: an empty folder, a free port to serve on, the upstream's."""

    folder: Path
    port: int
    upstream_port: int
    spare_port: int
    """A second free port, for metrics or administration."""
    translates: bool = False
    """Whether the upstream's other wires are wanted besides the OpenAI-compatible one."""

    @property
    def upstream(self) -> str:
        return self.replicas[0]

    @property
    def replicas(self) -> list[str]:
        """The same upstream at several addresses."""
        return [f"http://127.0.0.{number}:{self.upstream_port}" for number in range(1, 5)]


@dataclass(frozen=True, slots=True)
class Peer:
    """One gateway under test."""

    name: str
    settings: str
    """How it is configured, in one line that the results carry."""
    install: Callable[[], str] = field(repr=False)
    """Makes sure that it is there; returns its version."""
    start: Callable[[Site], Running] = field(repr=False)
    has_process: bool = True
    """False: nothing stands between load and upstream."""
    translates: bool = False
    """Whether it can speak other wires than its client's."""


def launch(
    command: Command,
    site: Site,
    *,
    headers: tuple[str, ...] = (),
    environment: dict[str, str] | None = None,
    cwd: Path | None = None,
    ways: Mapping[str, Way] | None = None,
) -> Running:
    """Starts a server in a session of its own, its output in a file of the site."""
    log = site.folder / "output.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            cwd=cwd or site.folder,
            start_new_session=True,
        )
    return Running(process, site.port, headers, log, ways or {})


def pip_home(name: str, requirement: str, distribution: str) -> tuple[Path, str]:
    """A virtual environment with one package in it; its folder and the package's version."""
    home = HOMES / name
    python = home / "bin" / "python"
    if not python.exists():
        run_quietly([sys.executable, "-m", "venv", home])
    ask = f"import importlib.metadata as m; print(m.version({distribution!r}))"
    found = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        run_quietly(
            [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", requirement]
        )
        found = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False)
    return home, found.stdout.strip()


def run_quietly(command: Command, cwd: Path | None = None) -> str:
    """Runs a step of an installation; its last error line is the reason if it fails."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise CannotRun(f"{words[0]} is not installed") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if re.search(r"error|^E:", line, re.I)]
        last = (lines or done.stderr.splitlines() or ["no message"])[-1]
        raise CannotRun(f"`{' '.join(words)[:120]}` failed: {last.strip()[:200]}")
    return done.stdout
