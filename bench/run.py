"""The benchmark's command: serving gateways side by side in one run, as ratios.

`python bench/run.py [--translated] [--quick] [--only a,b] [--passes N] [--soak SECONDS]`. Prints
the tables and writes `bench/results/DATE.json`. What is measured and how is in `bench/README.md`.
"""

import argparse
import resource
import subprocess
import sys

from rich.console import Console

import measurements
from adapters import PEERS
from adapters.peer import CannotRun
from measurements import Effort
from passes import PASSTHROUGH, TRANSLATION, Run
from programs import build, upstream
from soak import soak

QUICK = Effort(window_s=2, paced_s=3, latency_s=2, starts=2, idle_chunks=10)
FULL = Effort(window_s=3, paced_s=5, latency_s=5, starts=3)
QUICK_PEERS = ("direct", "nginx", "vllm-router", "towplane")
FLAT = 0.05
"""Memory that would grow by less than this share over the soak is flat."""


def main() -> int:
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else 160)
    _allow_open_files()
    try:
        build()
    except (OSError, subprocess.CalledProcessError) as error:
        console.print(f"error: the C programs do not compile: {error}", markup=False)
        console.print("next: install a C compiler as `cc`, for example `apt-get install gcc`")
        return 3
    if options.soak:
        return _soak(options, console)
    effort = QUICK if options.quick else FULL
    passes = options.passes or (2 if options.quick else 5)
    with upstream() as engine:
        plan = TRANSLATION if options.translated else PASSTHROUGH
        run = Run(engine, effort, _wanted(options), plan=plan, passes=passes, console=console)
        run.measure()
    run.show(options.subject)
    console.print(f"written: {run.write(options.subject)}", highlight=False)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run.py", description="Gateways side by side.")
    parser.add_argument("--quick", action="store_true", help="a few minutes, a few gateways")
    parser.add_argument(
        "--translated", action="store_true", help="other providers' streams in OpenAI's dialect"
    )
    parser.add_argument("--only", default="", metavar="A,B", help=f"of {', '.join(PEERS)}")
    parser.add_argument("--passes", type=int, default=0, metavar="N")
    parser.add_argument("--soak", type=float, default=0, metavar="SECONDS", help="memory over time")
    parser.add_argument("--subject", default="towplane", help="whose ratios and targets to print")
    return parser.parse_args()


def _wanted(options: argparse.Namespace) -> list[str]:
    named = [name.strip() for name in options.only.split(",") if name.strip()]
    unknown = [name for name in named if name not in PEERS]
    if unknown:
        print(
            f"error: no such peer: {', '.join(unknown)}; there are {', '.join(PEERS)}",
            file=sys.stderr,
        )
        sys.exit(2)
    if options.translated:
        return named or [name for name, peer in PEERS.items() if peer.translates]
    if named:
        return ["direct", *(name for name in named if name != "direct")]
    return list(QUICK_PEERS if options.quick else PEERS)


def _soak(options: argparse.Namespace, console: Console) -> int:
    peer = PEERS[options.subject]
    try:
        console.print(f"{peer.name} {peer.install()}", highlight=False)
        with upstream() as engine:
            live = measurements.start(peer, engine, FULL)
            try:
                seen = soak(live, options.soak)
            finally:
                measurements.stop(live)
    except CannotRun as reason:
        console.print(f"error: {peer.name}: {reason}", markup=False)
        return 3
    for at, rss, pss in seen.samples[:: max(1, len(seen.samples) // 20)]:
        console.print(f"{at:7.0f} s   {rss:8.1f} MiB RSS   {pss:8.1f} MiB PSS", highlight=False)
    verdict = "flat" if seen.growth < FLAT else "GROWING"
    for line in (
        f"{seen.requests:,} requests, {seen.events:,} chunks, {seen.failed} failed"
        f"{f': {seen.first_error}' if seen.first_error else ''}",
        f"slope after warm-up: {seen.rss_mib_per_minute:+.3f} MiB RSS per minute",
        f"over the run: {seen.growth:+.1%}, {verdict} (limit {FLAT:.0%})",
    ):
        console.print(line, markup=False, highlight=False)
    return 0 if verdict == "flat" and not seen.failed else 1


def _allow_open_files() -> None:
    """Each idle stream costs a gateway two files; the children inherit the limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    sys.exit(main())
