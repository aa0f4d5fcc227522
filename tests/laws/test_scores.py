"""Requests by arm, as the ledger has them, and the scores that vendors post."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from towplane.api.experiments import PostedScore
from towplane.cli.experiments import compare_arms, post_score
from towplane.parts.errors import BadRequest, NotFound
from towplane.parts.ids import RequestIds
from towplane.parts.storage import Database
from towplane.routing.experiments.compare import ArmMetric, Comparison
from towplane.routing.experiments.pairs import Side, agree, compare_pairs
from towplane.routing.spec import RouteSpec, Score, Split, TargetSpec
from towplane.tenants.events import Opened, Settled
from towplane.tenants.ledger.fold import apply
from towplane.tenants.ledger.names import NamesBook
from towplane.tenants.ledger.requests import keep_score, requests_of, shadowed
from towplane.tenants.ledger.schema import open_schema

NOON = 1_795_000_000.0
ROUTES = {
    "chat": RouteSpec(
        targets=[
            TargetSpec(provider="p", model="old", arm="control"),
            TargetSpec(engine="small", arm="candidate"),
        ],
        split=Split(arms={"control": 1, "candidate": 1}, score=Score(most=5.0)),
    ),
    "plain": RouteSpec(targets=[TargetSpec(provider="p", model="old")]),
}
REQUEST = RequestIds(now=NOON).next()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(tmp_path / "ledger.sqlite")
    open_schema(found)
    yield found
    found.close()


def attempt(
    id: str, target: str, cause: Any = "first", outcome: Any = "ok", **ended: Any
) -> list[Opened | Settled]:
    fields: dict[str, Any] = {
        "usage": "measured", "input": 10, "cached_input": 0, "output": 5, "cost_nanousd": 7,
        "ttft_ms": 100.0, "duration_ms": 300.0, "final": True,
    }  # fmt: skip
    return [
        Opened(id, NOON, "acme", "k", "chat", target, "m", cause, 10, 5),
        Settled(id=id, at=NOON + 1, outcome=outcome, **(fields | ended)),
    ]


def fold(database: Database, *attempts: list[Opened | Settled]) -> None:
    with database.write() as connection:
        apply(connection, NamesBook(), "i", [event for one in attempts for event in one])


def test_a_request_is_the_sum_of_its_attempts_in_the_arm_of_the_first(database: Database) -> None:
    fold(
        database,
        attempt(f"{REQUEST}.1", "small/0", outcome="timeout", final=False, ttft_ms=None),
        attempt(f"{REQUEST}.2", "p/old", "retry", duration_ms=200.0),
        attempt(f"{REQUEST}m.1", "q/other", "mirror"),
    )
    with database.read() as connection:
        (row,) = requests_of(connection, "chat")
        ((client, original, shadow),) = shadowed(connection, "chat")
    assert (row.id, row.target, row.outcome, row.tenant) == (REQUEST, "small/0", "ok", "acme")
    assert (row.ttft_us, row.duration_us) == (100_000, 500_000)
    assert (row.input, row.output, row.cost_nanousd) == (20, 10, 14)
    assert (client, original.target, shadow.target) == (REQUEST, "small/0", "q/other")
    found = compare_arms(database, ROUTES, "chat", None)
    assert found.requests == {"control": 0, "candidate": 1}
    assert metric(found, "candidate", "errors").mean == 0.0


def test_what_is_unknown_in_one_attempt_is_unknown_in_the_sum(database: Database) -> None:
    nothing: dict[str, Any] = {
        "usage": "absent",
        "input": None,
        "cached_input": None,
        "output": None,
    }
    fold(
        database,
        attempt(f"{REQUEST}.1", "p/old", outcome="unavailable", final=False, ttft_ms=None,
                cost_nanousd=None, **nothing),
        attempt(f"{REQUEST}.2", "p/old", "retry"),
    )  # fmt: skip
    with database.read() as connection:
        (row,) = requests_of(connection, "chat")
    assert (row.input, row.cost_nanousd) == (None, None)


def test_a_hedge_takes_the_time_of_the_longer(database: Database) -> None:
    fold(
        database,
        attempt(f"{REQUEST}.1", "p/old", outcome="cancelled", final=False, duration_ms=900.0),
        attempt(f"{REQUEST}.2", "p/old", "hedge", duration_ms=400.0),
    )
    with database.read() as connection:
        (row,) = requests_of(connection, "chat")
    assert row.duration_us == 900_000


def test_the_last_score_holds_and_may_come_before_its_request(database: Database) -> None:
    for score in (1.0, 4.0):
        posted = PostedScore(request_id=REQUEST, score=score)
        assert post_score(database, ROUTES, "chat", posted, NOON).score == score
    fold(database, attempt(f"{REQUEST}.1", "p/old"))
    found = compare_arms(database, ROUTES, "chat", None)
    assert (metric(found, "control", "score").n, metric(found, "control", "score").mean) == (1, 4.0)


@pytest.mark.parametrize(
    ("model", "request_id", "score", "error"),
    [
        ("chat", REQUEST, 5.1, BadRequest),
        ("chat", REQUEST, float("nan"), BadRequest),
        ("chat", f"{REQUEST}.1", 1.0, BadRequest),
        ("chat", "'; DROP TABLE scores", 1.0, BadRequest),
        ("plain", REQUEST, 1.0, NotFound),
        ("chta", REQUEST, 1.0, NotFound),
    ],
)
def test_a_score_that_no_comparison_could_use_is_refused(
    database: Database, model: str, request_id: str, score: float, error: type[Exception]
) -> None:
    with pytest.raises(error):
        post_score(database, ROUTES, model, PostedScore(request_id=request_id, score=score), NOON)


def test_a_score_outside_the_ends_of_now_counts_for_nothing(database: Database) -> None:
    fold(database, attempt(f"{REQUEST}.1", "p/old"))
    with database.write() as connection:
        keep_score(connection, request=REQUEST, model="chat", score=77.0, at_us=1)
    assert metric(compare_arms(database, ROUTES, "chat", None), "control", "score").n == 0


@pytest.mark.parametrize(
    ("outcome", "failed"),
    [("ok", 0.0), ("timeout", 1.0), ("server_error", 1.0), ("cancelled", None), ("refused", None)],
)
def test_errors_are_those_that_are_not_the_clients(
    database: Database, outcome: str, failed: float | None
) -> None:
    fold(database, attempt(f"{REQUEST}.1", "p/old", outcome=outcome))
    found = metric(compare_arms(database, ROUTES, "chat", None), "control", "errors")
    assert found.mean == failed


def metric(found: Comparison, arm: str, name: str) -> ArmMetric:
    return next(one for one in found.arms[arm] if one.metric == name)


def test_pairs_are_compared_where_both_sides_are_known() -> None:
    pairs = [
        (Side(is_ok=True, total_us=1_000_000, output=10), Side(is_ok=True, total_us=3_000_000)),
        (Side(is_ok=True, total_us=2_000_000), Side(is_ok=True, total_us=4_000_000)),
        (Side(is_ok=True, total_us=9_000_000), Side(is_ok=False, total_us=1)),
    ]
    found = {one.metric: one for one in compare_pairs(pairs)}
    assert (found["total"].pairs, found["total"].difference) == (2, 2.0)
    assert found["output"].pairs == 0
    assert found["errors"].mirror == pytest.approx(1 / 3)


def test_agreement_is_of_what_was_kept() -> None:
    found = agree([
        ("stop", "a b", "stop", "a b"),
        ("stop", "a b", "length", "b c"),
        (None, None, "stop", "x"),
    ])  # fmt: skip
    assert (found.pairs, found.texts, found.same_finish, found.same_text) == (3, 2, 0.5, 0.5)
    assert found.overlap == pytest.approx((1 + 1 / 3) / 2)
