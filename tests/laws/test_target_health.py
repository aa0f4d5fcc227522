"""What a worker does for its targets' health in its own time: probes, stalls, outliers, ramps."""

from typing import Any

from towplane.routing.spec import Breaker, Outliers, Probe, Retries, Timeouts
from towplane.tenants.events import Opened, Settled
from towplane.tenants.keys import PLANE_ACCOUNT
from towplane.testing.fleet import Fleet, route
from towplane.testing.wire import END, STREAM, TOKEN, usage, whole

FAIL = whole({"error": {"message": "no"}}, 500)
BREAKER = Breaker(failures=1, open_s=5.0, longest_s=60.0)
SLOW = Timeouts(first_token_s=600.0, between_tokens_s=600.0, total_s=900.0)


def make(*groups: list[str], **spec: Any) -> Fleet:
    groups = groups or (["a", "b"],)
    spec = {"timeouts": SLOW, "breaker": BREAKER, "retries": Retries(floor=1000.0)} | spec
    return Fleet.of(route("m", *groups, **spec))


def serve(fleet: Fleet, host: str) -> None:
    fleet.worker.upstream(host).give(STREAM, TOKEN, END)


def breaker(fleet: Fleet, host: str) -> str:
    return fleet.worker.hall.targets[f"{host}/m"].breaker.state


def fail_a(fleet: Fleet) -> None:
    """The first request finds `a` failing, and is answered by `b`."""
    fleet.ask(stream=True)
    fleet.worker.upstream("a").give(FAIL)
    fleet.turn()
    serve(fleet, "b")
    assert breaker(fleet, "a") == "open"


# Probes


def test_a_probe_and_no_clients_request_finds_out_whether_a_target_is_well_again() -> None:
    fleet = make(probe=Probe(every_s=10.0, timeout_s=5.0))
    fail_a(fleet)
    fleet.wait(8.0)
    for _ in range(4):
        fleet.ask(stream=True)
        serve(fleet, "b")
    assert fleet.attempts()[2:] == [("b", "first")] * 4, (
        "its time has come, and still no client goes"
    )
    fleet.wait(4.0)
    assert fleet.attempts()[-1] == ("a", "probe")
    serve(fleet, "a")
    fleet.turn()
    assert breaker(fleet, "a") == "closed"
    fleet.ask(stream=True)
    fleet.ask(stream=True)
    assert {host for host, _ in fleet.attempts()[-2:]} == {"a", "b"}
    for client in fleet.worker.clients:
        client.leave()
    fleet.over()


def test_a_probe_belongs_to_the_plane_and_asks_for_one_token() -> None:
    fleet = make(probe=Probe(every_s=10.0))
    fail_a(fleet)
    fleet.wait(12.0)
    body = fleet.worker.upstream("a").requests[-1].body
    assert b'"max_tokens":1' in body
    assert b'"stream":true' in body
    serve(fleet, "a")
    opened = fleet.worker.events(Opened)[-1]
    settled = fleet.worker.events(Settled)[-1]
    assert (opened.tenant, opened.key, opened.cause) == (PLANE_ACCOUNT, "_probe", "probe")
    assert (settled.id, settled.outcome, settled.final) == (opened.id, "ok", True)
    fleet.over()


def test_a_probe_that_fails_or_is_late_keeps_the_breaker_open() -> None:
    fleet = make(probe=Probe(every_s=10.0, timeout_s=5.0))
    fail_a(fleet)
    fleet.wait(12.0)
    fleet.worker.upstream("a").give(FAIL)
    assert breaker(fleet, "a") == "open"
    fleet.wait(11.0)
    assert fleet.attempts()[-1] == ("a", "probe")
    fleet.wait(5.5)
    assert breaker(fleet, "a") == "open"
    assert fleet.worker.events(Settled)[-1].outcome == "timeout"
    fleet.over()


def test_one_token_is_enough_whatever_follows() -> None:
    fleet = make(probe=Probe(every_s=10.0, timeout_s=5.0))
    fail_a(fleet)
    fleet.wait(12.0)
    fleet.worker.upstream("a").give(STREAM, TOKEN, TOKEN, TOKEN)
    fleet.wait(1.0)
    assert breaker(fleet, "a") == "closed"
    assert fleet.worker.events(Settled)[-1].outcome == "cancelled"
    fleet.over()


def test_a_target_that_is_well_is_probed_only_when_idle_and_only_where_told_to() -> None:
    fleet = make(probe=Probe(every_s=10.0))
    fleet.wait(100.0)
    assert fleet.attempts() == []
    fleet.over()
    fleet = make(["a"], probe=Probe(every_s=10.0, idle_s=60.0))
    fleet.ask(stream=True)
    serve(fleet, "a")
    fleet.wait(58.0)
    assert fleet.attempts() == [("a", "first")]
    fleet.wait(5.0)
    assert fleet.attempts()[1:] == [("a", "probe")]
    serve(fleet, "a")
    fleet.wait(58.0)
    assert len(fleet.attempts()) == 2
    fleet.over()


def test_without_probes_a_clients_request_finds_out() -> None:
    fleet = make()
    fail_a(fleet)
    fleet.wait(6.0)
    fleet.ask(stream=True)
    fleet.ask(stream=True)
    assert {host for host, _ in fleet.attempts()[-2:]} == {"a", "b"}
    for client in fleet.worker.clients:
        client.leave()
    fleet.over()


def test_a_route_that_loses_its_probes_gives_its_targets_back_to_clients() -> None:
    fleet = make(probe=Probe(every_s=1000.0))
    fail_a(fleet)
    spec: dict[str, Any] = {"timeouts": SLOW, "breaker": BREAKER}
    fleet.reload(routes=(route("m", ["a", "b"], **spec),))
    fleet.turn()
    fleet.wait(6.0)
    assert fleet.worker.hall.targets["a/m"].is_usable(fleet.clock.monotonic())
    fleet.over()


# Forward progress


def test_a_hung_engine_is_left_alone_within_two_minutes_and_what_waits_goes_elsewhere() -> None:
    fleet = make(["a"], ["b"], breaker=Breaker(stalled_s=60.0, open_s=30.0))
    clients = [fleet.ask(stream=True), fleet.ask(stream=True)]
    fleet.wait(70.0)
    assert breaker(fleet, "a") == "open"
    assert "stalled" in fleet.worker.hall.targets["a/m"].why_not(fleet.clock.monotonic())
    fleet.turn()
    assert fleet.attempts()[2:] == [("b", "fallback")] * 2
    for up in fleet.worker.upstreams[2:]:
        up.give(STREAM, TOKEN, END)
    assert [client.answer().status for client in clients] == [200, 200]
    fleet.over()


def test_streams_that_hang_after_their_first_token_end_with_an_error_that_says_so() -> None:
    fleet = make(["a"], ["b"], breaker=Breaker(stalled_s=60.0))
    clients = [fleet.ask(stream=True), fleet.ask(stream=True)]
    for up in fleet.worker.upstreams:
        up.give(STREAM, TOKEN)
    fleet.wait(75.0)
    assert breaker(fleet, "a") == "open"
    assert len(fleet.attempts()) == 2, "what a client has seen is not told twice"
    for client in clients:
        assert b"timeout-between-tokens" in client.received or b"between tokens" in client.received
    fleet.over()


def test_while_any_stream_brings_tokens_the_others_may_wait() -> None:
    fleet = make(["a"], ["b"], breaker=Breaker(stalled_s=60.0))
    fleet.ask(stream=True), fleet.ask(stream=True), fleet.ask(stream=True)
    fleet.worker.upstreams[0].give(STREAM, TOKEN)
    for _ in range(20):
        fleet.wait(10.0)
        fleet.worker.upstreams[0].give(TOKEN)
    assert breaker(fleet, "a") == "closed"
    for client in fleet.worker.clients:
        client.leave()
    fleet.over()


def test_a_long_prompt_alone_is_no_stall() -> None:
    fleet = make(["a"], ["b"], breaker=Breaker(stalled_s=60.0))
    client = fleet.ask(stream=True)
    fleet.wait(200.0)
    assert breaker(fleet, "a") == "closed"
    client.leave()
    fleet.over()


# Outliers and slow start


def test_an_outlier_is_left_out_while_the_others_serve() -> None:
    fleet = make(
        ["a", "b", "c"],
        breaker=Breaker(failures=10**6, volume=10**6),
        outliers=Outliers(every_s=10.0, volume=5, base_s=30.0),
        retries=Retries(most=1),
    )
    fleet.wait(11.0)
    for number in range(30):
        fleet.ask(stream=False)
        host = "abc"[number % 3]
        fleet.worker.upstream(host).give(FAIL if host == "a" else whole({"usage": usage(1, 1)}))
    fleet.wait(11.0)
    assert fleet.worker.hall.routes["m"].chooser.rosters[0].outliers.keys() == {0}
    before = len(fleet.attempts())
    for _ in range(6):
        fleet.ask(stream=True)
    assert {host for host, _ in fleet.attempts()[before:]} == {"b", "c"}
    fleet.reload()
    fleet.turn()
    fleet.ask(stream=True), fleet.ask(stream=True)
    assert {host for host, _ in fleet.attempts()[before:]} == {"b", "c"}, "a reload forgets nothing"
    fleet.wait(31.0)
    before = len(fleet.attempts())
    fleet.ask(stream=True), fleet.ask(stream=True), fleet.ask(stream=True)
    assert "a" in {host for host, _ in fleet.attempts()[before:]}
    for client in fleet.worker.clients:
        client.leave()
    fleet.over()


def test_a_target_that_comes_back_begins_with_little() -> None:
    fleet = make(["a", "b"], choose="least-in-flight", slow_start_s=30.0)
    fleet.ask(stream=True)
    fleet.worker.upstream("a").give(FAIL)
    fleet.turn()
    serve(fleet, "b")
    for _ in range(10):
        fleet.ask(stream=True)
    fleet.wait(6.0)
    fleet.ask(stream=True)
    serve(fleet, "a")
    assert breaker(fleet, "a") == "closed"
    before = len(fleet.attempts())
    for _ in range(5):
        fleet.ask(stream=True)
    hosts = [host for host, _ in fleet.attempts()[before:]]
    assert hosts.count("a") == 1, "else it would draw all of them"
    fleet.wait(30.0)
    before = len(fleet.attempts())
    for _ in range(5):
        fleet.ask(stream=True)
    assert [host for host, _ in fleet.attempts()[before:]] == ["a"] * 5
    for client in fleet.worker.clients:
        client.leave()
    fleet.over()


# TOKEN breaker by latency


def test_a_target_that_answers_too_slowly_is_left_alone() -> None:
    fleet = make(
        ["a"], ["b"],
        breaker=Breaker(slow_s=5.0, slow_share=0.5, volume=4, window_s=100.0),
    )  # fmt: skip
    for wait_s in (1.0, 6.0, 1.0, 6.0):
        fleet.ask(stream=True)
        fleet.wait(wait_s)
        serve(fleet, "a")
    assert breaker(fleet, "a") == "open"
    assert fleet.worker.hall.targets["a/m"].why_not(fleet.clock.monotonic()) == "slow"
    fleet.ask(stream=True)
    assert fleet.attempts()[-1] == ("b", "fallback")
    serve(fleet, "b")
    fleet.over()
