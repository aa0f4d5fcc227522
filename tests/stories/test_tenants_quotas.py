"""A quota of a day over real workers, their death, and a restart of everything."""

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

from towplane.testing.client import Answer, ask, chat
from towplane.testing.plane import RunningPlane, document, wait_until
from towplane.testing.provider import FakeProvider

QUOTA = 20


def test_a_quota_of_a_day_holds_over_workers_deaths_and_restarts(
    tmp_path: Path, provider: FakeProvider
) -> None:
    """Sixty at once against twenty a day, a worker killed, the plane started anew: twenty."""
    text = document(
        tmp_path,
        provider,
        gateway={"workers": 2},
        tenants={"acme": {"projects": {"web": {"limits": {"rpd": QUOTA}}}}},
    )
    plane = RunningPlane(text, tmp_path)

    async def ask_all(count: int) -> Counter[tuple[int, str]]:
        answers: list[Answer] = await asyncio.gather(
            *(ask(plane.address, chat(key, max_tokens=1)) for _ in range(count))
        )
        return Counter((answer.status, answer.reason) for answer in answers)

    with plane:
        key = plane.key("acme", project="web")
        assert asyncio.run(ask_all(QUOTA // 2)) == {(200, ""): QUOTA // 2}
        os.kill(plane.workers()[0], signal.SIGKILL)
        wait_until(
            lambda: len(plane.attempts()) == QUOTA // 2, 30, lambda: "the journal was not folded"
        )
    with plane:
        told = asyncio.run(ask_all(60))
        assert told == {(200, ""): QUOTA // 2, (429, "requests-per-day"): 60 - QUOTA // 2}
    assert len(provider.book.rows()) == QUOTA
