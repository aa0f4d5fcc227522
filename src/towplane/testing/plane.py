"""A whole plane as a child process: `towplane up` on free ports, for stories.

It starts the command as a user would, waits for `plane.json`, and at the end asserts that the
command went quietly and left no process behind.
"""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from towplane.testing.provider import FakeProvider

__all__ = [
    "UPSTREAM_KEY",
    "PlaneFactory",
    "PlaneFailed",
    "RunningPlane",
    "document",
    "read_attempts",
    "wait_until",
]

START_S = 60.0
"""Generous: other work may share the machine."""
_MARK = "TOWPLANE_STORY"
_MAIN = "import sys; from towplane.cli.main import main; sys.exit(main())"
"""The command as its script calls it, in this interpreter."""


UPSTREAM_KEY = "upstream-key"
"""The fake providers' key, in the plane's environment under the same name."""


def document(
    folder: Path,
    *providers: FakeProvider,
    gateway: dict[str, Any] | None = None,
    route: dict[str, Any] | None = None,
    tenants: dict[str, Any] | None = None,
    prices: dict[str, Any] | None = None,
    ca: Path | None = None,
    more: dict[str, Any] | None = None,
) -> str:
    """A document with one route `fake` to the fake providers, and a breaker that never opens."""
    names = [f"fake-{index}" for index in range(len(providers))]
    return yaml.safe_dump(
        {
            "plane": "story",
            "data_dir": str(folder / "data"),
            "gateway": {"listen": "127.0.0.1:0", **(gateway or {})},
            "admin": {"listen": "127.0.0.1:0"},
            "providers": {
                name: {
                    "kind": "openai-compatible",
                    "endpoint": provider.base_url,
                    "credentials": [{"api_key": "env:UPSTREAM_KEY"}],
                    **({"prices": {"fake": [prices]}} if prices else {}),
                    **({"ca": str(ca)} if ca else {}),
                }
                for name, provider in zip(names, providers, strict=True)
            },
            "routing": {
                "fake": {
                    "targets": [{"provider": name} for name in names],
                    "breaker": {"failures": 1_000_000, "share": "100%", "volume": 1_000_000},
                    **(route or {}),
                }
            },
            "tenants": tenants or {"acme": {}},
            **(more or {}),
        }
    )


class PlaneFailed(AssertionError):
    """The plane did not start, stop or answer as it must; the message holds its log."""


class RunningPlane:
    """`towplane up -f FILE` in a process of its own.

    with RunningPlane(document, tmp_path) as plane:
        client = openai.OpenAI(base_url=plane.base_url, api_key=plane.key("acme"))
    """

    def __init__(self, document: str, folder: Path, *, env: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.file = folder / "plane.yaml"
        self.data_dir = folder / "data"
        self.log = folder / "plane.log"
        self.file.write_text(document)
        self._mark = uuid.uuid4().hex
        self._env = {
            **os.environ,
            "UPSTREAM_KEY": UPSTREAM_KEY,
            **(env or {}),
            _MARK: self._mark,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ending = False
        self.serving = ""
        """`host:port` of the serving port."""
        self.admin = ""
        """`host:port` of the admin port."""
        self.scheme = "http"

    @property
    def base_url(self) -> str:
        """What a client of OpenAI's API takes as its base URL."""
        return f"{self.scheme}://{self.serving}/v1"

    @property
    def admin_url(self) -> str:
        """The origin of the admin port."""
        return f"http://{self.admin}"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the serving port."""
        host, _, port = self.serving.rpartition(":")
        return host, int(port)

    @property
    def pid(self) -> int:
        """The plane process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        """Start and wait until both ports answer."""
        self._is_ending = False
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _MAIN, "up", "-f", str(self.file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
                cwd=self.folder,
                start_new_session=True,
            )
        wait_until(self._is_up, START_S, lambda: f"the plane is not up:\n{self.tail()}")
        return self

    def stop(self, within_s: float = 30.0) -> None:
        """SIGTERM, and nothing is left running."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None and not self._is_ending:  # a second one would end it at once
            process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._sweep(process)
            raise PlaneFailed(f"SIGTERM did not end the plane:\n{self.tail()}") from None
        left = wait_gone(self._mark)
        if left:
            self._sweep(process)
            raise PlaneFailed(f"left running: {left}\n{self.tail()}")
        if code != 0:
            raise PlaneFailed(f"the plane ended with {code}:\n{self.tail()}")

    def terminate(self) -> None:
        """SIGTERM, and no waiting: the plane drains. `stop` waits and checks."""
        self._is_ending = True
        os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the plane process alone; its children must notice by themselves."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        except PlaneFailed:
            if kind is None:  # what the story itself found matters more
                raise

    def workers(self) -> list[int]:
        """Process ids of the gateway's workers."""
        return [
            pid for pid, words in marked(self._mark) if any("gateway.worker" in w for w in words)
        ]

    def resident_bytes(self) -> int:
        """Memory of all workers."""
        pages = (Path(f"/proc/{pid}/statm").read_text().split()[1] for pid in self.workers())
        return sum(map(int, pages)) * os.sysconf("SC_PAGE_SIZE")

    def key(self, tenant: str, **wanted: Any) -> str:
        """A new key of a tenant."""
        return str(self.call("POST", f"/tenants/{tenant}/keys", wanted)["token"])

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the admin API."""
        request = urllib.request.Request(
            f"{self.admin_url}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise PlaneFailed(f"{method} {path}: {error.code} {error.read()!r}") from None

    def attempts(self) -> dict[str, dict[str, Any]]:
        """Every row of the ledger by attempt, with all that the journals say folded in."""
        self.call("GET", "/usage")
        return read_attempts(self.data_dir)

    def metrics(self) -> dict[str, float]:
        """Every series of `/metrics`, by name and labels as exposed."""
        with urllib.request.urlopen(f"{self.admin_url}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a family over the series that have these labels; 0 if there is none."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(
            value
            for series, value in self.metrics().items()
            if series.partition("{")[0] == name and all(part in series for part in wanted)
        )

    def tail(self, size: int = 4000) -> str:
        """The end of the plane's log."""
        return self.log.read_text(errors="replace")[-size:] if self.log.exists() else "(no log)"

    def _is_up(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise PlaneFailed(f"the plane ended with {self._process.returncode}:\n{self.tail()}")
        try:
            found = json.loads((self.data_dir / "plane.json").read_text())
        except (OSError, ValueError):
            return False
        if found.get("pid") != self._process.pid:
            return False
        self.scheme = "https" if str(found["serving"]).startswith("https:") else "http"
        self.serving = str(found["serving"]).rpartition("//")[2]
        self.admin = str(found["admin"]).rpartition("//")[2]
        try:
            with urllib.request.urlopen(f"{self.admin_url}/readyz", timeout=5):
                return True
        except OSError:
            return False

    def _sweep(self, process: "subprocess.Popen[bytes]") -> None:
        process.kill()
        process.wait(10)
        for pid, _ in marked(self._mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def read_attempts(data_dir: Path) -> dict[str, dict[str, Any]]:
    """The rows of a ledger by attempt id, as they lie on disk."""
    where = f"file:{data_dir / 'ledger.sqlite'}?mode=ro"
    with contextlib.closing(sqlite3.connect(where, uri=True)) as ledger:
        ledger.row_factory = sqlite3.Row
        return {row["id"]: dict(row) for row in ledger.execute("SELECT * FROM attempts")}


PlaneFactory = Callable[..., RunningPlane]
"""From providers and the parts of `document` to a running plane; the stories' fixture."""


def wait_until(
    claim: Callable[[], bool], within_s: float, complaint: Callable[[], str] = lambda: "too late"
) -> None:
    """Wait until a claim about another process holds, however long that takes on a busy machine."""
    until = time.monotonic() + within_s
    while not claim():
        if time.monotonic() > until:
            raise PlaneFailed(complaint())
        time.sleep(0.01)


def marked(mark: str) -> list[tuple[int, list[str]]]:
    """Processes that were started with the mark in their environment: id and command line."""
    found = []
    needle = f"{_MARK}={mark}".encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if needle in (folder / "environ").read_bytes().split(b"\0"):
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                found.append((int(folder.name), words))
        except OSError:
            continue  # it ended, or it is not ours
    return found


def wait_gone(mark: str, within_s: float = 5.0) -> list[tuple[int, list[str]]]:
    """Wait until no marked process is left; answer those that stay."""
    until = time.monotonic() + within_s
    while (left := marked(mark)) and time.monotonic() < until:
        time.sleep(0.02)
    return left
