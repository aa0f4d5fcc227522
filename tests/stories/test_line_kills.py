"""A hundred times kill -9 of the worker under streaming load: every token is accounted, once."""

import asyncio
import os
import random
import signal
from dataclasses import dataclass, field

from towplane.testing.client import Answer, ask, chat
from towplane.testing.plane import PlaneFactory, RunningPlane, read_attempts
from towplane.testing.provider import FakeProvider

KILLS = 100
CLIENTS = 12
PROMPT_TOKENS = 9


@dataclass
class Load:
    """Clients that ask for ever, and what they got."""

    answers: list[Answer] = field(default_factory=list)
    ends: bool = False

    async def run(self, plane: RunningPlane, key: str, rng: random.Random) -> None:
        """One client."""
        while not self.ends:
            script = {"tokens": rng.randrange(1, 30), "pace_s": rng.choice((0.0, 0.002, 0.01))}
            request = chat(key, stream=rng.random() < 0.8, fake=script)
            self.answers.append(await ask(plane.address, request))


async def _kill_often(plane: RunningPlane, load: Load, key: str, rng: random.Random) -> None:
    clients = [asyncio.create_task(load.run(plane, key, rng)) for _ in range(CLIENTS)]
    for _ in range(KILLS):
        done = len(load.answers)
        # More whole answers than clients: the new worker serves, and no kill hits its start.
        while sum(answer.whole for answer in load.answers[done:]) <= CLIENTS:
            await asyncio.sleep(0.005)
        await asyncio.sleep(rng.uniform(0.0, 0.05))
        (worker,) = await asyncio.to_thread(plane.workers)
        os.kill(worker, signal.SIGKILL)
    load.ends = True
    await asyncio.gather(*clients)


def test_a_hundred_kills_lose_no_token(plane: PlaneFactory, provider: FakeProvider) -> None:
    """Finished requests are billed as the provider counted them; each unfinished one stands in
    the ledger once, as estimated; the sum by day is the sum of the attempts."""
    running = plane(
        provider,
        prices={"from": "2026-01-01", "input": "1 USD/Mtok", "output": "2 USD/Mtok"},
        tenants={"acme": {"budget": {"total": "1000 USD"}}},
    )
    key, load, rng = running.key("acme"), Load(), random.Random(1)
    asyncio.run(_kill_often(running, load, key, rng))
    usage = running.call("GET", "/usage?by=tenant")["rows"]
    running.stop()

    rows = read_attempts(running.data_dir)
    seen = {row.request_id: row for row in provider.book.rows()}
    assert set(seen) <= set(rows), "an attempt that the provider saw is not in the ledger"
    finished = [answer for answer in load.answers if answer.status == 200 and answer.whole]
    assert len(finished) > KILLS
    for answer in finished:
        billed, row = seen[f"{answer.request_id}.1"], rows[f"{answer.request_id}.1"]
        assert (row["usage"], row["outcome"]) == ("measured", "ok")
        assert (row["input"], row["output"]) == (billed.input, billed.output)
    for attempt, row in rows.items():
        if row["usage"] == "measured":
            assert (row["input"], row["output"]) == (seen[attempt].input, seen[attempt].output)
        else:
            assert (row["usage"], row["cost_nanousd"] is None) == ("estimated", False)
            assert row["output"] <= (seen[attempt].output if attempt in seen else 0)
    crashed = [row for row in rows.values() if row["outcome"] == "crashed"]
    assert crashed, "the kills hit nothing: the story proves nothing"
    (total,) = usage
    assert total["attempts"] == len(rows)
    assert total["output_tokens"] == sum(row["output"] for row in rows.values())
    assert total["cost_nanousd"] == sum(row["cost_nanousd"] for row in rows.values())
