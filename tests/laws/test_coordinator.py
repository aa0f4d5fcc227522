"""The coordinator and its workers: slow channels, deaths, reloads; real halls in virtual time."""

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from towplane.tenants.events import Opened
from towplane.tenants.leases import RATE_SHARE_S, RATE_WINDOW_S
from towplane.tenants.spec import Budget, Limits
from towplane.tenants.windows import Used
from towplane.testing.fleet import Fleet, route, target
from towplane.testing.hall import Worker
from towplane.testing.played import Client, Upstream
from towplane.testing.wire import usage, whole

PRICE = (1_000_000, 1_000_000, 2_000_000)
"""One nano-dollar for a token in, two for one out."""
IN = 1  # `"messages":[]` is estimated as one token


def make(*, workers: int = 1, carries: bool = True, **more: Any) -> Fleet:
    return Fleet(
        route("m", ["a"]),
        targets=[target("a", price=PRICE)],
        workers=workers,
        carries=carries,
        **more,
    )


def started(fleet: Fleet, worker: Worker, output: int = 10) -> Client:
    client = worker.connect()
    client.ask(max_tokens=output)
    fleet.turn()
    return client


def end(up: Upstream, prompt: int = IN, output: int = 10) -> None:
    up.give(whole({"choices": [], "usage": usage(prompt, output)}))


def status(client: Client) -> tuple[int, str]:
    """Of the last answer: 0 while there is none."""
    answers = client.answers()
    if not answers:
        return 0, ""
    return answers[-1].status, answers[-1].get(b"x-towplane-reason").decode()


def running(fleet: Fleet) -> int:
    return sum(
        target.in_flight
        for worker in fleet.workers.values()
        for target in worker.hall.targets.values()
    )


def test_a_request_is_refused_only_when_no_worker_has_a_unit_to_spare() -> None:
    fleet = make(workers=3, limits=Limits(concurrency=6))
    workers = list(fleet.workers.values())
    clients = [started(fleet, workers[i % 3]) for i in range(6)]
    assert [status(client) for client in clients] == [(0, "")] * 6
    assert running(fleet) == 6
    refused = [started(fleet, worker) for worker in workers]
    assert [status(client) for client in refused] == [(429, "concurrency")] * 3
    end(workers[0].upstream())
    assert status(started(fleet, workers[1])) == (0, ""), "the unit of another worker"
    assert running(fleet) == 6
    fleet.close()
    assert fleet.errors == []


def test_a_refusal_for_a_rate_says_when_its_units_come_back() -> None:
    fleet = make(limits=Limits(rpm=2))
    clients = [started(fleet, fleet.worker) for _ in range(3)]
    assert [status(client)[0] for client in clients] == [0, 0, 429]
    assert clients[2].answer().get(b"retry-after") == b"61"
    fleet.wait(60)
    assert status(started(fleet, fleet.worker)) == (429, "requests-per-minute")
    fleet.wait(1)
    assert status(started(fleet, fleet.worker)) == (0, "")
    fleet.close()


def test_an_answer_above_its_reservation_does_not_lock_its_tenant_out() -> None:
    """Ten reserved, ten thousand used, of a hundred a minute: a minute later all is well."""
    fleet = make(limits=Limits(tpm=100))
    started(fleet, fleet.worker)
    end(fleet.worker.upstream(), output=10_000)
    late = started(fleet, fleet.worker)
    assert status(late) == (429, "tokens-per-minute")
    assert b"alone" not in late.answer().body, "it is not this request that is too large"
    fleet.wait(62)
    assert status(started(fleet, fleet.worker)) == (0, "")
    fleet.close()


def test_a_lower_limit_holds_for_units_that_were_lent_before() -> None:
    fleet = make(limits=Limits(concurrency=100), budget=Budget(total_nanousd=10**9))
    clients = [started(fleet, fleet.worker) for _ in range(5)]
    fleet.reload(limits=Limits(concurrency=2), budget=Budget(total_nanousd=5 * 21))
    fleet.turn()
    assert status(started(fleet, fleet.worker)) == (429, "concurrency")
    for up in fleet.worker.upstreams[:4]:
        end(up)
    fleet.wait(1)
    assert running(fleet) == 1
    assert status(started(fleet, fleet.worker)) == (429, "budget-total")
    end(fleet.worker.upstreams[4], output=0)
    fleet.wait(1)
    assert status(started(fleet, fleet.worker, output=5)) == (0, "")
    assert [status(client)[0] for client in clients] == [200] * 5
    fleet.close()


def test_a_limit_that_was_lifted_and_comes_back_has_lost_no_unit() -> None:
    fleet = make(limits=Limits(concurrency=2))
    started(fleet, fleet.worker)
    fleet.reload(limits=Limits())
    fleet.turn()
    started(fleet, fleet.worker)
    for up in fleet.worker.upstreams:
        end(up)
    fleet.reload(limits=Limits(concurrency=2))
    fleet.turn()
    clients = [started(fleet, fleet.worker) for _ in range(3)]
    assert [status(client)[0] for client in clients] == [0, 0, 429]
    fleet.close()


def test_a_budget_of_a_day_is_whole_again_at_midnight() -> None:
    midnight = 1_800_057_600.0
    fleet = make(budget=Budget(daily_nanousd=2 * 21), wall_s=midnight - 5, workers=2)
    first, second = fleet.workers.values()
    for worker in (first, second):
        started(fleet, worker)
        end(worker.upstream())
    assert status(started(fleet, second)) == (429, "budget-daily")
    fleet.wait(4.9, step_s=0.1)
    assert status(started(fleet, second)) == (429, "budget-daily")
    fleet.wait(0.2)
    late = started(fleet, second)
    assert status(late) == (0, "")
    end(second.upstream(), output=0)
    assert status(started(fleet, first)) == (0, ""), "what the other did not use comes back"
    assert status(started(fleet, first)) == (429, "budget-daily")
    fleet.close()


def test_a_budget_that_is_set_while_workers_spend_counts_what_they_spent_once() -> None:
    """Spend before the pool is in its start; the death of the worker must not count it again."""
    fleet = make(workers=2)
    first, second = fleet.workers.values()
    started(fleet, first)
    end(first.upstream())
    fleet.reload(budget=Budget(total_nanousd=5 * 21))
    fleet.turn()
    started(fleet, first)
    end(first.upstream())
    fleet.kill(first)
    clients = [started(fleet, second) for _ in range(4)]
    assert [status(client) for client in clients] == [(0, "")] * 3 + [(429, "budget-total")]
    fleet.close()


def test_a_dead_worker_gives_back_what_it_did_not_spend() -> None:
    """One answered, one left open: settled at its reserve; the rest of its share is free."""
    fleet = make(workers=2, budget=Budget(total_nanousd=4 * 21), limits=Limits(concurrency=2))
    first, second = fleet.workers.values()
    started(fleet, first)
    end(first.upstream())
    started(fleet, first)
    left = fleet.kill(first)
    assert [opened.reserved_nanousd for opened in left.values()] == [21]
    clients = [started(fleet, second), started(fleet, second)]
    for up in second.upstreams:
        end(up)
    clients.append(started(fleet, second))
    assert [status(client) for client in clients] == [(200, ""), (200, ""), (429, "budget-total")]
    fleet.close()


def test_a_worker_that_does_not_answer_a_recall_holds_nobody_up() -> None:
    fleet = make(workers=2, limits=Limits(concurrency=4), carries=False)
    first, second = fleet.workers.values()
    started(fleet, first)
    fleet.turn()
    fleet.carry_from(first)
    fleet.turn()
    fleet.carry_from(first)
    first.hear()
    waits = [started(fleet, second) for _ in range(4)]
    for _ in range(4):
        fleet.carry_from(second)
        fleet.turn()
        while second.coming:
            second.hear()
    assert len(first.coming) == 1, "a recall"
    fleet.wait(1.5)
    while second.coming:
        second.hear()
    fleet.turn()
    outcomes = [status(client) for client in waits]
    assert outcomes.count((0, "")) == 3
    assert outcomes.count((429, "concurrency")) == 1
    fleet.close()


def test_a_ledger_that_cannot_be_asked_is_asked_again() -> None:
    fleet = make(budget=Budget(total_nanousd=100))
    found = fleet.coordinator.spent
    asked = []

    async def fail(*account: object) -> tuple[Used, dict[str, Used]]:
        asked.append(account)
        raise OSError("the disk is away")

    fleet.coordinator.spent = fail
    early = started(fleet, fleet.worker)
    fleet.wait(2.6)
    assert status(early) == (429, "admission-timeout")
    assert len(asked) > 1
    fleet.coordinator.spent = found
    late = started(fleet, fleet.worker)
    fleet.wait(1)
    assert status(late) == (0, "")
    fleet.close()


def test_a_client_that_leaves_while_it_waits_for_units_harms_nobody() -> None:
    fleet = make(limits=Limits(concurrency=2), carries=False)
    gone, stays = started(fleet, fleet.worker), started(fleet, fleet.worker)
    gone.leave()
    fleet.carry_from(fleet.worker)
    fleet.turn()
    fleet.carry_all()
    assert status(stays) == (0, "")
    assert running(fleet) == 1
    counters = fleet.worker.hall.counters
    assert dict(counters.requests) == {("m", "cancelled", "none"): 1}
    assert dict(counters.refusals) == {}
    fleet.close()
    assert fleet.errors == []


class Channels(RuleBasedStateMachine):
    """Requests, answers, leavings, deaths and reloads while every message takes its time."""

    @initialize(
        concurrency=st.integers(1, 5),
        rpm=st.none() | st.integers(1, 8),
        tpm=st.none() | st.integers(30, 120),
        budget=st.none() | st.integers(50, 300),
        workers=st.integers(1, 3),
    )
    def begin(
        self, concurrency: int, rpm: int | None, tpm: int | None, budget: int | None, workers: int
    ) -> None:
        self.fleet = make(
            workers=workers,
            carries=False,
            limits=Limits(concurrency=concurrency, rpm=rpm, tpm=tpm),
            budget=Budget(total_nanousd=budget),
        )
        self.clients: list[tuple[Worker, Client]] = []
        self.answered: dict[Upstream, int] = {}
        self.most = concurrency
        self.highest = {"rpm": rpm, "tpm": tpm, "budget": budget}
        self.above_nanousd = 0
        """What answers used above their reservations."""
        self.begun: list[tuple[float, Opened]] = []
        self.seen: set[str] = set()

    def one(self, data: st.DataObject) -> Worker:
        return data.draw(st.sampled_from(list(self.fleet.workers.values())))

    @rule(data=st.data(), output=st.integers(0, 30))
    def ask(self, data: st.DataObject, output: int) -> None:
        worker = self.one(data)
        self.clients.append((worker, started(self.fleet, worker, output)))

    @rule(data=st.data())
    def carry_one_up(self, data: st.DataObject) -> None:
        self.fleet.carry_from(self.one(data), 1)
        self.fleet.turn(1)

    @rule(data=st.data())
    def carry_one_down(self, data: st.DataObject) -> None:
        worker = self.one(data)
        if worker.coming:
            worker.hear()
            self.fleet.turn(2)

    @rule()
    def carry_all(self) -> None:
        for _ in range(3):
            self.fleet.carry_all()
            self.fleet.turn(2)

    def open_upstreams(self) -> list[Upstream]:
        return [
            up
            for worker in self.fleet.workers.values()
            for up in worker.upstreams
            if len(up.requests) > self.answered.get(up, 0) and not up.transport.is_closed
        ]

    @precondition(lambda self: self.open_upstreams())
    @rule(data=st.data(), factor=st.sampled_from([0.0, 0.5, 1.0, 1.0, 4.0]))
    def answer(self, data: st.DataObject, factor: float) -> None:
        self.end_one(data.draw(st.sampled_from(self.open_upstreams())), factor)

    def end_one(self, up: Upstream, factor: float) -> None:
        asked = json.loads(up.requests[-1].body)["max_tokens"]
        output = int(asked * factor)
        if output > asked:
            self.above_nanousd += 2 * (output - asked)
        self.answered[up] = len(up.requests)
        end(up, output=output)

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.clients) - 1))
        _, client = self.clients.pop(place)
        client.leave()
        self.fleet.turn(2)

    @precondition(lambda self: len(self.fleet.workers) > 1)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        worker = self.one(data)
        self.fleet.kill(worker)
        self.clients = [(who, client) for who, client in self.clients if who is not worker]
        self.fleet.turn(1)

    @precondition(lambda self: len(self.fleet.workers) < 3)
    @rule()
    def start(self) -> None:
        self.fleet.start()

    @rule(
        concurrency=st.integers(1, 5),
        rpm=st.none() | st.integers(1, 8),
        budget=st.none() | st.integers(50, 300),
    )
    def reload(self, concurrency: int, rpm: int | None, budget: int | None) -> None:
        tpm = self.highest["tpm"]
        self.most = max(self.most, concurrency)
        for name, limit in (("rpm", rpm), ("budget", budget)):
            highest = self.highest[name]
            # While a limit is lifted nothing is counted: the law says nothing any more.
            self.highest[name] = None if limit is None or highest is None else max(highest, limit)
        self.fleet.reload(
            limits=Limits(concurrency=concurrency, rpm=rpm, tpm=tpm),
            budget=Budget(total_nanousd=budget),
        )

    @rule(seconds=st.sampled_from([0.1, 0.6, 1.0, 5.0, 30.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.fleet.wait(seconds, step_s=max(0.5, seconds / 4))

    def opened(self) -> dict[str, Opened]:
        return {id: one for book in self.fleet.ledger.values() for id, one in book.opened.items()}

    @invariant()
    def no_more_than_the_limit_is_out(self) -> None:
        fleet, now = self.fleet, self.fleet.clock.monotonic()
        assert fleet.errors == []
        assert running(fleet) <= self.most
        for id, opened in self.opened().items():
            if id not in self.seen:
                self.seen.add(id)
                self.begun.append((now, opened))
        recent = [one for at, one in self.begun if at > now - RATE_WINDOW_S + 2 * RATE_SHARE_S]
        settled = {id: e for book in fleet.ledger.values() for id, e in book.settled.items()}
        if self.highest["rpm"] is not None:
            assert len(recent) <= self.highest["rpm"]
        if self.highest["tpm"] is not None:
            taken = 0
            for one in recent:
                reserved, end = one.input_estimate + one.output_limit, settled.get(one.id)
                used = reserved
                if end is not None and end.outcome != "crashed":
                    used = (end.input or 0) + (end.output or 0)
                taken += min(used, reserved)
            assert taken <= self.highest["tpm"]
        if self.highest["budget"] is not None:
            money = sum(
                (settled[id].cost_nanousd if id in settled else one.reserved_nanousd) or 0
                for id, one in self.opened().items()
            )
            assert money <= self.highest["budget"] + self.above_nanousd

    def teardown(self) -> None:
        if hasattr(self, "fleet"):
            try:
                self.end_all(self.fleet)
            finally:
                self.fleet.close()

    def end_all(self, fleet: Fleet) -> None:
        fleet.carries = True
        fleet.wait(3)
        while ups := self.open_upstreams():
            for up in ups:
                self.end_one(up, 1.0)
            fleet.turn()
        fleet.wait(64, step_s=1)
        for worker in fleet.workers.values():
            assert not worker.hall.exchanges
            assert not worker.hall._waiting
        for _, client in self.clients:
            assert status(client)[0] in (200, 429), "a waiter was lost"
        self.judge_pools()
        fleet.reload(limits=Limits(concurrency=3), budget=Budget())
        fleet.turn()
        for worker in tuple(fleet.workers.values()):
            for _ in range(4):
                started(fleet, worker)
        assert running(fleet) == 3, "units were lost, or made"
        assert fleet.errors == []

    def judge_pools(self) -> None:
        """Nothing runs: what is out is in the workers' shares, or was spent."""
        now = self.fleet.clock.monotonic()
        for name, entry in self.fleet.coordinator._entries.items():
            pool = entry.pool
            assert pool is not None
            assert not entry.waiting
            assert entry.recalling is None
            shares = [worker.hall._share(name) for worker in self.fleet.workers.values()]
            unused = sum(share.free for share in shares if share is not None)
            if entry.measure in ("rpm", "tpm"):
                assert pool.limit - pool.free(now) == unused == 0
            elif entry.measure == "concurrency":
                assert pool.out == unused


TestChannels = Channels.TestCase
TestChannels.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
