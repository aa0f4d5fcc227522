"""Arms compared at any time: error rates under peeking, power, coverage, order."""

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.routing.experiments.compare import Answered, Tally, tally
from towplane.routing.experiments.differences import difference_of
from towplane.routing.experiments.sequences import (
    Bounded,
    Evidence,
    Interval,
    Means,
    Rates,
    Sums,
    means_of,
    rho_squared,
)
from towplane.routing.spec import Score, Split

ALPHA = 0.1
RHO2 = rho_squared(ALPHA, 400)
COUNTS = st.lists(st.integers(0, 10**6), min_size=2, max_size=30)


def summed(values: list[int]) -> Sums:
    sums = Sums()
    for value in values:
        sums.add(value)
    return sums


# One sequence


def rates(draws: random.Random) -> Callable[[], Evidence]:
    seen = [0, 0]

    def step() -> Evidence:
        seen[0] += draws.random() < 0.1
        seen[1] += 1
        return Rates(*seen)

    return step


def bounded(draws: random.Random) -> Callable[[], Evidence]:
    values = Bounded(0.0, 2.0, ALPHA)

    def step() -> Evidence:
        values.add(2.0 * draws.betavariate(2, 6))
        return values

    return step


def means(draws: random.Random) -> Callable[[], Evidence]:
    sums = Sums()

    def step() -> Evidence:
        sums.add(int(draws.expovariate(1e-3)))
        return means_of(sums, RHO2)

    return step


TRUTHS = [(rates, 0.1, 1), (bounded, 0.5, 1), (means, 1000.0, 50)]


@pytest.mark.parametrize(("make", "truth", "begin"), TRUTHS, ids=["rates", "bounded", "means"])
def test_a_sequence_holds_the_truth_at_all_times_at_once(
    make: Callable[[random.Random], Callable[[], Evidence]], truth: float, begin: int
) -> None:
    """Looked at after every step; the third kind from where its limit theorem begins to speak."""
    runs = 60
    missed = 0
    for seed in range(runs):
        step = make(random.Random(seed))
        for number in range(1, 400):
            evidence = step()
            if (number >= begin and number % 3 == 0
                    and not evidence.interval(ALPHA).holds(truth)):  # fmt: skip
                missed += 1
                break
    assert missed <= runs * ALPHA + 3 * math.sqrt(runs * ALPHA * (1 - ALPHA))


@pytest.mark.parametrize(("make", "truth", "begin"), TRUTHS, ids=["rates", "bounded", "means"])
def test_a_sequence_closes_in_on_the_truth(
    make: Callable[[random.Random], Callable[[], Evidence]], truth: float, begin: int
) -> None:
    step = make(random.Random(3))
    widths = []
    for number in range(1, 6401):
        evidence = step()
        if number in (100, 1600, 6400):
            interval = evidence.interval(ALPHA)
            widths.append(interval.high - interval.low)
    assert widths[2] < widths[1] < widths[0]
    assert widths[2] < truth * 0.6
    assert begin


def test_an_interval_of_the_binomial_kind_is_where_its_mixture_says() -> None:
    """Ten of a hundred at 5 %: where the mixture is twenty times as likely."""
    evidence = Rates(10, 100)
    interval = evidence.interval(0.05)

    def ratio(p: float) -> float:
        mixed = math.lgamma(10.5) + math.lgamma(90.5) - math.lgamma(101) - math.log(math.pi)
        return math.exp(mixed - 10 * math.log(p) - 90 * math.log(1 - p))

    assert ratio(interval.low) == pytest.approx(20, rel=1e-6)
    assert ratio(interval.high) == pytest.approx(20, rel=1e-6)


def test_nothing_seen_is_nothing_known() -> None:
    assert Rates(0, 0).interval(ALPHA) == Interval(0.0, 1.0)
    assert Bounded(1.0, 3.0, ALPHA).interval(ALPHA) == Interval(1.0, 3.0)
    assert means_of(Sums(), RHO2).interval(ALPHA) == Interval(-math.inf, math.inf)


@given(COUNTS, st.randoms(use_true_random=False))
def test_sums_do_not_depend_on_the_order(values: list[int], shuffle: random.Random) -> None:
    """Nor on where they were cut: exactly."""
    mixed = list(values)
    shuffle.shuffle(mixed)
    cut = shuffle.randrange(len(mixed))
    merged = summed(mixed[:cut])
    merged.merge(summed(mixed[cut:]))
    assert means_of(merged, RHO2) == means_of(summed(values), RHO2)


@given(COUNTS)
def test_clusters_of_one_are_no_clusters(values: list[int]) -> None:
    alone = means_of(summed(values), RHO2)
    clustered = means_of(summed(values), RHO2, [summed([value]) for value in values])
    assert clustered.n == alone.n
    assert clustered.variance == pytest.approx(alone.variance)


def test_values_that_come_in_clusters_say_less() -> None:
    draws = random.Random(1)
    clusters = [[draws.randrange(1000)] * 20 for _ in range(50)]
    flat = summed([value for cluster in clusters for value in cluster])
    clustered = means_of(flat, RHO2, map(summed, clusters))
    assert clustered.variance > 10 * means_of(flat, RHO2).variance


# Two arms


EVIDENCE = st.one_of(
    st.tuples(st.integers(0, 500), st.integers(0, 500)).map(lambda v: Rates(v[0], sum(v) or 1)),
    COUNTS.map(lambda values: means_of(summed(values), RHO2)),
)


@given(EVIDENCE, EVIDENCE, st.floats(0.001, 0.5))
def test_the_p_value_and_the_interval_say_the_same(
    one: Evidence, other: Evidence, alpha: float
) -> None:
    if isinstance(one, Means) != isinstance(other, Means):
        return
    found = difference_of(one, other, alpha)
    if abs(found.p - alpha) > 1e-6:
        assert found.is_sure == (found.p < alpha)
    back = difference_of(other, one, alpha)
    assert back.p == pytest.approx(found.p, abs=1e-6)
    assert back.interval.low == pytest.approx(-found.interval.high)


def answers(seed: int, *, lift: float = 0.0, share: float = 0.3) -> list[Answered]:
    """Two arms of 600 requests; the candidate's values are higher by a share of `lift`."""
    draws = random.Random(seed)
    found = []
    for _ in range(600):
        is_new = draws.random() < share
        up = 1.0 + lift * is_new
        found.append(
            Answered(
                arm="new" if is_new else "old",
                tenant=f"t{draws.randrange(40)}",
                is_failed=draws.random() < min(1.0, 0.05 * (1 + 8 * lift * is_new)),
                total_us=int(draws.gammavariate(2.0, 1e5) * up),
                cost_nanousd=int(draws.gammavariate(4.0, 1e5) * up),
                score=min(1.0, draws.betavariate(4, 6) * up),
            )
        )
    return found


SPLIT = Split(arms={"old": 70, "new": 30}, alpha=ALPHA, samples=20)


@pytest.mark.parametrize("metric", ["errors", "total", "score"])
def test_who_looks_at_every_step_is_misled_no_more_often_than_alpha(metric: str) -> None:
    runs, wrong = 30, 0
    for seed in range(runs):
        tally = Tally(SPLIT)
        for number, answered in enumerate(answers(seed)):
            tally.add(answered)
            if number % 10 == 0 and verdict(tally, metric) in ("better", "worse"):
                wrong += 1
                break
    assert wrong <= runs * ALPHA + 3 * math.sqrt(runs * ALPHA * (1 - ALPHA))


@pytest.mark.parametrize(
    ("metric", "want"), [("total", "worse"), ("errors", "worse"), ("score", "better")]
)
def test_a_real_difference_is_found(metric: str, want: str) -> None:
    found = [verdict(filled(answers(seed, lift=0.8)), metric) for seed in range(10)]
    assert found.count(want) >= 8
    assert set(found) <= {want, "no difference"}


def filled(rows: list[Answered], split: Split = SPLIT) -> Tally:
    tally = Tally(split)
    for row in rows:
        tally.add(row)
    return tally


def verdict(tally: Tally, metric: str) -> str | None:
    (found,) = [one for one in tally.compare().arms["new"] if one.metric == metric]
    return found.verdict


# What is said


def test_the_words_of_a_verdict() -> None:
    found = tally(SPLIT, answers(1, lift=0.8))
    said = {one.metric: one.say for one in found.arms["new"]}
    assert said["score"].startswith("new, score: new is better, ")
    assert said["total"].startswith("new, total: new is worse, ")
    assert said["total"].endswith(" s higher than old")
    assert said["ttft"] == "new: nothing is known of ttft"
    assert found.say == [said["score"]]
    alike = {one.metric: one.say for one in tally(SPLIT, answers(2)).arms["new"]}
    assert alike["score"].startswith("new, score: no difference larger than ")
    few = tally(SPLIT, answers(1, lift=5.0)[:30])
    assert "not enough yet" in few.say[0]


def test_a_score_may_be_better_when_it_is_lower() -> None:
    split = Split(arms=SPLIT.arms, alpha=ALPHA, samples=20, score=Score(better="lower"))
    assert verdict(filled(answers(1, lift=0.8), split), "score") == "worse"


def test_by_tenant_tenants_are_what_is_counted() -> None:
    split = Split(arms=SPLIT.arms, alpha=ALPHA, samples=20, by="tenant")
    found = tally(split, answers(1, lift=0.8))
    assert {one.n for one in found.arms["new"] if one.mean is not None} == {
        39
    }  # of 40, one drew none
    (score,) = [one for one in found.arms["new"] if one.metric == "score"]
    assert score.mean is not None
    assert 0 <= score.mean <= 1


def test_one_of_no_arm_counts_for_nothing() -> None:
    assert tally(SPLIT, [Answered("gone", "t", total_us=1)]).requests == {"old": 0, "new": 0}


@given(st.permutations(answers(5)[:40]))
def test_the_order_of_requests_matters_to_scores_alone(rows: list[Answered]) -> None:
    def seen(rows: list[Answered]) -> list[object]:
        arms = tally(SPLIT, rows).arms
        return [one for found in arms.values() for one in found if one.metric != "score"]

    assert seen(rows) == seen(answers(5)[:40])
