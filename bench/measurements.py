"""The measurements: what is asked of one running gateway, and the figures read from it.

Each takes a running gateway and gives readings; it knows neither other gateways nor passes, so
that every gateway is asked exactly the same. CPU is that of the gateway's whole process tree;
the load generator and the upstream are other trees.
"""

import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import measure
from adapters.peer import CannotRun, Peer, Running, Site, Way
from programs import Load, Outcome, Upstream, free_port

__all__ = [
    "COSTS", "Effort", "Live", "Measurement", "Reading",
    "cost", "idle_streams", "instruments", "start", "start_times", "stop",
]  # fmt: skip

WARM_UP_S = 0.5


@dataclass(frozen=True, slots=True)
class Reading:
    """One figure of one gateway in one pass; `value` None: it could not be had, `note` says why."""

    column: str
    value: float | None
    note: str = ""
    kernel_share: float | None = None
    detail: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Effort:
    """How long things are looked at."""

    window_s: float
    paced_s: int
    latency_s: float
    starts: int
    rates: tuple[int, ...] = (100, 500)
    idle_streams: int = 2000
    idle_chunks: int = 14
    start_within_s: float = 90.0


@dataclass(slots=True)
class Live:
    """A gateway that runs, with where and how it was started."""

    peer: Peer
    running: Running
    folder: Path
    start_s: float
    start_cpu_s: float = 0.0
    ways: dict[str, Way] = field(default_factory=dict)
    """By provider: where translated answers were looked at and found right."""

    @property
    def root(self) -> int | None:
        return self.running.process.pid if self.running.process else None

    def load(self, load: Load, headers: tuple[str, ...] = ()) -> Outcome:
        return load.run(self.running.port, headers or self.running.headers)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One row of the plan."""

    title: str
    seconds: Callable[[Effort], float]
    take: Callable[[Live, Effort], list[Reading]]
    needs_process: bool = True
    """Whether it asks for a process; without one there is only latency."""


def start(peer: Peer, upstream: Upstream, effort: Effort, *, translates: bool = False) -> Live:
    """Starts a gateway; its start-up time is from the spawn to its first 200 on a completion."""
    folder = Path(tempfile.mkdtemp(prefix=f"bench-{peer.name}-"))
    site = Site(folder, free_port(), upstream.port, free_port(), translates)
    prepared = time.monotonic()
    running = peer.start(site)
    live = Live(peer, running, folder, 0.0)
    if running.process is None:
        return live
    # the spawn is the last thing that an adapter does, so its own preparations do not count
    begun = _started_at(running.process.pid, prepared)
    try:
        while not _answers(running):
            is_late = time.monotonic() - begun > effort.start_within_s
            if running.process.poll() is not None or is_late:
                raise CannotRun(f"did not answer: {_last_lines(running)}")
            time.sleep(0.01)
    except BaseException:
        stop(live)
        raise
    live.start_s = time.monotonic() - begun
    live.start_cpu_s = measure.cpu(running.process.pid).total_s
    return live


def stop(live: Live) -> None:
    """Ends a gateway and removes its folder."""
    if live.running.process is not None:
        measure.end(live.running.process)
    shutil.rmtree(live.folder, ignore_errors=True)


def start_times(peer: Peer, upstream: Upstream, effort: Effort) -> list[list[Reading]]:
    """The start-up times of several starts, each ended again."""
    times = []
    for _ in range(effort.starts):
        live = start(peer, upstream, effort)
        times.append([Reading("start_s", live.start_s), Reading("start_cpu_s", live.start_cpu_s)])
        stop(live)
    return times


def idle_streams(live: Live, effort: Effort) -> list[Reading]:
    """Memory at rest, and what each of many slow streams adds to it. Wants a fresh process."""
    assert live.root is not None
    live.load(Load(connections=4, count=100, duration_s=20))
    measure.settle(live.root)
    at_rest = measure.memory(live.root)
    chunks, streams = effort.idle_chunks, effort.idle_streams
    load = Load(
        connections=streams, count=streams, ramp_s=2, duration_s=chunks + 30,
        stream=True, max_tokens=chunks, pace=1,
    )  # fmt: skip
    process = load.start(live.running.port, live.running.headers)
    time.sleep(4)  # all are open after the ramp; the first ends after `chunks` seconds
    samples = []
    for _ in range(max(1, chunks - 6)):
        samples.append(measure.memory(live.root))
        time.sleep(1)
    outcome = Load.result(process)
    held = median(sample.pss_kib for sample in samples)
    failed = streams - outcome.good
    note = f"{outcome.good:,} of {streams:,} finished" if failed else ""
    each = None if outcome.good < streams / 2 else (held - at_rest.pss_kib) / streams
    detail = {"at_rest_rss_kib": at_rest.rss_kib, "held_pss_kib": held, "good": outcome.good}
    return [
        Reading("idle_mib", at_rest.pss_kib / 1024),
        Reading("stream_kib", each, note or _why(outcome), detail=detail),
        Reading("stream_failures", failed, _why(outcome) if failed else ""),
    ]


def _requests(column: str, body_bytes: int) -> Callable[[Live, Effort], list[Reading]]:
    def take(live: Live, effort: Effort) -> list[Reading]:
        load = Load(connections=16, duration_s=effort.window_s, body_bytes=body_bytes)
        return [cost(live, column, load)]

    return take


def _saturated_chunks(live: Live, effort: Effort) -> list[Reading]:
    # as many streams as in the paced measurement; fewer would let reads carry more chunks each
    load = Load(connections=100, duration_s=effort.window_s, stream=True, max_tokens=1024)
    reading = cost(live, "chunk_us", load)
    # what the client got per read: a gateway that falls behind is spared reads and writes
    return [reading, Reading("chunks_per_read", reading.detail["units_per_read"])]


def _paced_chunks(live: Live, effort: Effort) -> list[Reading]:
    load = Load(
        connections=100, count=100, duration_s=effort.paced_s + 4,
        stream=True, max_tokens=64 * effort.paced_s, pace=64,
    )  # fmt: skip
    return [cost(live, "paced_us", load)]


def _latency(live: Live, effort: Effort) -> list[Reading]:
    readings = []
    for rate in effort.rates:
        live.load(Load(connections=8, duration_s=WARM_UP_S))
        outcome = live.load(Load(connections=64, rate=rate, duration_s=effort.latency_s))
        names = (f"p50_{rate}_us", f"p99_{rate}_us")
        times = outcome.latency_us
        achieved = outcome.good / max(outcome.elapsed_s, 1e-9)
        if times is None or achieved < 0.95 * rate:
            note = f"overload: {achieved:,.0f} of {rate} rps; {_why(outcome)}".rstrip("; ")
            readings += [Reading(name, None, note) for name in names]
        else:
            readings += [
                Reading(name, value, _why(outcome))
                for name, value in zip(names, (times.p50, times.p99), strict=True)
            ]
    return readings


def instruments(upstream: Upstream) -> dict[str, float]:
    """What load generator and upstream cost themselves, in µs of CPU per unit, with no gateway."""
    stream = Load(connections=100, duration_s=1.5, stream=True, max_tokens=1024)
    shown: dict[str, float] = {}
    for name, load in (("request", Load(duration_s=1.5)), ("chunk", stream)):
        before = upstream.stats()
        outcome = load.run(upstream.port)
        after = upstream.stats()
        used = sum(after[key] - before[key] for key in ("user_us", "system_us"))
        done = max(outcome.events if load.stream else outcome.good, 1)
        shown[f"upstream_us_per_{name}"] = round(used / done, 1)
        shown[f"load_us_per_{name}"] = round((outcome.user_us + outcome.system_us) / done, 1)
    return shown


COSTS = (
    Measurement("1 KB requests", lambda e: e.window_s + 2, _requests("request_us", 1024)),
    Measurement("128 KB prompts", lambda e: e.window_s + 2, _requests("prompt_us", 128 * 1024)),
    Measurement("chunks at saturation", lambda e: e.window_s + 2, _saturated_chunks),
    Measurement("paced chunks", lambda e: e.paced_s + 2, _paced_chunks),
    Measurement("latency", lambda e: len(e.rates) * (e.latency_s + 1), _latency, False),
)


def cost(live: Live, column: str, load: Load, headers: tuple[str, ...] = ()) -> Reading:
    """CPU time per request, or per chunk of a stream, trailing work (journals, ledgers, logs)
    included."""
    warm = Load(
        connections=load.connections if load.connections <= 16 else 16, duration_s=WARM_UP_S,
        body_bytes=load.body_bytes, stream=load.stream, model=load.model,
        needs_done=load.needs_done,
    )  # fmt: skip
    assert live.root is not None
    live.load(warm, headers)
    measure.settle(live.root)
    before = measure.cpu(live.root)
    outcome = live.load(load, headers)
    done = outcome.events if load.stream else outcome.good
    rate = done / max(outcome.elapsed_s, 1e-9)
    note = _why(outcome)
    if load.stream and outcome.good < load.count:
        note = f"{outcome.good} of {load.count} streams kept pace; {note}".rstrip("; ")
    detail = {
        "units": done,
        "units_per_s": round(rate, 1),
        "units_per_read": round(done / max(outcome.reads, 1), 2),
        "load_us": round((outcome.user_us + outcome.system_us) / max(done, 1), 2),
    }
    measure.settle(live.root)
    used = measure.cpu(live.root) - before
    assert live.running.process is not None
    if live.running.process.poll() is not None:
        return Reading(column, None, f"it ended: {_last_lines(live.running)}", detail=detail)
    if not done:
        return Reading(column, None, note or "nothing came back", detail=detail)
    share = used.system_s / used.total_s if used.total_s else None
    return Reading(column, used.total_s * 1e6 / done, note, share, detail)


def _why(outcome: Outcome) -> str:
    if not outcome.failed:
        return ""
    kinds = ", ".join(f"{count} {kind}" for kind, count in outcome.errors.items() if count)
    return f"errors: {kinds} ({outcome.first_error[:160]})"


def _started_at(pid: int, prepared: float) -> float:
    """When a process was spawned, on the monotonic clock; /proc counts in ticks since boot."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return prepared
    since_boot = int(fields[19]) / measure.TICKS_PER_S
    offset = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    return max(prepared, since_boot - offset)


def _answers(running: Running) -> bool:
    body = b'{"messages":[{"role":"user","content":"hi"}],"model":"m","max_tokens":1}'
    headers = dict(header.split(": ", 1) for header in running.headers)
    request = urllib.request.Request(
        f"http://127.0.0.1:{running.port}/v1/chat/completions",
        data=body,
        headers={**headers, "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _last_lines(running: Running) -> str:
    if running.log is None or not running.log.exists():
        return "no output"
    lines = running.log.read_text(errors="replace").strip().splitlines()
    return " / ".join(line.strip() for line in lines[-3:])[:300] or "no output"
