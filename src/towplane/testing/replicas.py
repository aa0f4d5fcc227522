"""A target on which nothing runs: its processes become ready, crash and hang when told to.

It enforces the law that no caller may break: a replica has at most one process.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from towplane.engines.adapter import Vitals
from towplane.engines.replica import Stale
from towplane.engines.resolve import Startable
from towplane.parts.clock import Now
from towplane.parts.process import Exit
from towplane.targets.replicas import Key, Seen

__all__ = ["FakeTarget"]


@dataclass(slots=True)
class _FakeProcess:
    seen: Seen
    digest: str


class FakeTarget:
    """Implements `ReplicaTarget`; what was asked of it stands in `log`."""

    def __init__(self, now: Now, *, stale: tuple[Stale, ...] = ()) -> None:
        self._now = now
        self._pid = 100
        self.processes: dict[Key, _FakeProcess] = {}
        self.stale = stale
        self.log: list[str] = []
        self.is_stubborn = False
        """Processes that are asked to stop go on until `relent`."""
        self._asked: set[Key] = set()
        self.refusal: OSError | None = None
        """Raised instead of starting a process."""

    @property
    def living(self) -> dict[Key, _FakeProcess]:
        """The processes that run."""
        return {key: one for key, one in self.processes.items() if one.seen.exit is None}

    def is_ready(self, key: Key) -> bool:
        """A process runs there and is ready."""
        return key in self.living and self.processes[key].seen.is_ready

    def become_ready(self, key: Key) -> None:
        """A token has come out."""
        self._change(key, is_ready=True, progress_at=self._now())

    def end(self, key: Key, code: int, *, final: str = "", lines: tuple[str, ...] = ()) -> None:
        """The process ends by itself."""
        self._change(key, exit=Exit(code), final=final, log_tail=lines)

    def hang(self, key: Key, *, since: float, probes: int) -> None:
        """It has work and makes no progress."""
        vitals = Vitals(running=1, waiting=0, progress=7.0)
        self._change(key, vitals=vitals, progress_at=since, frozen_probes=probes)

    def relent(self) -> None:
        """What was asked to stop ends."""
        self.is_stubborn = False
        for key in self._asked & set(self.living):
            self.end(key, 0)
        self._asked.clear()

    def start(self, key: Key, startable: Startable) -> None:
        """A process, not ready yet."""
        if self.refusal is not None:
            raise self.refusal
        self._begin(key, startable.digest)
        self.log.append(f"start {key[0]}/{key[1]}")

    def stop(self, key: Key) -> None:
        """Ends at once, unless it is stubborn."""
        assert key in self.living
        self.log.append(f"stop {key[0]}/{key[1]}")
        self._asked.add(key)
        if not self.is_stubborn:
            self.relent()

    def kill(self, key: Key) -> None:
        """Ends at once."""
        assert key in self.living
        self.log.append(f"kill {key[0]}/{key[1]}")
        self.end(key, -9)

    def forget(self, key: Key) -> None:
        """Only what has ended can be forgotten."""
        assert key not in self.living
        self.processes.pop(key, None)

    def observe(self) -> dict[Key, Seen]:
        """What `become_ready`, `end` and `hang` have set."""
        return {key: one.seen for key, one in self.processes.items()}

    async def survey(self) -> tuple[Stale, ...]:
        """What the test has put there."""
        return self.stale

    def adopt(self, key: Key, startable: Startable) -> None:
        """As if it had been started here."""
        self._begin(key, startable.digest)
        self.log.append(f"adopt {key[0]}/{key[1]}")

    async def kill_stale(self, key: Key) -> None:
        """Ends at once."""
        self.log.append(f"kill stale {key[0]}/{key[1]}")

    async def close(self) -> None:
        """Ends everything."""
        for key in self.living:
            self.end(key, 0)

    def _begin(self, key: Key, digest: str) -> None:
        assert key not in self.living, f"{key} has a process already"
        self._pid += 1
        log = Path(f"{key[0]}-{key[1]}.log")
        seen = Seen(pid=self._pid, host="127.0.0.1", port=10_000 + self._pid, api_key="k", log=log)
        self.processes[key] = _FakeProcess(seen, digest)

    def _change(self, key: Key, **news: object) -> None:
        process = self.processes[key]
        process.seen = replace(process.seen, **news)  # type: ignore[arg-type]  # fields by name
