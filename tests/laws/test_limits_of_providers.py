"""Credentials as a pool, limits of providers, waiting: what happens between route and attempt."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.gateway.messages import ProviderInfo, RouteInfo, TargetInfo
from towplane.providers.adapter import Allowance, Credential
from towplane.providers.credential_pool import CredentialPool
from towplane.providers.throttle import Throttle
from towplane.routing.backoff import backoff_s
from towplane.routing.spec import Queue, Retries
from towplane.tenants.events import Opened, Settled
from towplane.tenants.spec import Limits
from towplane.testing.fleet import Fleet, route, target
from towplane.testing.played import Client
from towplane.testing.wire import post, usage, whole

BODY = {"model": "m", "max_tokens": 10}
ANSWERED = {"choices": [], "usage": usage(10, 4)}
ANSWER = whole(ANSWERED)


def make(
    targets: Sequence[TargetInfo], *, providers: Sequence[ProviderInfo] = (), **more: Any
) -> Fleet:
    hosts = [one.name.partition("/")[0] for one in targets]
    info = route("m", hosts, retries=Retries(most=4, floor=10.0))
    return Fleet(_with(info, **more), targets=targets, providers=providers)


def _with(info: RouteInfo, **more: Any) -> RouteInfo:
    return msgspec.structs.replace(info, spec=msgspec.structs.replace(info.spec, **more))


def ask(fleet: Fleet) -> Client:
    client = fleet.worker.connect()
    client.send(post(fleet.key, BODY))
    fleet.turn()
    return client


def keys_sent(fleet: Fleet) -> list[str]:
    return [
        dict(request.headers)[b"authorization"].decode()
        for up in fleet.worker.upstreams
        for request in up.requests
    ]


# Credentials


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_parked_and_the_next_one_answers(status: int) -> None:
    fleet = make([target("a", keys=["one", "two"])])
    first = ask(fleet)
    fleet.worker.upstream().give(whole({"error": {"message": "no"}}, status))
    fleet.turn()
    fleet.worker.upstream().give(ANSWER)
    assert first.answer().status == 200
    ask(fleet)
    assert keys_sent(fleet) == ["Bearer one", "Bearer two", "Bearer two"]
    assert [end.outcome for end in fleet.worker.events(Settled)] == ["denied", "ok"]
    fleet.close()


def test_a_limited_key_turns_to_the_next_and_comes_back_when_told() -> None:
    fleet = make([target("a", keys=["one", "two"])])
    ask(fleet)
    fleet.worker.upstream().give(whole({}, 429, "retry-after: 5\r\n"))
    fleet.turn()
    fleet.worker.upstream().give(whole({}, 429, "retry-after: 20\r\n"))
    fleet.turn()
    assert keys_sent(fleet) == ["Bearer one", "Bearer two"]
    fleet.wait(5.5)
    ask(fleet)
    assert keys_sent(fleet)[2:] == ["Bearer one"]
    fleet.close()


def test_a_server_error_says_nothing_about_a_key() -> None:
    fleet = make([target("a", keys=["one", "two"]), target("b")])
    ask(fleet)
    fleet.worker.upstream("a").give(whole({}, 500))
    fleet.turn()
    fleet.worker.upstream("b").give(ANSWER)
    ask(fleet)
    fleet.worker.upstream().give(ANSWER)
    ask(fleet)
    sent = [
        dict(r.headers).get(b"authorization") for u in fleet.worker.upstreams for r in u.requests
    ]
    assert set(sent) == {b"Bearer one", None}
    fleet.close()


def test_all_keys_parked_is_an_error_of_its_own() -> None:
    fleet = make([target("a", keys=["one", "two"])])
    ask(fleet)
    for _ in range(2):
        fleet.worker.upstream().give(whole({}, 401))
        fleet.turn()
    client = ask(fleet)
    assert (client.answer().status, client.answer().get(b"x-towplane-reason")) == (
        502,
        b"no-credential",
    )
    assert "refusing every credential" in client.answer().body.decode()
    fleet.wait(2.1)
    ask(fleet)
    assert len(keys_sent(fleet)) == 3
    fleet.close()


def test_a_renewed_credential_is_not_parked_any_more() -> None:
    pool = CredentialPool()
    old = Credential("p#1", (("authorization", "Bearer old"),))
    pool.update((old,))
    pool.park(old, 0.0, "refused")
    assert pool.pick("t", 1.0, {}) is None
    pool.update((old,))
    assert pool.pick("t", 1.0, {}) is None
    new = Credential("p#1", (("authorization", "Bearer new"),))
    pool.update((new,))
    assert pool.pick("t", 1.0, {}) is new
    assert [one.state for one in pool.standings(1.0)] == ["ready"]


def test_a_forbidden_model_does_not_take_the_key_from_the_others() -> None:
    """403 is about this model, 401 about the key."""
    pool = CredentialPool()
    one = Credential("p#1", (("authorization", "Bearer k"),))
    pool.update((one,))
    pool.park(one, 0.0, "not this model", target="p/a")
    assert pool.pick("p/a", 1.0, {}) is None
    assert pool.pick("p/b", 1.0, {}) is one
    assert [(each.state, each.reason) for each in pool.standings(1.0)] == [
        ("parked", "not this model")
    ]
    pool.accepted(one, "p/a")
    assert pool.only is one


def test_who_is_refused_again_and_again_is_asked_ever_less() -> None:
    pool = CredentialPool()
    one = Credential("p#1")
    pool.update((one,))
    waits = [pool.park(one, float(now), "no") for now in range(12)]
    assert waits[:4] == [2.0, 4.0, 8.0, 16.0]
    assert waits[-1] == 600.0


def test_no_credential_shows_its_secret() -> None:
    one = Credential("p#1", (("authorization", "Bearer SECRET"),), aws=("A", "SECRET", "SECRET"))
    info = TargetInfo("p/m", "provider", "h", 1, "/v1", "m", credentials=(one,))
    assert "SECRET" not in f"{one} {one!r} {info} {info!r} {[one]}"


# Waiting for the same target


def test_a_lone_managed_target_is_asked_again_when_it_said() -> None:
    fleet = make([target("a", keys=["one"])])
    client = ask(fleet)
    fleet.worker.upstream().give(whole({}, 429, "retry-after-ms: 400\r\n"))
    fleet.wait(0.3, step_s=0.05)
    assert len(keys_sent(fleet)) == 1, "not before it said"
    fleet.wait(0.3, step_s=0.05)
    assert len(keys_sent(fleet)) == 2
    fleet.worker.upstream().give(ANSWER)
    assert client.answer().status == 200
    causes = [(o.cause, e.final) for o, e in _pairs(fleet)]
    assert causes == [("first", False), ("retry", True)]
    fleet.close()


def test_a_wait_that_is_too_long_is_not_begun() -> None:
    fleet = make([target("a", keys=["one"])])
    client = ask(fleet)
    fleet.worker.upstream().give(whole({"error": {"message": "slow"}}, 429, "retry-after: 20\r\n"))
    fleet.turn()
    assert client.answer().status == 429
    fleet.close()


def test_a_client_that_leaves_while_its_request_waits_is_final_once() -> None:
    fleet = make([target("a", keys=["one"])])
    client = ask(fleet)
    fleet.worker.upstream().give(whole({}, 500))
    fleet.turn()
    client.leave()
    fleet.wait(10.0)
    assert [(o.cause, e.final) for o, e in _pairs(fleet)] == [("first", True)]
    assert not fleet.worker.hall.exchanges
    fleet.close()


@given(st.integers(1, 50), st.floats(0, 1), st.none() | st.floats(0, 100))
def test_a_backoff_is_bounded_and_never_before_what_was_said(
    failures: int, random: float, after_s: float | None
) -> None:
    wait_s = backoff_s(failures, after_s, random)
    if after_s is None:
        assert 0 <= wait_s <= min(8.0, 0.5 * 2 ** (failures - 1))
    else:
        assert after_s <= wait_s <= after_s * 1.1 + 1e-9


# Limits that the document sets


def limited(**limits: Any) -> list[ProviderInfo]:
    return [ProviderInfo("a", Limits(**limits))]


def test_a_providers_limit_refuses_before_the_provider_does() -> None:
    fleet = make([target("a", provider="a")], providers=limited(rpm=2))
    for _ in range(2):
        ask(fleet)
        fleet.worker.upstream().give(ANSWER)
    client = ask(fleet)
    answer = client.answer()
    assert answer.status == 429
    assert answer.get(b"x-towplane-reason") == b"provider-limit"
    assert int(answer.get(b"retry-after") or 0) >= 1
    assert len(fleet.worker.events(Opened)) == 2
    fleet.close()


def test_a_target_at_its_limit_leaves_the_request_to_another() -> None:
    fleet = make([target("a", provider="a"), target("b")], providers=limited(concurrency=1))
    for _ in range(4):
        ask(fleet)
    assert sorted(u.host for u in fleet.worker.upstreams for _ in u.requests).count("a") == 1
    fleet.close()


def test_units_come_back_when_an_answer_ends() -> None:
    fleet = make([target("a", provider="a")], providers=limited(concurrency=1))
    for _ in range(5):
        client = ask(fleet)
        fleet.worker.upstream().give(ANSWER)
        assert client.answer().status == 200
    fleet.close()


def test_a_route_may_let_requests_wait_for_a_limit() -> None:
    fleet = make(
        [target("a", provider="a")], providers=limited(concurrency=1), queue=Queue(longest_s=30.0)
    )
    first, second = ask(fleet), ask(fleet)
    assert len(fleet.worker.events(Opened)) == 1
    fleet.worker.upstream().give(ANSWER)
    fleet.wait(3.0)
    fleet.worker.upstream().give(ANSWER)
    assert [c.answer().status for c in (first, second)] == [200, 200]
    fleet.close()


def test_who_stands_in_line_is_served_before_who_comes_later() -> None:
    """A unit that comes back goes to the queue, not to whoever happens to ask next."""
    fleet = make(
        [target("a", provider="a")], providers=limited(concurrency=1), queue=Queue(longest_s=30.0)
    )
    clients = [ask(fleet) for _ in range(3)]
    for served in range(3):
        fleet.worker.upstream().give(ANSWER)
        clients.append(ask(fleet))
        fleet.wait(0.5)
        assert [bool(one.answers()) for one in clients[:4]] == [n <= served for n in range(4)]
    fleet.close()


def test_a_retry_that_waits_for_a_limit_stays_a_retry() -> None:
    """It keeps its cause, and goes to no target that has failed it."""
    fleet = make(
        [target("a", provider="a"), target("b")],
        providers=limited(concurrency=1),
        queue=Queue(longest_s=30.0),
    )
    other = ask(fleet)
    assert fleet.worker.upstream().host == "a"
    client = ask(fleet)
    fleet.worker.upstream("b").give(whole({}, 500))
    fleet.turn()
    fleet.worker.upstream("a").give(ANSWER)
    fleet.wait(1.0)
    fleet.worker.upstream("a").give(ANSWER)
    assert [one.answer().status for one in (other, client)] == [200, 200]
    hosts = [(one.target, one.cause) for one in fleet.worker.events(Opened)]
    assert hosts == [("a/m", "first"), ("b/m", "first"), ("a/m", "retry")]
    fleet.close()


def test_a_unit_for_one_that_left_is_not_lost() -> None:
    fleet = make(
        [target("a", provider="a")], providers=limited(concurrency=1), queue=Queue(longest_s=30.0)
    )
    first, second, third = (ask(fleet) for _ in range(3))
    second.leave()
    fleet.turn()
    fleet.worker.upstream().give(ANSWER)
    fleet.wait(1.0)
    fleet.worker.upstream().give(ANSWER)
    assert [first.answer().status, third.answer().status] == [200, 200]
    fleet.wait(3.0)
    assert not fleet.worker.hall.exchanges
    assert not fleet.worker.hall._standing
    fleet.close()


def test_who_waited_as_long_as_it_may_is_refused() -> None:
    fleet = make(
        [target("a", provider="a")], providers=limited(concurrency=1), queue=Queue(longest_s=3.0)
    )
    _, second = ask(fleet), ask(fleet)
    fleet.wait(10.0)
    assert second.answer().get(b"x-towplane-reason") == b"provider-limit"
    fleet.close()


# Limits that answers speak of


def test_headers_that_say_nothing_is_left_slow_the_next_request_down() -> None:
    fleet = make([target("a", keys=["one"])])
    ask(fleet)
    headers = (
        "x-ratelimit-limit-requests: 60\r\nx-ratelimit-remaining-requests: 0\r\n"
        "x-ratelimit-reset-requests: 60s\r\n"
    )
    fleet.worker.upstream().give(whole(ANSWERED, 200, headers))
    client = ask(fleet)
    assert client.answer().get(b"x-towplane-reason") == b"provider-limit"
    fleet.wait(1.2)
    ask(fleet)
    assert len(keys_sent(fleet)) == 2
    fleet.close()


def test_who_knows_nothing_of_limits_waits_for_nothing() -> None:
    throttle = Throttle()
    assert throttle.wait_s(10**9, 0.0) == 0
    throttle.observe(Allowance(), 0.0)
    assert throttle.wait_s(10**9, 0.0) == 0
    assert throttle.left(0.0) == (None, None)


@given(
    limit=st.integers(1, 10**6),
    share=st.floats(0, 1),
    reset_s=st.none() | st.floats(0.001, 120),
    tokens=st.integers(1, 10**6),
    after_s=st.floats(0, 300),
)
def test_after_the_wait_there_is_enough(
    limit: int, share: float, reset_s: float | None, tokens: int, after_s: float
) -> None:
    """The law: who waits as long as it says is let through, and nobody waits for ever."""
    throttle = Throttle()
    said = Allowance(tokens_limit=limit, tokens_left=int(limit * share), tokens_reset_s=reset_s)
    throttle.observe(said, 0.0)
    wait_s = throttle.wait_s(tokens, after_s)
    assert 0 <= wait_s <= 120.0
    assert throttle.wait_s(tokens, after_s + wait_s + 0.01) < 0.01 + wait_s / 1000 or wait_s == 120


def _pairs(fleet: Fleet) -> list[tuple[Opened, Settled]]:
    ends = {end.id: end for end in fleet.worker.events(Settled)}
    return [(one, ends[one.id]) for one in fleet.worker.events(Opened) if one.id in ends]


# What a client names must not become a header


def test_a_dropped_name_cannot_end_a_header() -> None:
    keys = (Credential("a#1", (("x-api-key", "k"),)),)
    anthropic = TargetInfo(
        "a/m", "provider", "a", 80, "", "m", adapter="anthropic", credentials=keys
    )
    fleet = Fleet(_with(route("m", ["a"]), drop_unsupported=True), targets=[anthropic])
    client = fleet.worker.connect()
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "a\r\nset-cookie: b": 1}
    client.send(post(fleet.key, body))
    fleet.turn()
    fleet.worker.upstream().give(
        whole({"type": "message", "content": [], "stop_reason": "end_turn"})
    )
    answer = client.answer()
    assert b"set-cookie" not in dict(answer.headers)
    assert answer.get(b"x-towplane-dropped") == b"a??set-cookie: b"
    fleet.close()
