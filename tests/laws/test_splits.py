"""Requests divided among arms."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.document.load import parse_document
from towplane.document.problems import DocumentError
from towplane.routing.chooser import Chooser
from towplane.routing.demand import Demand
from towplane.routing.load import Load
from towplane.routing.roster import Roster, Seat
from towplane.routing.spec import Fallback, RouteSpec, Split, TargetSpec
from towplane.routing.splits import Division, SplitNarrowing, arms_by_target, hash_of
from towplane.testing.fleet import Fleet, route, target
from towplane.testing.wire import DONE, STREAM, chunk, delta, event

KEYS = [hash_of(f"key-{number}") for number in range(1000)]
ARMS = st.lists(st.integers(1, 100), min_size=2, max_size=4).map(
    lambda weights: {f"arm{number}": weight for number, weight in enumerate(weights)}
)


def divide(arms: dict[str, int], seed: str = "") -> list[str]:
    division = Division(Split(arms=arms, seed=seed))
    return [division.arm_of(key) for key in KEYS]


def test_every_arm_gets_its_share() -> None:
    got = Counter(divide({"control": 90, "candidate": 10}))
    assert abs(got["candidate"] / len(KEYS) - 0.1) < 0.04


@settings(max_examples=25)
@given(ARMS)
def test_the_order_of_the_arms_says_nothing(arms: dict[str, int]) -> None:
    assert divide(arms)[:500] == divide(dict(reversed(arms.items())))[:500]


@settings(max_examples=25)
@given(ARMS, st.integers(0, 3), st.integers(1, 100))
def test_only_the_moved_share_moves(arms: dict[str, int], which: int, weight: int) -> None:
    """When the weight of one arm changes, keys only come to it, or only leave it."""
    changed = f"arm{which % len(arms)}"
    before, after = divide(arms), divide(arms | {changed: weight})
    moved = [(was, now) for was, now in zip(before, after, strict=True) if was != now]
    grew = weight > arms[changed]
    assert all((now if grew else was) == changed for was, now in moved)


@settings(max_examples=25)
@given(ARMS, st.data())
def test_a_key_only_moves_to_an_arm_that_grew_more_than_its_own(
    arms: dict[str, int], data: st.DataObject
) -> None:
    new = {name: data.draw(st.integers(1, 100)) for name in arms}
    grew = {name: new[name] / arms[name] for name in arms}
    for was, now in zip(divide(arms), divide(new), strict=True):
        assert was == now or grew[now] >= grew[was]
    sums = sum(arms.values()), sum(new.values())
    least = sum(abs(arms[n] / sums[0] - new[n] / sums[1]) for n in arms) / 2
    moved = sum(was != now for was, now in zip(divide(arms), divide(new), strict=True))
    assert moved / len(KEYS) <= 2 * least / (1 + least) + 0.08  # of 1,000 draws


def test_another_seed_draws_anew() -> None:
    """Half of the candidate's keys of one experiment are no candidates of the next."""
    arms = {"control": 50, "candidate": 50}
    pairs = Counter(zip(divide(arms), divide(arms, "again"), strict=True))
    assert all(abs(count / len(KEYS) - 0.25) < 0.06 for count in pairs.values())
    assert len(pairs) == 4


def test_an_arm_of_no_weight_gets_nothing() -> None:
    assert set(divide({"control": 1, "candidate": 0})) == {"control"}


def roster(*arms: str, down: frozenset[int] = frozenset()) -> Roster:
    seats = [Seat(Load(f"t{number}"), 1, arm=arm) for number, arm in enumerate(arms)]
    return Roster(seats, lambda place, _now: place not in down)


def split_of(by: str) -> RouteSpec:
    split = Split(by=by, arms={"a": 1, "b": 1})  # type: ignore[arg-type]  # one of the names
    return RouteSpec(targets=[], split=split, choose="round-robin")


@given(st.sampled_from(["request", "tenant", "session"]), st.integers(1, 2**64 - 1), st.text())
def test_a_request_keeps_its_arm_over_its_attempts(by: str, number: int, tenant: str) -> None:
    spec = split_of(by)
    demand = Demand(tenant=tenant, session=number, draw=number)
    assert spec.split is not None
    arm = SplitNarrowing(spec.split).arm_of(demand)
    arms = ["a", "b", "a", "b", ""]
    chooser = Chooser(spec, [roster(*arms)])
    tried: list[str] = []
    for _ in range(3):
        pick = chooser.pick(demand, tried, 0.0)
        assert pick is not None
        assert arms[pick.place] in (arm, "")
        tried.append(f"t{pick.place}")


def test_an_arm_that_is_down_refuses_nobody() -> None:
    chooser = Chooser(split_of("request"), [roster("a", "b", down=frozenset({1}))])
    assert all(chooser.pick(Demand(draw=key), (), 0.0) for key in KEYS[:50])


def test_a_session_is_what_a_split_by_session_looks_at() -> None:
    spec = split_of("session")
    assert spec.split is not None
    narrowing = SplitNarrowing(spec.split)
    assert narrowing.wants == {"session", "draw"}
    assert len({narrowing.arm_of(Demand(session=7, draw=key)) for key in KEYS[:50]}) == 1
    assert len({narrowing.arm_of(Demand(session=0, draw=key)) for key in KEYS[:50]}) == 2


def test_a_target_says_which_arm_it_was_tried_for() -> None:
    spec = RouteSpec(
        targets=[TargetSpec(provider="p", arm="a"), TargetSpec(engine="e", arm="b")],
        fallback=["other", Fallback(provider="q", model="m", arm="a")],
    )
    assert arms_by_target("chat", spec) == {"p/chat": "a", "e": "b", "q/m": "a"}


def test_the_gateway_draws_by_the_request() -> None:
    """Of many requests both arms get some, and a retry stays in its arm."""
    info = route("m", ("one", "two", "three"))
    placed = tuple(
        type(place)(place.target, 1, "", arm)
        for place, arm in zip(info.groups[0], ("a", "a", "b"), strict=True)
    )
    spec = split_of("request")
    info = type(info)(model="m", groups=(placed,), spec=spec)
    fleet = Fleet(info, targets=[target("one"), target("two"), target("three")])
    for _ in range(40):
        client = fleet.worker.connect()
        client.ask(stream=True)
        fleet.turn()
        fleet.worker.upstream().give(
            STREAM + chunk(event(delta("x"))) + chunk(event(delta(finish="stop"))) + chunk(DONE)
            + b"0\r\n\r\n"
        )  # fmt: skip
        fleet.turn()
    asked = Counter(up.host for up in fleet.worker.upstreams for _ in up.requests)
    assert asked["three"] > 5
    assert asked["one"] + asked["two"] > 5
    fleet.close()


@pytest.mark.parametrize("seed", ["", "one", "two", "three"])
def test_the_gateway_knows_whose_request_it_is(seed: str) -> None:
    """All requests of a tenant go where the split by tenant says."""
    split = Split(by="tenant", arms={"a": 1, "b": 1}, seed=seed)
    info = route("m", ("one", "two"))
    placed = tuple(
        type(place)(place.target, 1, "", arm)
        for place, arm in zip(info.groups[0], ("a", "b"), strict=True)
    )
    spec = RouteSpec(targets=[], split=split, choose="round-robin")
    fleet = Fleet(type(info)(model="m", groups=(placed,), spec=spec),
                  targets=[target("one"), target("two")])  # fmt: skip
    for _ in range(4):
        fleet.worker.connect().ask()
        fleet.turn()
    asked = {up.host for up in fleet.worker.upstreams if up.requests}
    arm = SplitNarrowing(split).arm_of(Demand(tenant="acme"))
    assert asked == {{"a": "one", "b": "two"}[arm]}
    fleet.close()


# The document

DOCUMENT = """\
plane: acme
providers:
  p: {kind: openai-compatible, endpoint: "http://h/v1"}
routing:
  chat:
    targets: [{provider: p, model: x, arm: a}, {provider: p, model: z, arm: b}]
    split: {arms: {a: 9, b: 1}}
    mirror: {to: other}
  other: {targets: [{provider: p, model: w}]}
"""


@pytest.mark.parametrize(
    ("old", "new", "want"),
    [
        ("a: 9, b: 1}", "a: 9, c: 1}", "no such arm; expected one of a, c; found b"),
        ("a: 9, b: 1}", "a: 9, b: 1, c: 1}", "no target of the route belongs to this arm"),
        ("b: 1}}", "b: 1}, control: d}", "no such arm; expected one of a, b; found d"),
        ("a: 9, b: 1}", "a: 0, b: 0}", "no arm weighs anything"),
        ("b: 1}}", "b: 1}, score: {least: 3, most: 2}}", "the lowest score is not below"),
        ("b: 1}}", "b: 1}, alpha: 70%}", "expected between 0% and 50%"),
        ("    split: {arms: {a: 9, b: 1}}\n", "", "the route has no `split`"),
        ("to: other", "to: chat", "clients' requests go to p/"),
        ("to: other", "to: {provider: p, model: x}", "clients' requests go to p/x too"),
        ("to: other", "to: otter", "no such route; found otter; did you mean other?"),
        ("to: other", "to: {provider: q, model: x}", "no such provider"),
    ],
)
def test_a_document_that_contradicts_itself(old: str, new: str, want: str) -> None:
    parse_document(DOCUMENT.encode())
    assert old in DOCUMENT
    with pytest.raises(DocumentError) as caught:
        parse_document(DOCUMENT.replace(old, new, 1).encode())
    assert any(want in str(problem) for problem in caught.value.problems)
