"""Requests that are sent a second time, unseen."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.gateway.mirror_accounts import mirror_accounts, mirror_key
from towplane.parts.names import is_name
from towplane.routing.spec import Mirror, MirrorBudget, Rewrite, RouteSpec, Timeouts
from towplane.tenants.events import Opened, Settled
from towplane.tenants.keys import PLANE_ACCOUNT
from towplane.tenants.spec import Budget, Limits
from towplane.testing.fleet import Fleet, route, target
from towplane.testing.played import Upstream
from towplane.testing.wire import DONE, LAST, STREAM, chunk, delta, event, usage, whole

ANSWER = {
    "choices": [{"index": 0, "message": {"content": "yes"}, "finish_reason": "stop"}],
    "usage": usage(10, 5),
}
PRICE = (1_000_000_000, 0, 2_000_000_000)  # 1 and 2 USD per million tokens


def mirrored(
    share: float = 1.0, timeouts: dict[str, float] | None = None, **fields: Any
) -> tuple[Any, Mirror]:
    mirror = Mirror(to="other", share=share, **fields)
    shadow = route("m", ("mirror",), timeouts=Timeouts(**(timeouts or {})))
    return msgspec.structs.replace(route("m", ("a",), mirror=mirror), shadow=shadow), mirror


def fleet_of(
    share: float = 1.0,
    *,
    timeouts: dict[str, float] | None = None,
    tenant: dict[str, Any] | None = None,
    workers: int = 1,
    **fields: Any,
) -> Fleet:
    info, mirror = mirrored(share, timeouts, **fields)
    targets = [target("a", price=PRICE), target("mirror", price=PRICE)]
    fleet = Fleet(info, targets=targets, workers=workers, **(tenant or {}))
    more_tenants, more_keys = mirror_accounts([("m", mirror)])
    fleet.reload(
        tenants=(*fleet.snapshot.tenants, *more_tenants), keys=(*fleet.snapshot.keys, *more_keys)
    )
    fleet.carry_all()
    return fleet


def upstreams(fleet: Fleet, host: str) -> list[Upstream]:
    return [up for up in fleet.worker.upstreams if up.host == host and up.requests]


def settled(fleet: Fleet, tenant: str) -> list[Settled]:
    journal = fleet.worker.journal
    return [end for id, end in journal.settled.items() if journal.opened[id].tenant == tenant]


def converse(fleet: Fleet, answer: bytes | None, **fields: Any) -> bytes:
    """One request and its answer; `answer` is the mirror's, None: it says nothing."""
    client = fleet.worker.connect()
    client.ask(**fields)
    fleet.turn()
    fleet.worker.upstream("a").give(whole(ANSWER))
    if answer is not None and upstreams(fleet, "mirror"):
        upstreams(fleet, "mirror")[-1].give(answer)
    fleet.turn()
    return bytes(client.received)


def blind(said: bytes) -> bytes:
    """Without the request's id, which is drawn."""
    lines = said.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.startswith(b"x-towplane-request-id"))


def test_a_shadow_goes_after_the_first_attempt_and_is_billed_to_the_plane() -> None:
    fleet = fleet_of()
    converse(fleet, whole(ANSWER), max_tokens=7)
    first, second = fleet.worker.events(Opened)
    assert (first.tenant, first.cause, first.target) == ("acme", "first", "a/m")
    assert (second.tenant, second.cause, second.target) == (PLANE_ACCOUNT, "mirror", "mirror/m")
    assert second.key == mirror_key("m")
    assert second.id == f"{first.id.partition('.')[0]}m.1"
    (end,) = settled(fleet, PLANE_ACCOUNT)
    assert (end.outcome, end.input, end.output, end.final) == ("ok", 10, 5, True)
    assert end.cost_nanousd == 10 * 1000 + 5 * 2000
    fleet.close()


def test_no_tenant_can_be_called_as_the_planes_account() -> None:
    assert not is_name(PLANE_ACCOUNT)


def test_a_share_of_the_requests_is_mirrored() -> None:
    fleet = fleet_of(share=0.25, most=1000)
    for _ in range(200):
        converse(fleet, whole(ANSWER))
    assert 30 <= len(settled(fleet, PLANE_ACCOUNT)) <= 70
    assert len(settled(fleet, "acme")) == 200
    fleet.close()


def misbehave(fleet: Fleet, how: str) -> None:
    """What the mirror does with its request."""
    found = upstreams(fleet, "mirror")
    if not found:
        return
    up = found[-1]
    if how == "error":
        up.give(whole({"error": {"message": "no"}}, 500))
    elif how == "refusal":
        up.give(whole({"error": {"message": "no"}}, 401))
    elif how == "limit":
        up.give(whole({"error": {"message": "no"}}, 429, "retry-after: 30\r\n"))
    elif how == "nonsense":
        up.give(b"\x00\x01HTTP nonsense\r\n\r\n")
    elif how == "reset":
        up.close(ConnectionResetError())
    elif how == "endless":
        up.give(STREAM, *(chunk(event(delta("x"))) for _ in range(50)))


HOWS = ("error", "refusal", "limit", "nonsense", "reset", "endless", "silent", "refusing",
        "hanging")  # fmt: skip


@settings(max_examples=25)
@given(st.lists(st.sampled_from(HOWS), min_size=1, max_size=6), st.booleans())
def test_the_client_sees_no_difference(hows: list[str], stream: bool) -> None:
    """Whatever the mirror's target does: byte by byte, and in the tenant's rows and limits."""

    def play(fleet: Fleet) -> tuple[list[bytes], list[Any], list[bytes]]:
        heard = []
        for how in hows:
            fleet.refusing = {"mirror"} if how == "refusing" else set()
            fleet.hanging = {"mirror"} if how == "hanging" else set()
            client = fleet.worker.connect()
            client.ask(stream=stream)
            fleet.turn()
            misbehave(fleet, how)
            up = fleet.worker.upstream("a")
            if stream:
                up.give(STREAM, chunk(event(delta("hi"))))
                misbehave(fleet, how)
                up.give(chunk(event(delta(finish="stop"))), chunk(DONE), LAST)
            else:
                up.give(whole(ANSWER))
            fleet.wait(0.2)
            heard.append(blind(bytes(client.received)))
        rows = [
            (end.outcome, end.input, end.output, end.cost_nanousd, end.duration_ms, end.ttft_ms)
            for end in settled(fleet, "acme")
        ]
        asked = [bytes(m.body) for up in upstreams(fleet, "a") for m in up.requests]
        fleet.close()
        assert not fleet.errors
        return heard, rows, asked

    tenant = {"limits": Limits(rpm=100, tpm=100_000), "budget": Budget(daily_nanousd=10**9)}
    with_mirror = fleet_of(tenant=tenant)
    without = fleet_of(share=0.0, tenant=tenant)
    assert play(with_mirror) == play(without)


def test_a_mirror_that_fails_is_left_alone_and_told_to_nobody() -> None:
    fleet = fleet_of()
    for _ in range(12):
        converse(fleet, whole({"error": {"message": "no"}}, 500))
    assert len(settled(fleet, PLANE_ACCOUNT)) == 5  # the breaker's `failures`
    state = fleet.worker.hall.targets["mirror/m"]
    assert state.breaker.state == "closed"
    fleet.wait(6.0)
    converse(fleet, whole(ANSWER))
    assert settled(fleet, PLANE_ACCOUNT)[-1].outcome == "ok"
    fleet.close()


def test_a_shadow_makes_one_attempt() -> None:
    fleet = fleet_of()
    converse(fleet, whole({"error": {"message": "no"}}, 503))
    fleet.wait(5.0)
    assert [opened.cause for opened in fleet.worker.events(Opened)] == ["first", "mirror"]
    fleet.close()


def test_no_more_run_at_once_than_allowed() -> None:
    fleet = fleet_of(most=2)
    for _ in range(5):
        converse(fleet, None)
    hall = fleet.worker.hall
    assert len([o for o in fleet.worker.events(Opened) if o.cause == "mirror"]) == 2
    samples = {sample.labels: sample.value for sample in hall.mirrors.samples()}
    assert samples == {("m", "sent"): 2, ("m", "dropped"): 3}
    fleet.close()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 3))
def test_the_budget_holds(daily: int, workers: int) -> None:
    """Whichever worker they run in; a shadow is reserved at the most that it may cost."""
    fleet = fleet_of(budget=MirrorBudget(daily_nanousd=daily), workers=workers)
    as_estimated = ANSWER | {"usage": usage(1, 5)}
    for _ in range(4):
        for worker in fleet.workers.values():
            client = worker.connect()
            client.ask(max_tokens=5)
            fleet.turn()
            worker.upstream("a").give(whole(ANSWER))
            for up in worker.upstreams:
                if up.host == "mirror" and up.requests:
                    up.give(whole(as_estimated))
            fleet.turn()
            assert len(client.received) > 0
    journals = [worker.journal for worker in fleet.workers.values()]
    cost = sum(
        end.cost_nanousd or 0
        for journal in journals
        for id, end in journal.settled.items()
        if journal.opened[id].tenant == PLANE_ACCOUNT
    )
    assert cost <= daily
    assert cost > 0 or daily < 11_000
    fleet.close()


def test_a_mirror_with_a_budget_asks_no_target_without_a_price() -> None:
    fleet = fleet_of(budget=MirrorBudget(daily_nanousd=10**12))
    fleet.reload(targets=(target("a", price=PRICE), target("mirror")))
    fleet.carry_all()
    converse(fleet, None)
    assert [opened.cause for opened in fleet.worker.events(Opened)] == ["first"]
    fleet.close()


def test_a_shadow_is_rewritten_and_its_original_is_not() -> None:
    rewrite = Rewrite(max_tokens=3, temperature=0.0, drop=["user"])
    fleet = fleet_of(rewrite=rewrite)
    converse(fleet, whole(ANSWER), max_tokens=50, user="u", stream=False)
    (up,) = upstreams(fleet, "mirror")
    sent = json.loads(bytes(up.requests[0].body))
    assert (sent["max_tokens"], sent["temperature"], "user" in sent) == (3, 0, False)
    original = json.loads(bytes(upstreams(fleet, "a")[0].requests[0].body))
    assert (original["max_tokens"], original["user"]) == (50, "u")
    assert "temperature" not in original
    fleet.close()


def test_a_shadow_that_says_more_than_it_may_is_cut() -> None:
    fleet = fleet_of(rewrite=Rewrite(max_tokens=3))
    client = fleet.worker.connect()
    client.ask(stream=True)
    fleet.turn()
    (up,) = upstreams(fleet, "mirror")
    up.give(STREAM, *(chunk(event(delta("x"))) for _ in range(9)))
    fleet.wait(0.1)
    assert up.transport.is_closed
    (end,) = settled(fleet, PLANE_ACCOUNT)
    assert (end.outcome, end.usage, end.output) == ("cancelled", "estimated", 9)
    fleet.close()


def test_a_shadow_ends_with_its_time() -> None:
    fleet = fleet_of(timeouts={"total_s": 2.0})
    converse(fleet, None)
    fleet.wait(3.0)
    (end,) = settled(fleet, PLANE_ACCOUNT)
    assert end.outcome == "timeout"
    fleet.close()


def test_a_draining_worker_waits_for_no_shadow_and_accounts_it() -> None:
    fleet = fleet_of()
    converse(fleet, None)
    hall = fleet.worker.hall
    hall.drain()
    fleet.turn()
    assert not hall.busy()
    hall.close()
    (end,) = settled(fleet, PLANE_ACCOUNT)
    assert end.outcome == "cancelled"
    fleet.close()


def test_a_client_that_leaves_does_not_take_its_shadow_along() -> None:
    fleet = fleet_of()
    client = fleet.worker.connect()
    client.ask()
    fleet.turn()
    client.leave()
    fleet.turn()
    upstreams(fleet, "mirror")[-1].give(whole(ANSWER))
    assert [end.outcome for end in settled(fleet, "acme")] == ["cancelled"]
    assert [end.outcome for end in settled(fleet, PLANE_ACCOUNT)] == ["ok"]
    fleet.close()


def test_a_refused_request_has_no_shadow() -> None:
    fleet = fleet_of()
    client = fleet.worker.connect()
    client.ask(max_tokens="many")
    fleet.turn()
    assert fleet.worker.events(Opened) == []
    fleet.close()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("text", [False, True])
def test_pairs_are_kept_only_where_asked_for(tmp_path: Path, stream: bool, text: bool) -> None:
    """Both sides with their sizes, times, usage and ends; what was said only with `text`."""
    path = tmp_path / "pairs.jsonl"
    fleet = fleet_of(keep=str(path), text=text)
    client = fleet.worker.connect()
    client.ask(stream=stream, stream_options={"include_usage": True})
    fleet.turn()
    for host in ("a", "mirror"):
        up = fleet.worker.upstream(host)
        if stream:
            up.give(STREAM, chunk(event(delta("yes"))), chunk(event(delta(finish="stop"))))
            up.give(chunk(event({"choices": [], "usage": usage(10, 5)})), chunk(DONE), LAST)
        else:
            up.give(whole(ANSWER))
    fleet.wait(0.1)
    (line,) = path.read_text().splitlines()
    pair = json.loads(line)
    original, mirror = pair["original"], pair["mirror"]
    assert (original["target"], mirror["target"]) == ("a/m", "mirror/m")
    assert mirror["request"] == f"{original['request']}m"
    for side in (original, mirror):
        assert (side["outcome"], side["finish"]) == ("ok", "stop")
        assert (side["input"], side["output"], side["usage"]) == (10, 5, "measured")
        assert side.get("text") == ("yes" if text else None)
        assert ("ttft_ms" in side) == stream
    assert path.stat().st_mode & 0o077 == 0
    fleet.close()


def test_a_file_that_cannot_be_written_costs_no_answer(tmp_path: Path) -> None:
    fleet = fleet_of(keep=str(tmp_path / "no" / "such" / "folder"))
    assert converse(fleet, whole(ANSWER)).startswith(b"HTTP/1.1 200")
    fleet.wait(0.2)
    fleet.close()


def test_a_route_without_a_mirror_draws_nothing() -> None:
    fleet = Fleet(route("m", ("a",)), targets=[target("a")])
    assert fleet.worker.hall.routes["m"].mirror is None
    assert RouteSpec(targets=[]).mirror is None
    fleet.close()
