"""When a target fails: another answers, as long as no token has been relayed."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from towplane.testing.client import Answer, ask, chat
from towplane.testing.plane import UPSTREAM_KEY, PlaneFactory, RunningPlane, document
from towplane.testing.provider import Failure, FakeProvider, Script

GENEROUS = {"share": "100%", "floor": "1000/s"}


@dataclass(frozen=True)
class Pair:
    """A plane with a provider that fails as told, and one that does not."""

    plane: RunningPlane
    bad: FakeProvider
    good: FakeProvider
    key: str

    def ask(self, count: int, *, stream: bool = True, script: Script) -> list[Answer]:
        """So many requests at once, while the bad one plays the script."""
        self.bad.scripts["fake"] = script
        self.bad.book.clear()
        self.good.book.clear()

        async def all_of_them() -> list[Answer]:
            request = chat(self.key, stream=stream)
            return await asyncio.gather(*(ask(self.plane.address, request) for _ in range(count)))

        return asyncio.run(all_of_them())


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A retry budget that is never empty, and a breaker that never opens."""
    folder = tmp_path_factory.mktemp("plane")
    with FakeProvider(api_key=UPSTREAM_KEY) as bad, FakeProvider(api_key=UPSTREAM_KEY) as good:
        route = {
            "choose": "round-robin",
            "retries": GENEROUS,
            "timeouts": {"first_token": "500ms", "connect": "500ms"},
        }
        with RunningPlane(document(folder, bad, good, route=route), folder) as plane:
            yield Pair(plane, bad, good, plane.key("acme"))


@pytest.mark.parametrize(
    "script",
    [
        Script(status=500),
        Script(status=502),
        Script(status=503),
        Script(status=529),
        Script(status=429, headers={"retry-after-ms": "1"}),
        Script(failure=Failure(how="reset", when="before_head")),
        Script(failure=Failure(how="close", when="before_head")),
        Script(failure=Failure(how="reset", when="after_head")),
        Script(failure=Failure(how="reset", token=0)),
        Script(failure=Failure(how="half_chunk_close", token=0)),
        Script(failure=Failure(how="error_event", token=0)),
        Script(failure=Failure(how="stall", when="before_head")),
        Script(failure=Failure(how="stall", token=0)),
        Script(tokens=0, end="neither"),
        Script(raw=["junk"]),
    ],
    ids=lambda script: str(script.failure or script.status),
)
def test_a_failure_before_the_first_token_is_not_seen(pair: Pair, script: Script) -> None:
    """The other target answers, and the ledger has a row for each attempt."""
    answers = pair.ask(10, script=script)
    assert [(one.status, one.whole, one.tokens) for one in answers] == [(200, True, 8)] * 10
    again = [one for one in answers if one.headers["x-towplane-attempts"] != "1"]
    failed = sum(int(one.headers["x-towplane-attempts"]) - 1 for one in answers)
    rows = pair.plane.attempts()
    # A connection that breaks before the provider has read from it is an attempt that it never saw.
    unseen = sum(row["outcome"] == "unavailable" for row in rows.values())
    assert failed - unseen <= len(pair.bad.book.rows()) <= failed
    assert pair.bad.book.rows()
    for one in again:
        count = int(one.headers["x-towplane-attempts"])
        *first, last = (rows[f"{one.request_id}.{number + 1}"] for number in range(count))
        assert {(row["target"], row["final"]) for row in first} == {("fake-0/fake", 0)}
        assert (last["target"], last["final"]) == ("fake-1/fake", 1)
        assert (last["cause"], last["outcome"], last["usage"]) == ("retry", "ok", "measured")


def test_a_key_that_is_refused_is_left_alone(
    plane: PlaneFactory, provider: FakeProvider, second_provider: FakeProvider
) -> None:
    """The other target answers, and the provider does not see the only key again."""
    running = plane(provider, second_provider, route={"choose": "round-robin", "retries": GENEROUS})
    pair = Pair(running, provider, second_provider, running.key("acme"))
    answers = [*pair.ask(10, script=Script(status=401))]
    refused = len(provider.book.rows())
    assert 0 < refused <= 10
    answers += pair.ask(10, script=Script(status=401))
    assert [(one.status, one.whole, one.tokens) for one in answers] == [(200, True, 8)] * 20
    assert provider.book.rows() == []


def test_a_failure_after_the_first_token_is_the_clients(pair: Pair) -> None:
    """Nobody can take a token back: the stream is cut, visibly, and nothing is tried again."""
    answers = pair.ask(10, script=Script(failure=Failure(how="reset", token=3)))
    cut = [one for one in answers if not one.whole]
    assert len(cut) == len(pair.bad.book.rows()) > 0
    assert {one.tokens for one in cut} <= {1, 2, 3}
    assert len(pair.good.book.rows()) == 10 - len(cut)
    rows = pair.plane.attempts()
    for seen in pair.bad.book.rows():
        row = rows[seen.request_id]
        assert (row["usage"], row["outcome"]) == ("estimated", "unavailable")
        assert row["output"] <= seen.output


def test_the_callers_own_fault_is_not_tried_again(pair: Pair) -> None:
    """A 400 is the same everywhere."""
    answers = pair.ask(10, stream=False, script=Script(status=400))
    refused = [one for one in answers if one.status == 400]
    assert len(refused) == len(pair.bad.book.rows()) > 0
    assert {one.headers["x-towplane-attempts"] for one in answers} == {"1"}


def test_an_empty_retry_budget_stops_the_avalanche(
    plane: PlaneFactory, provider: FakeProvider, second_provider: FakeProvider
) -> None:
    """With a tenth of the requests to spend, attempts stay near 1.1 × requests."""
    route = {"choose": "round-robin", "retries": {"share": "10%", "floor": "0/s"}}
    running = plane(provider, second_provider, route=route)
    key = running.key("acme")
    for each in (provider, second_provider):
        each.scripts["fake"] = Script(status=500)

    async def all_of_them() -> list[Answer]:
        return await asyncio.gather(*(ask(running.address, chat(key)) for _ in range(200)))

    assert {answer.status for answer in asyncio.run(all_of_them())} <= {500, 502}
    attempts = len(provider.book.rows()) + len(second_provider.book.rows())
    assert 200 < attempts <= 221


def test_a_replica_that_is_killed_under_load_is_not_noticed(
    plane: PlaneFactory, provider: FakeProvider, second_provider: FakeProvider
) -> None:
    """No client sees an error for a request that had not yet received a token, while one replica
    dies three times and comes back."""
    running = plane(
        provider, second_provider, route={"retries": GENEROUS, "breaker": {"open": "200ms"}}
    )
    key = running.key("acme")
    script = {"tokens": 20, "pace_s": 0.005, "first_token_delay_s": 0.02}

    async def load(until: asyncio.Event) -> list[Answer]:
        answers = []
        while not until.is_set():
            answers.append(await ask(running.address, chat(key, stream=True, fake=script)))
        return answers

    async def kill_meanwhile() -> list[Answer]:
        until = asyncio.Event()
        loads = [asyncio.create_task(load(until)) for _ in range(24)]
        for _ in range(3):
            await asyncio.sleep(0.4)
            await asyncio.to_thread(provider.kill)
            await asyncio.sleep(0.4)
            await asyncio.to_thread(provider.revive)
        await asyncio.sleep(0.4)
        until.set()
        return [answer for answers in await asyncio.gather(*loads) for answer in answers]

    answers = asyncio.run(kill_meanwhile())
    broken = [answer for answer in answers if not answer.whole]
    assert len(answers) > 100
    assert [answer for answer in broken if answer.tokens == 0] == []
    assert broken, "the kills hit nobody: the story proves nothing"
    assert {(answer.status, answer.tokens) for answer in answers if answer.whole} == {(200, 20)}
