"""Faults of engines, fleets, vendors and clients, as an operator meets them, in virtual time.

The rows are those of tests/faults.md; what is played goes through the real gateway.
"""

import json
from collections import Counter, deque
from typing import Any

import msgspec
import pytest

from towplane.gateway.messages import Observed, Placed, ProviderInfo, RouteInfo
from towplane.monitoring.catalogue import CATALOGUE
from towplane.routing.signals import Signals
from towplane.routing.spec import Breaker, Outliers, Prefix, Queue, Retries, Timeouts
from towplane.tenants.events import Opened, Settled
from towplane.tenants.keys import KeyRecord, digest_of, mint
from towplane.tenants.spec import Limits
from towplane.testing.fleet import Fleet, route, target
from towplane.testing.played import Client, Upstream
from towplane.testing.wire import (
    ANSWER,
    DONE,
    END,
    LAST,
    STREAM,
    TOKEN,
    chunk,
    event,
    post,
    whole,
)

CUDA = whole({"error": {"message": "CUDA error: an illegal memory access was encountered"}}, 500)


def make(*groups: list[str], **spec: Any) -> Fleet:
    return Fleet.of(route("m", *(groups or (["a", "b"],)), **spec))


def give(fleet: Fleet, host: str, *pieces: bytes) -> None:
    fleet.worker.upstream(host).give(*pieces)
    fleet.turn()


def serve(fleet: Fleet, client: Client, what: bytes = ANSWER) -> str:
    """Answer the newest attempt; who made it."""
    host = fleet.asked()[-1]
    give(fleet, host, what)
    assert client.answer().complete
    return host


def counted(fleet: Fleet, family: str) -> Counter[str]:
    """The series of a family by target, as the worker reports them."""
    place = CATALOGUE[family].labels.index("target")
    found: Counter[str] = Counter()
    for sample in fleet.worker.hall.report(1).samples:
        if sample.family == family:
            found[sample.labels[place]] += int(sample.value or 0)
    return found


def leave(fleet: Fleet) -> None:
    for client in fleet.worker.clients:
        client.leave()
    fleet.turn()
    fleet.close()
    assert fleet.errors == []
    assert set(fleet.worker.journal.opened) == set(fleet.worker.journal.settled)


# F4: KV exhaustion


def say(fleet: Fleet, **kv: float) -> None:
    """Each engine tells how full its KV cache is; one that is full lets requests wait."""
    news = [
        (f"{host}/m", Signals(running=4, waiting=9 if used > 0.9 else 0, kv_used=used), 0.0)
        for host, used in kv.items()
    ]
    fleet.worker.hall.observed(Observed(news))


def test_f4_an_engine_whose_kv_cache_is_full_is_routed_around_until_it_has_room() -> None:
    fleet = make(choose="scored")
    say(fleet, a=0.30, b=0.40)
    assert {serve(fleet, fleet.ask(user=str(n))) for n in range(8)} == {"a"}
    say(fleet, a=0.97, b=0.40)
    assert {serve(fleet, fleet.ask(user=str(n))) for n in range(8)} == {"b"}
    say(fleet, a=0.20, b=0.97)
    assert {serve(fleet, fleet.ask(user=str(n))) for n in range(8)} == {"a"}
    leave(fleet)


def test_f4_old_news_of_a_full_cache_is_not_believed_for_ever() -> None:
    fleet = make(choose="scored")
    say(fleet, a=0.97, b=0.10)
    fleet.wait(10.0)
    clients = [fleet.ask() for _ in range(4)]
    assert len(clients) == 4
    assert Counter(fleet.asked()) == {"a": 2, "b": 2}
    leave(fleet)


# F5: admission


@pytest.mark.parametrize("status", [429, 503])
def test_f5_a_target_that_wants_to_be_left_alone_is_not_asked_before(status: int) -> None:
    fleet = make()
    client = fleet.ask()
    give(fleet, "a", whole({}, status, "retry-after: 7\r\n"))
    assert serve(fleet, client) == "b"
    assert {serve(fleet, fleet.ask()) for _ in range(6)} == {"b"}
    fleet.wait(6.5)
    assert {serve(fleet, fleet.ask()) for _ in range(6)} == {"b"}
    fleet.wait(1.0)
    assert {serve(fleet, fleet.ask()) for _ in range(6)} == {"a", "b"}
    leave(fleet)


@pytest.mark.parametrize("status", [429, 503])
def test_f5_without_another_target_the_client_is_told_when_to_come_back(status: int) -> None:
    fleet = make(["a"], retries=Retries(most=1))
    first = fleet.ask()
    give(fleet, "a", whole({}, status, "retry-after: 30\r\n"))
    assert first.answer().status == status
    second = fleet.ask().answer()
    assert second.status in (429, 503)
    assert 29 <= int(second.get(b"retry-after")) <= 30
    assert fleet.asked() == ["a"], "nothing is sent to who asked to be left alone"
    leave(fleet)


def test_f5_what_cannot_wait_is_shed_by_class() -> None:
    engine = msgspec.structs.replace(target("a"), kind="engine")
    takes = ProviderInfo("a/m", Limits(concurrency=1), is_engine=True)
    info = route("m", ["a"], queue=Queue(longest_s=60.0, most=2, shed="never"))
    fleet = Fleet(info, targets=[engine], providers=[takes])
    keys = {}
    for priority in ("high", "standard", "low"):
        minted = keys[priority] = mint()
        digest = digest_of(minted.token.encode(), fleet.snapshot.pepper)
        record = KeyRecord(id=minted.id, tenant="acme", digest=digest, priority=priority)
        fleet.reload(keys=(*fleet.snapshot.keys, record))
    fleet.turn()

    def come(priority: str) -> Client:
        client = fleet.worker.connect()
        client.send(post(keys[priority].token, {"model": "m"}))
        fleet.turn()
        return client

    runs = come("standard")
    low, standard = come("low"), come("standard")
    high = come("high")
    told = low.answer()
    assert (told.status, told.get(b"x-towplane-reason")) == (503, b"queue-full")
    assert int(told.get(b"retry-after")) >= 1
    assert come("low").answer().status == 503, "the lowest class makes room, newest first"
    for client in (runs, high, standard):
        give(fleet, "a", ANSWER)
        assert client.answer().status == 200
    shed = {
        sample.labels: sample.value
        for sample in fleet.worker.hall.report(1).samples
        if sample.family == "towplane_shed_total"
    }
    assert shed == {("m", "low", "queue-full"): 2}
    leave(fleet)


# F6: the spiral


class Storm:
    """Two engines that answer two requests a second each, one after the other, and do not notice
    that nobody waits any more; clients half of whom ask a second time when they get an error."""

    STEP_S = 0.25
    ENGINE_RATE = 2.0
    USUAL_RATE = 1.6
    """40 % of what the engines can; three times as much is 120 %."""

    def __init__(self, retries: Retries, breaker: Breaker | None = None) -> None:
        """Without a breaker, nothing but the budget stands against the storm."""
        timeouts = Timeouts(first_token_s=4.0, total_s=60.0)
        self.fleet = make(choose="round-robin", retries=retries, timeouts=timeouts, breaker=breaker)
        self.waiting: dict[str, deque[Upstream]] = {"a": deque(), "b": deque()}
        self.seen: Counter[Upstream] = Counter()
        self.clients: list[tuple[Client, bool]] = []
        self.good = self.asks = self.requests = 0
        self._due = self._done = 0.0

    def blow(self, seconds: float, times: float = 1.0) -> float:
        """The share of those who came and were answered, over some seconds."""
        good, asks = self.good, self.asks
        for _ in range(int(seconds / self.STEP_S)):
            self._due += self.USUAL_RATE * times * self.STEP_S
            while self._due >= 1.0:
                self._due -= 1.0
                self.asks += 1
                self._come(is_patient=bool(self.asks % 2))
            self._serve()
            self.fleet.wait(self.STEP_S, step_s=self.STEP_S)
            self._settle()
        return (self.good - good) / (self.asks - asks)

    def amplification(self) -> float:
        return len(self.fleet.worker.events(Opened)) / self.requests

    def _come(self, *, is_patient: bool) -> None:
        self.requests += 1
        self.clients.append((self.fleet.ask(stream=True), is_patient))

    def _serve(self) -> None:
        for up in self.fleet.worker.upstreams:
            while self.seen[up] < len(up.requests):
                self.seen[up] += 1
                self.waiting[up.host].append(up)
        self._done += self.ENGINE_RATE * self.STEP_S
        while self._done >= 1.0:
            self._done -= 1.0
            for queue in self.waiting.values():
                if queue:
                    queue.popleft().give(STREAM, TOKEN, END)  # to nobody, if it was given up

    def _settle(self) -> None:
        left = []
        for client, is_patient in self.clients:
            if not client.received:
                left.append((client, is_patient))
                continue
            if client.answer().status == 200:
                self.good += 1
            elif is_patient:
                left.append((self.fleet.ask(stream=True), False))
                self.requests += 1
            client.leave()
        self.clients = left


BUDGET = Retries(share=0.2, floor=0.0)


def test_f6_with_a_retry_budget_a_burst_is_survived() -> None:
    storm = Storm(BUDGET)
    assert storm.blow(20.0) > 0.95
    storm.blow(30.0, times=3.0)
    storm.blow(30.0)
    assert storm.amplification() <= 1.2
    assert storm.blow(30.0) > 0.95, "goodput is what it was"
    leave(storm.fleet)


def test_f6_with_the_breaker_as_well_it_is_over_at_once() -> None:
    storm = Storm(Retries(), Breaker())
    storm.blow(20.0)
    storm.blow(30.0, times=3.0)
    assert storm.blow(30.0) > 0.95
    assert storm.amplification() <= 1.2
    leave(storm.fleet)


def test_f6_without_one_the_same_burst_ends_in_a_spiral() -> None:
    """Else the story above would show nothing."""
    storm = Storm(Retries(share=1.0, floor=1000.0))
    assert storm.blow(20.0) > 0.95
    storm.blow(30.0, times=3.0)
    storm.blow(30.0)
    assert storm.amplification() > 1.2
    assert storm.blow(30.0) < 0.5, "long after the burst nothing is well"
    leave(storm.fleet)


# F9: a GPU fails


def test_f9_an_engine_whose_gpu_failed_is_ejected_by_its_breaker_and_no_client_notices() -> None:
    fleet = make(breaker=Breaker(failures=5, open_s=30.0))
    for _ in range(30):
        client = fleet.ask()
        while not client.received:
            host = fleet.asked()[-1]
            give(fleet, host, CUDA if host == "a" else ANSWER)
        assert client.answer().status == 200
    assert Counter(fleet.asked()) == {"a": 5, "b": 30}
    assert fleet.worker.hall.targets["a/m"].breaker.state == "open"
    leave(fleet)


def test_f9_one_that_fails_half_of_its_requests_is_left_out_as_an_outlier() -> None:
    fleet = make(["a", "b", "c"], outliers=Outliers(every_s=10.0, volume=5), choose="round-robin")
    fleet.wait(11.0)
    fails = 0
    for _ in range(60):
        client = fleet.ask()
        while not client.received:
            host = fleet.asked()[-1]
            fails += host == "a"
            give(fleet, host, CUDA if host == "a" and fails % 2 else ANSWER)
        assert client.answer().status == 200
    fleet.wait(11.0)
    before = len(fleet.asked())
    for _ in range(9):
        serve(fleet, fleet.ask())
    assert set(fleet.asked()[before:]) == {"b", "c"}
    leave(fleet)


def test_f9_a_replica_that_drains_ends_what_it_has_and_gets_nothing_new() -> None:
    fleet = make(choose="round-robin")
    streams = [fleet.ask(stream=True) for _ in range(4)]
    running = [up for up in fleet.worker.upstreams if up.requests]
    for up in running:
        up.give(STREAM, TOKEN)
    drains = msgspec.structs.replace(target("a"), state="draining", reason="its GPU failed")
    fleet.reload(targets=(drains, target("b")))
    fleet.turn()
    before = len(fleet.asked())
    assert {serve(fleet, fleet.ask()) for _ in range(6)} == {"b"}
    for up in running:
        up.give(TOKEN, END)
    fleet.turn()
    assert [client.answer().complete for client in streams] == [True] * 4
    assert not any(b'"error"' in client.received for client in streams)
    assert fleet.asked()[:before] == ["a", "b", "a", "b"]
    assert {end.outcome for end in fleet.worker.events(Settled)} == {"ok"}
    leave(fleet)


# F10: a node is gone


def test_f10_when_the_nodes_of_a_route_are_gone_the_next_tier_answers_and_they_come_back() -> None:
    fleet = make(["a", "b"], ["managed"])
    stream = fleet.ask(stream=True)
    up = fleet.worker.upstreams[0]
    up.give(STREAM, TOKEN)
    everybody, info = fleet.snapshot.targets, fleet.snapshot.routes

    def remain(*hosts: str) -> None:
        own = tuple(Placed(f"{host}/m") for host in hosts)
        now: RouteInfo = msgspec.structs.replace(info[0], groups=(own, info[0].groups[1]))
        known = {f"{host}/m" for host in (*hosts, "managed")}
        fleet.reload(targets=tuple(t for t in everybody if t.name in known), routes=(now,))
        fleet.turn()

    remain("b")
    assert {serve(fleet, fleet.ask()) for _ in range(3)} == {"b"}
    remain()
    assert {serve(fleet, fleet.ask()) for _ in range(3)} == {"managed"}
    assert {one.cause for one in fleet.worker.events(Opened)[-3:]} == {"fallback"}
    up.give(TOKEN, END)
    assert stream.answer().complete, "what runs there goes on"
    remain("a", "b")
    assert {serve(fleet, fleet.ask()) for _ in range(4)} == {"a", "b"}
    leave(fleet)


# F11: a wrong header


@pytest.mark.parametrize(
    ("status", "words"),
    [(400, "anthropic-version: header is required"), (404, "api-version is not supported")],
)
def test_f11_a_wrong_version_is_told_in_the_vendors_words_and_not_tried_again(
    status: int, words: str
) -> None:
    fleet = make()
    client = fleet.ask()
    give(fleet, "a", whole({"error": {"message": words}}, status))
    told = client.answer()
    assert (told.status, json.loads(told.body)["error"]["message"]) == (status, words)
    assert fleet.asked() == ["a"]
    assert fleet.worker.hall.targets["a/m"].breaker.state == "closed"
    leave(fleet)


@pytest.mark.parametrize("status", [401, 403])
def test_f11_a_refused_credential_fails_fast_and_is_named_without_its_secret(status: int) -> None:
    secret = "sk-SECRET-0001"
    fleet = Fleet(route("m", ["a"]), targets=[target("a", keys=[secret])])
    client = fleet.ask()
    said = {"error": {"message": f"Incorrect API key provided: {secret}, größer"}}
    give(fleet, "a", whole(json.dumps(said, ensure_ascii=False).encode(), status))
    told = client.answer()
    assert (told.status, told.get(b"x-towplane-reason")) == (502, b"upstream-denied")
    assert b"credential a#1" in told.body
    second = fleet.ask().answer()
    assert (second.status, second.get(b"x-towplane-reason")) == (502, b"no-credential")
    assert fleet.asked() == ["a"], "neither is tried again, nor is the vendor asked once more"
    (standing,) = fleet.worker.hall.report(1).credentials
    assert (standing.name, standing.state) == ("a#1", "parked")
    shown = f"{told.body!r} {second.body!r} {standing!r} {fleet.worker.events(Settled)!r}"
    assert "SECRET" not in shown
    leave(fleet)


# F13: encoding and decoding

ODD = [
    {"role": "assistant", "content": ""},
    {"content": None},
    {"content": "Grüße, 世界 🛫"},
    {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a":"é"}'}}]},
    {"tool_calls": [{"index": 0, "id": "d", "function": {"name": "g", "arguments": ""}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": '{"b":2}'}}]},
]
"""Null and empty text, words of several bytes, two calls that share an index."""


def odd_stream() -> bytes:
    pieces = [{"choices": [{"index": 0, "delta": one, "finish_reason": None}]} for one in ODD]
    ends = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    said = [json.dumps(one, ensure_ascii=False).encode() for one in (*pieces, ends)]
    return b"".join(map(event, said)) + DONE


def sent_in(fleet: Fleet, client: Client, size: int) -> bytes:
    """What the client gets of it, when each read has so many bytes and words are cut anywhere."""
    body = odd_stream()
    fleet.turn()
    up = fleet.worker.upstream("a")
    up.give(STREAM, *[chunk(body[at : at + size]) for at in range(0, len(body), size)], LAST)
    fleet.turn()
    return bytes(client.answer().body)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
def test_f13_a_stream_passes_through_as_it_is_however_it_is_cut(size: int) -> None:
    fleet = make(["a"])
    client = fleet.ask(stream=True)
    assert sent_in(fleet, client, size) == odd_stream()
    leave(fleet)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
def test_f13_a_translated_stream_keeps_words_and_tells_calls_apart(size: int) -> None:
    fleet = make(["a"])
    client = fleet.worker.connect()
    hello = [{"role": "user", "content": "hello"}]
    fields = {"model": "m", "max_tokens": 9, "stream": True, "messages": hello}
    client.send(post(fleet.key, fields, path="/v1/messages"))
    body = sent_in(fleet, client, size).decode()
    events = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: ")]
    begun = [one["content_block"] for one in events if one["type"] == "content_block_start"]
    assert [(one["type"], one.get("name")) for one in begun] == [
        ("text", None), ("tool_use", "f"), ("tool_use", "g"),
    ]  # fmt: skip
    said = [""] * len(begun)
    for one in events:
        if one["type"] == "content_block_delta":
            grows = one["delta"]
            said[one["index"]] += grows.get("text", "") + grows.get("partial_json", "")
    assert said == ["Grüße, 世界 🛫", '{"a":"é"}', '{"b":2}']
    leave(fleet)


@pytest.mark.parametrize("content", [None, "", "é世🛫"])
def test_f13_what_the_client_wrote_goes_up_as_it_was_written(content: str | None) -> None:
    fleet = make(["a"])
    messages: list[Any] = [{"role": "assistant", "content": content, "tool_calls": []}]
    fleet.ask(messages=messages)
    (request,) = fleet.worker.upstream("a").requests
    assert json.loads(bytes(request.body))["messages"] == messages
    leave(fleet)


# F15: imbalance


def test_f15_skewed_weights_are_seen_in_the_share_of_each_target_and_leave_with_the_weights() -> (
    None
):
    fleet = make(choose="weighted")

    def weigh(a: int, b: int) -> None:
        info = fleet.snapshot.routes[0]
        group = (Placed("a/m", a), Placed("b/m", b))
        fleet.reload(routes=(msgspec.structs.replace(info, groups=(group,)),))
        fleet.turn()

    weigh(200, 1)
    for _ in range(100):
        serve(fleet, fleet.ask())
    shares = counted(fleet, "towplane_attempts_total")
    assert shares["a/m"] >= 99 * shares["b/m"]
    weigh(1, 1)
    before = len(fleet.asked())
    for _ in range(100):
        serve(fleet, fleet.ask())
    now = Counter(fleet.asked()[before:])
    assert abs(now["a"] - now["b"]) <= 4
    leave(fleet)


HOT = [{"role": "user", "content": "one prompt that everybody sends " * 9}]


@pytest.mark.parametrize(
    ("choose", "most", "spec"),
    [
        ("chwbl", 13, {}),  # 1.25 × the share of 41, rounded up
        ("affinity", 21, {}),  # twice the share, and who comes
        ("least-work", 13, {}),  # the others compute the prompt once, too
        ("prefix", 20, {"prefix": Prefix(imbalance=8)}),  # 9 more than the shortest, and 1.5 times
    ],
)
def test_f15_a_hot_key_spills_over_to_the_others(
    choose: str, most: int, spec: dict[str, Any]
) -> None:
    """Forty at once under one key: nobody has more than the bound of its policy."""
    fleet = make(["a", "b", "c", "d"], choose=choose, **spec)
    for _ in range(40):
        fleet.ask(messages=HOT, user="one")
    shares = counted(fleet, "towplane_target_inflight")
    assert sum(shares.values()) == 40
    assert max(shares.values()) <= most, shares
    leave(fleet)


def test_f15_without_a_bound_a_hot_key_sticks_and_is_seen() -> None:
    """`prefix` as it is by default looks away from queues until they differ by 64."""
    fleet = make(["a", "b", "c", "d"], choose="prefix")
    for _ in range(40):
        fleet.ask(messages=HOT)
    assert sorted(counted(fleet, "towplane_target_inflight").values()) == [0, 0, 0, 40]
    leave(fleet)
