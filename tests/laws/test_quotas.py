"""Quotas of a day and a month, of tenants, projects and keys, over workers that live and die."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.tenants.measures import MEASURES, limits_of, mode_of, used_of
from towplane.tenants.spec import Budget, Limits, ProjectSpec
from towplane.tenants.windows import Used, windows_at
from towplane.testing.fleet import Fleet, route, target
from towplane.testing.hall import Worker
from towplane.testing.played import Client, Upstream
from towplane.testing.wire import usage, whole

PRICE = (1_000_000, 1_000_000, 2_000_000)
IN = 1  # `"messages":[]` is estimated as one token
MIDNIGHT = 1_800_057_600.0  # 2027-01-16T00:00:00Z


def make(*, workers: int = 1, **more: Any) -> Fleet:
    return Fleet(route("m", ["a"]), targets=[target("a", price=PRICE)], workers=workers, **more)


def started(fleet: Fleet, worker: Worker, output: int = 10) -> Client:
    client = worker.connect()
    client.ask(max_tokens=output)
    fleet.turn()
    return client


def status(client: Client) -> tuple[int, str]:
    answers = client.answers()
    if not answers:
        return 0, ""
    return answers[-1].status, answers[-1].get(b"x-towplane-reason").decode()


def end(up: Upstream, output: int, prompt: int = IN) -> None:
    up.give(whole({"choices": [], "usage": usage(prompt, output)}))


def test_every_measure_of_the_document_is_in_the_table_once() -> None:
    amounts = {name for name in Limits.__struct_fields__ if name != "mode"}
    money = {name for name in Budget.__struct_fields__ if name != "mode"}
    assert {m for m, info in MEASURES.items() if info.unit != 3} == amounts
    assert {f"{m}_nanousd" for m, info in MEASURES.items() if info.unit == 3} == money
    for measure in MEASURES:
        limits, budget = Limits(), Budget()
        if measure in amounts:
            limits = msgspec.convert({measure: 7}, Limits)
        else:
            budget = msgspec.convert({measure: 7}, Budget)
        (found,) = limits_of(limits, budget, windows_at(MIDNIGHT))
        assert (found.measure, found.amount) == (measure, 7)


def test_a_soft_limit_refuses_nothing_but_those_of_a_minute_always_hold() -> None:
    limits = Limits(rpm=1, tpm=1, concurrency=1, rpd=1, tokens_per_month=1, mode="soft")
    budget = Budget(daily_nanousd=1, mode="soft")
    hard = [limit.measure for limit in limits_of(limits, budget, windows_at(0.0))]
    assert hard == ["rpm", "tpm", "concurrency"]
    both = [limit.measure for limit in limits_of(limits, budget, windows_at(0.0), soft=True)]
    assert both == [*hard, "rpd", "tokens_per_month", "daily"]
    assert mode_of("daily", limits, budget) == mode_of("rpd", limits, budget) == "soft"
    fleet = make(limits=Limits(rpd=1, mode="soft"), budget=budget)
    assert [status(started(fleet, fleet.worker)) for _ in range(3)] == [(0, "")] * 3
    fleet.close()


@pytest.mark.parametrize(
    ("limits", "reason", "fits"),
    [
        (Limits(rpd=2), "requests-per-day", 2),
        (Limits(requests_per_month=2), "requests-per-month", 2),
        (Limits(tpd=25), "tokens-per-day", 2),
        (Limits(tokens_per_month=25), "tokens-per-month", 2),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_over_a_quota_is_refused_with_its_name(
    limits: Limits, reason: str, fits: int
) -> None:
    fleet = make(limits=limits, workers=2)
    workers = list(fleet.workers.values())
    clients = [started(fleet, workers[i % 2]) for i in range(4)]
    assert [status(client) for client in clients] == [(0, "")] * fits + [(429, reason)] * 2
    retry_after_s = int(clients[-1].answer().get(b"retry-after").decode())
    assert 0 < retry_after_s <= 31 * 86_400
    fleet.close()
    assert fleet.errors == []


def test_tokens_that_were_reserved_and_not_used_come_back_to_the_day() -> None:
    fleet = make(limits=Limits(tpd=11 + 3))
    client = started(fleet, fleet.worker)
    end(fleet.worker.upstream(), output=1)
    assert status(client)[0] == 200
    assert status(started(fleet, fleet.worker)) == (0, ""), "2 are used, 12 are left, 11 are needed"
    fleet.close()


def test_a_request_that_went_nowhere_does_not_count_as_one_of_the_day() -> None:
    """The ledger has no row of it, so that a restart would not count it either."""
    fleet = make(limits=Limits(rpd=1))
    fleet.worker.hall.targets["a/m"].park(fleet.clock.monotonic() + 30)
    assert status(started(fleet, fleet.worker))[0] in (429, 503)
    fleet.wait(31)
    assert status(started(fleet, fleet.worker)) == (0, "")
    assert status(started(fleet, fleet.worker)) == (429, "requests-per-day")
    fleet.close()


def test_a_stream_over_midnight_belongs_to_the_day_on_which_it_began() -> None:
    fleet = make(limits=Limits(rpd=1, tpd=20), wall_s=MIDNIGHT - 5)
    before = started(fleet, fleet.worker)
    assert status(started(fleet, fleet.worker)) == (429, "requests-per-day")
    fleet.wait(10)
    after = started(fleet, fleet.worker)
    assert status(after) == (0, ""), "a new day"
    first, second = fleet.worker.upstreams
    end(first, output=1)
    assert status(before)[0] == 200
    assert status(started(fleet, fleet.worker)) == (429, "requests-per-day")
    end(second, output=10)
    fleet.close()
    assert fleet.errors == []


def test_the_ledger_is_where_a_pool_begins() -> None:
    fleet = make(limits=Limits(rpd=3), workers=1)
    for _ in range(2):
        started(fleet, fleet.worker)
    fleet.kill(fleet.worker)
    fleet.coordinator._entries.clear()  # as after a restart of the plane process
    fleet.start()
    assert [status(started(fleet, fleet.worker)) for _ in range(2)] == [
        (0, ""),
        (429, "requests-per-day"),
    ]
    fleet.close()


def test_units_are_taken_of_tenant_project_and_key_all_or_none() -> None:
    projects = {"web": ProjectSpec(limits=Limits(rpd=2))}
    fleet = make(limits=Limits(rpd=5, concurrency=9), projects=projects)
    key = fleet.snapshot.keys[0]
    fields = {name: getattr(key, name) for name in key.__struct_fields__}
    of_project = type(key)(**(fields | {"project": "web", "limits": Limits(concurrency=9)}))
    fleet.reload(keys=(of_project,))
    fleet.turn()
    answers = [status(started(fleet, fleet.worker)) for _ in range(3)]
    assert answers == [(0, ""), (0, ""), (429, "requests-per-day")]
    assert "project's" in json.loads(fleet.worker.clients[-1].answer().body)["error"]["message"]
    shares = {
        share.name: share.free
        for account in fleet.worker.hall.accounts_of(of_project)
        for share in account.shares
    }
    tenant = next(free for name, free in shares.items() if name.startswith("tenant/acme/rpd"))
    assert tenant == 3, "what the refused one had taken of the tenant went back"
    fleet.close()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_window_ever_holds_more_than_its_quota(data: st.DataObject) -> None:
    """Over workers, deaths, restarts of the plane process and the turn of the day."""
    rpd, tpd = data.draw(st.integers(1, 6)), data.draw(st.integers(15, 80))
    fleet = make(
        limits=Limits(rpd=rpd, tpd=tpd, requests_per_month=2 * rpd),
        workers=data.draw(st.integers(1, 3)),
        wall_s=MIDNIGHT - data.draw(st.sampled_from([30.0, 40_000.0])),
    )
    answered: dict[Upstream, int] = {}

    def running() -> list[Upstream]:
        return [
            up
            for worker in fleet.workers.values()
            for up in worker.upstreams
            if len(up.requests) > answered.get(up, 0) and not up.transport.is_closed
        ]

    for _ in range(data.draw(st.integers(5, 25))):
        workers = list(fleet.workers.values())
        match data.draw(st.sampled_from(["ask", "ask", "ask", "answer", "die", "wait", "restart"])):
            case "ask":
                started(fleet, data.draw(st.sampled_from(workers)), data.draw(st.integers(0, 30)))
            case "answer" if ups := running():
                up = data.draw(st.sampled_from(ups))
                asked = json.loads(up.requests[-1].body)["max_tokens"]
                answered[up] = len(up.requests)
                end(up, output=data.draw(st.integers(0, asked)))
            case "die":
                fleet.kill(data.draw(st.sampled_from(workers)))
                fleet.start()
            case "wait":
                fleet.wait(data.draw(st.sampled_from([1.0, 20.0])))
            case "restart" if not running():
                for worker in workers:
                    fleet.kill(worker)
                fleet.coordinator._entries.clear()
                fleet.start()
        fleet.turn()
        _judge(fleet, rpd, tpd)
    fleet.close()
    assert fleet.errors == []


def _judge(fleet: Fleet, rpd: int, tpd: int) -> None:
    requests: dict[str, int] = {}
    tokens: dict[str, int] = {}
    settled = {id: end for book in fleet.ledger.values() for id, end in book.settled.items()}
    for book in fleet.ledger.values():
        for id, opened in book.opened.items():
            day, month, _ = windows_at(opened.at)
            used = opened.input_estimate + opened.output_limit
            if id in settled:
                used = (settled[id].input or 0) + (settled[id].output or 0)
            for window in (day, month):
                requests[window] = requests.get(window, 0) + 1
                tokens[window] = tokens.get(window, 0) + used
    for window, count in requests.items():
        assert count <= (rpd if len(window) == 10 else 2 * rpd)
        assert len(window) == 7 or tokens[window] <= tpd


def test_what_a_measure_counts_of_the_usage() -> None:
    used = Used(requests=1, tokens=2, nanousd=3)
    assert [used_of(m, used) for m in ("rpd", "tpd", "tokens_per_month", "monthly")] == [1, 2, 2, 3]
    assert used.plus(used) == Used(2, 4, 6)


def test_of_those_who_wait_for_the_same_units_the_highest_goes_first() -> None:
    fleet = make(limits=Limits(concurrency=1), carries=False)
    key = fleet.snapshot.keys[0]
    clients: dict[str, Client] = {}
    for priority in ("low", "standard", "high"):
        fields = {name: getattr(key, name) for name in key.__struct_fields__}
        fleet.reload(keys=(type(key)(**(fields | {"priority": priority})),))
        while fleet.worker.coming:
            fleet.worker.hear()
        clients[priority] = started(fleet, fleet.worker)
    for _ in range(3):
        fleet.carry_all()
        fleet.turn()
    assert [status(clients[p])[0] for p in ("high", "standard", "low")] == [0, 429, 429]
    fleet.close()
