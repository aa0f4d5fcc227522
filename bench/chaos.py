"""The unruly vendors' command: hours of trouble in minutes, and whether the plane's books survive.

`python bench/chaos.py [--minutes 30] [--seed N] [--rate 40]`. Prints progress each minute, then a
table, and writes `bench/results/chaos-DATE.json`. Exit code 1 when a rule is broken. What is held
against what is said in `trouble/audit.py` and in `bench/README.md`.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from trouble.trial import Plan, Report, run_trial

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Run, show, write."""
    parser = argparse.ArgumentParser(prog="bench/chaos.py", description="Vendors that misbehave.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=40.0, help="requests per second")
    parser.add_argument("--hurry", type=float, default=1.0, help="shorter episodes, so many times")
    parser.add_argument("--keep", type=Path, help="a folder for the plane's data and log")
    options = parser.parse_args()
    plan = Plan(options.seed, options.minutes * 60, options.rate, options.hurry)
    console = Console(width=None if sys.stdout.isatty() else 160)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        report = run_trial(plan, folder, lambda line: print(line, flush=True))
    _show(report, console)
    console.print(f"written: {_write(report)}", highlight=False)
    return 0 if report.is_good else 1


def _show(report: Report, console: Console) -> None:
    found = report.audit
    table = Table("attempts", "", "billed in", "cached", "out", "ledger in", "cached", "out")
    for name, sums in sorted(found.sums.items()):
        table.add_row(
            name, str(sums.attempts), str(sums.billed_input), str(sums.billed_cached),
            str(sums.billed_output), str(sums.ledger_input), str(sums.ledger_cached),
            str(sums.ledger_output),
        )  # fmt: skip
    console.print(table)
    vendors = Table("vendor", "attempts", "what they met")
    for name, met in sorted(found.vendors.items()):
        words = ", ".join(f"{word} {count}" for word, count in met.most_common()[1:])
        vendors.add_row(name, str(met["attempts"]), words)
    console.print(vendors)
    console.print(f"episodes: {dict(report.episodes)}", highlight=False)
    console.print(f"clients: {dict(report.outcomes)}, not sent {report.not_sent}", highlight=False)
    console.print(f"refused: {dict(report.refused)}", highlight=False)
    console.print(f"attempts by cause: {dict(found.causes)}", highlight=False)
    rules = Table("rule", "", "")
    for verdict in report.verdicts:
        rules.add_row(verdict.name, "holds" if verdict.holds else "BROKEN", verdict.says)
    console.print(rules)
    for verdict in report.verdicts:
        for one in verdict.wrong:
            console.print(f"{verdict.name}: {one}", markup=False, highlight=False)


def _write(report: Report) -> Path:
    now = datetime.now(UTC)
    found = report.audit
    value: dict[str, Any] = {
        "date": now.isoformat(timespec="seconds"),
        "plan": asdict(report.plan),
        "versions": {
            "towplane": version("towplane"),
            "python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        },
        "is_good": report.is_good,
        "rules": [asdict(verdict) for verdict in report.verdicts],
        "requests": found.requests,
        "attempts": found.attempts,
        "amplification": round(found.amplification, 4),
        "causes": found.causes,
        "clients": report.outcomes,
        "refused": report.refused,
        "not_sent": report.not_sent,
        "episodes": report.episodes,
        "sums": {name: asdict(sums) for name, sums in found.sums.items()},
        "vendors": found.vendors,
        "cost_nanousd": found.cost_nanousd,
        "memory_mib": report.memory[:: max(1, len(report.memory) // 60)],
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"chaos-{now.strftime('%Y-%m-%d-%H%M%S')}.json"
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
    return path


if __name__ == "__main__":
    sys.exit(main())
