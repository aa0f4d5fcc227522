"""A thousand at once against a budget for a hundred."""

import asyncio
import json
from collections import Counter

import pytest

from towplane.testing.client import Answer, ask, chat
from towplane.testing.plane import PlaneFactory
from towplane.testing.provider import FakeProvider

TOKENS = 10
PRICE_NANOUSD = 2_000  # of one output token, at 2 USD per million; input costs nothing here
BUDGET_NANOUSD = 100 * TOKENS * PRICE_NANOUSD


@pytest.mark.parametrize("workers", [1, 3])
def test_a_budget_for_a_hundred_lets_a_hundred_of_a_thousand_pass(
    plane: PlaneFactory, provider: FakeProvider, workers: int
) -> None:
    """A hundred are answered, nine hundred refused with the reason, and the balance is exact,
    however many workers share the budget."""
    running = plane(
        provider,
        gateway={"workers": workers},
        prices={"from": "2026-01-01", "input": "0 USD/Mtok", "output": "2 USD/Mtok"},
        tenants={"acme": {"budget": {"total": f"{BUDGET_NANOUSD / 1e9} USD"}}},
    )
    key = running.key("acme")
    assert len(running.workers()) == workers

    async def thousand() -> list[Answer]:
        request = chat(key, max_tokens=TOKENS, fake={"tokens": TOKENS, "head_delay_s": 0.05})
        return await asyncio.gather(*(ask(running.address, request) for _ in range(1000)))

    answers = asyncio.run(thousand())
    assert Counter((answer.status, answer.reason) for answer in answers) == {
        (200, ""): 100,
        (429, "budget-total"): 900,
    }
    for answer in answers:
        if answer.status == 429:
            assert json.loads(answer.body)["error"]["code"] == "insufficient_quota"
            assert answer.headers["x-should-retry"] == "false"
    rows = running.attempts()
    assert {seen.request_id for seen in provider.book.rows()} == set(rows)
    assert sum(row["cost_nanousd"] for row in rows.values()) == BUDGET_NANOUSD
    late = asyncio.run(ask(running.address, chat(key, max_tokens=1)))
    assert (late.status, late.reason) == (429, "budget-total"), "the balance is nought"


def test_what_is_reserved_and_not_used_comes_back(
    plane: PlaneFactory, provider: FakeProvider
) -> None:
    """Requests that reserve ten tokens and use one, one after the other: nearly ten times as many
    pass, until the last reservation does not fit."""
    running = plane(
        provider,
        gateway={"workers": 2},
        prices={"from": "2026-01-01", "input": "0 USD/Mtok", "output": "2 USD/Mtok"},
        tenants={"acme": {"budget": {"total": f"{10 * TOKENS * PRICE_NANOUSD / 1e9} USD"}}},
    )
    key = running.key("acme")

    async def until_refused() -> tuple[int, Answer]:
        for count in range(1000):
            answer = await ask(running.address, chat(key, max_tokens=TOKENS, fake={"tokens": 1}))
            if answer.status != 200:
                return count, answer
        raise AssertionError("never refused")

    count, refused = asyncio.run(until_refused())
    assert refused.reason == "budget-total"
    assert count == 100 - TOKENS + 1
    assert sum(row["output"] for row in running.attempts().values()) == count


def test_a_limit_of_concurrency_holds_over_workers(
    plane: PlaneFactory, provider: FakeProvider
) -> None:
    """Never more than eight at the same time upstream, and each place is used again."""
    running = plane(
        provider, gateway={"workers": 3}, tenants={"acme": {"limits": {"concurrency": 8}}}
    )
    key = running.key("acme")
    script = {"head_delay_s": 0.2}

    async def waves() -> list[Answer]:
        answers: list[Answer] = []
        for _ in range(3):
            request = chat(key, fake=script)
            answers += await asyncio.gather(*(ask(running.address, request) for _ in range(100)))
        return answers

    answers = asyncio.run(waves())
    statuses = Counter((answer.status, answer.reason) for answer in answers)
    assert set(statuses) == {(200, ""), (429, "concurrency")}
    rows = provider.book.rows()
    assert len(rows) == statuses[(200, "")] >= 3 * 8
    edges = sorted([(row.at, 1) for row in rows] + [(row.ended, -1) for row in rows])
    most = now = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    assert most <= 8
