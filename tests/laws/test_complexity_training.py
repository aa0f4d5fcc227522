"""What can be learned from labelled prompts, and that nothing else is said to be."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.cli.main import run
from towplane.parts.errors import (
    EXIT_DONE,
    EXIT_NO,
    EXIT_USAGE,
    BadRequest,
    OverBudget,
    Unsupported,
)
from towplane.routing.complexity.collect import Answered, Purse, collect, grader_of
from towplane.routing.complexity.labels import Label, Prompt, parse_labels
from towplane.routing.complexity.model import Row, Trained, read_model
from towplane.routing.complexity.scorer import make_scorer, score_length
from towplane.routing.complexity.share import find_threshold, share_above
from towplane.routing.complexity.training.compare import Outcome, train
from towplane.routing.complexity.training.curve import draw_weights, interval, measure
from towplane.routing.complexity.training.quality import calibrate_quality
from towplane.testing.labelled import GAP, make_labels

GAINS = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=2, max_size=30)


def measured(scores: Sequence[float], gains: Sequence[float]) -> tuple[float, float, float]:
    """APGR, CPT(50), CPT(80)."""
    found = measure(np.array(scores, float), np.array(gains, float), np.ones((1, len(gains))))
    return float(found.apgr[0]), float(found.cpt50[0]), float(found.cpt80[0])


# ---- The measures


def test_an_order_that_knows_nothing_is_on_the_diagonal() -> None:
    """A random router has APGR 0.5, CPT(50) 50 %, CPT(80) 80 % (RouteLLM, table 1)."""
    assert measured([1, 1, 1, 1], [0.4, -0.1, 0.0, 0.3]) == pytest.approx((0.5, 0.5, 0.8))


def test_an_oracle_worked_out_by_hand() -> None:
    """Gains .6, .3, .1, 0 of four prompts: PGR is .6, .9, 1, 1 at a quarter, a half, ...

    APGR = ¼ · (0/2 + .6 + .9 + 1 + 1/2) = .75. CPT(50) lies at 5/6 of the first quarter, CPT(80) at
    2/3 of the second.
    """
    assert measured([0.6, 0.3, 0.1, 0.0], [0.6, 0.3, 0.1, 0.0]) == pytest.approx(
        (0.75, 0.25 * 5 / 6, 0.25 + 0.25 * 2 / 3)
    )


def test_the_worst_order_is_the_oracle_upside_down() -> None:
    assert measured([0, 1, 2, 3], [0.6, 0.3, 0.1, 0.0])[0] == pytest.approx(0.25)


def test_where_weak_is_better_in_part_more_than_all_can_be_regained() -> None:
    """Strong for the first alone has twice the gap: PGR 0, 2, 1; APGR = ½·(0/2 + 2 + 1/2)."""
    assert measured([2, 1], [0.4, -0.2]) == pytest.approx((1.25, 0.125, 0.2))


def test_without_a_gap_there_is_nothing_to_recover() -> None:
    assert np.isnan(measured([1, 2], [0.1, -0.1])).all()


@given(GAINS, st.data())
def test_only_the_order_counts(gains: list[float], data: st.DataObject) -> None:
    scores = data.draw(
        st.lists(st.integers(0, 5), min_size=len(gains), max_size=len(gains)), label="scores"
    )
    stretched = [score**3 * 10.0 - 7 for score in scores]
    assert measured(scores, gains) == pytest.approx(measured(stretched, gains), nan_ok=True)


@given(GAINS)
def test_no_order_beats_the_oracle(gains: list[float]) -> None:
    if sum(gains) <= 0.01:
        return
    best = measured(gains, gains)
    other = measured(range(len(gains)), gains)
    assert best[0] >= other[0] - 1e-9
    assert best[1] <= other[1] + 1e-9
    assert best[2] <= other[2] + 1e-9


@given(GAINS, st.integers(0, 3))
def test_a_prompt_that_counts_twice_is_two_prompts(gains: list[float], which: int) -> None:
    which %= len(gains)
    scores = [float(len(gains) - n) for n in range(len(gains))]
    weights = np.ones((1, len(gains)))
    weights[0, which] = 2
    twice = measure(np.array(scores), np.array(gains), weights)
    want = measured([*scores, scores[which]], [*gains, gains[which]])
    assert float(twice.apgr[0]) == pytest.approx(want[0], nan_ok=True)


def test_equal_prompts_are_drawn_together() -> None:
    weights = draw_weights(np.array([0, 1, 0, 2]), 50, seed=1)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_an_interval_of_values_that_are_no_numbers_is_unknown() -> None:
    assert interval(np.array([np.nan] * 10 + [1.0] * 90)) is None
    assert interval(np.arange(101.0), 0.9) == pytest.approx((5, 95))


# ---- Learning


@pytest.fixture(scope="module")
def outcomes() -> dict[tuple[str, int], Outcome]:
    """Trainings of each kind on several seeds, made once."""
    return {
        (kind, seed): train(make_labels(kind, 240, seed), "digest", draws=200)
        for kind in ("noise", "even", "length", "shortness", "domain")
        for seed in (1, 2)
    }


def row_of(outcome: Outcome, scorer: str) -> Row:
    return next(row for row in outcome.model.table if row.scorer == scorer)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", ["noise", "even"])
def test_on_noise_nothing_was_learned(
    outcomes: dict[tuple[str, int], Outcome], kind: str, seed: int
) -> None:
    model = outcomes[kind, seed].model
    assert not model.learned
    assert model.verdict.startswith("nothing was learned")
    assert model.kind == "length"


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", ["length", "shortness"])
def test_where_only_length_matters_it_ties_the_length(
    outcomes: dict[tuple[str, int], Outcome], kind: str, seed: int
) -> None:
    """Nothing more was learned; the best trained scorer is as good as the length, in whichever
    direction it counts."""
    outcome = outcomes[kind, seed]
    assert not outcome.model.learned
    assert "the length alone is better than chance" in outcome.model.verdict
    length = row_of(outcome, "length").apgr
    best = max(row_of(outcome, name).apgr or 0 for name in ("logistic", "factorisation"))
    assert length is not None
    assert length > 0.6
    assert best == pytest.approx(length, abs=0.02)
    score = make_scorer(outcome.model)
    assert (score("a" * 500) > score("a")) == (kind == "length")


@pytest.mark.parametrize("seed", [1, 2])
def test_where_the_domain_matters_it_beats_the_length(
    outcomes: dict[tuple[str, int], Outcome], seed: int
) -> None:
    outcome = outcomes["domain", seed]
    assert outcome.model.learned
    for name in ("domain", "logistic", "factorisation"):
        over = row_of(outcome, name).over_length
        assert over is not None
        assert over[0] > 0
    assert (row_of(outcome, "oracle").apgr or 0) > (row_of(outcome, "domain").apgr or 1)
    # Its gaps are those that were put in, largest first.
    assert [gap.domain for gap in outcome.gaps] == ["maths", "code", "law", "chat"]
    maths = outcome.gaps[0]
    assert maths.interval[0] < 0.65 < maths.interval[1]


def test_random_and_oracle_bound_the_table(outcomes: dict[tuple[str, int], Outcome]) -> None:
    table = outcomes["domain", 1].model.table
    assert [row.scorer for row in table] == [
        "random", "length", "domain", "logistic", "factorisation", "oracle",
    ]  # fmt: skip
    assert table[0] == Row("random", 0.5, 0.8, 0.5)


def test_the_same_labels_give_the_same_model(outcomes: dict[tuple[str, int], Outcome]) -> None:
    again = train(make_labels("domain", 240, 1), "digest", draws=200).model
    known = outcomes["domain", 1].model
    assert (again.weights, again.lanes, again.table) == (known.weights, known.lanes, known.table)


def test_without_domains_there_is_no_domain_scorer() -> None:
    bare = [
        Label(prompt=one.prompt, score_strong=one.score_strong, score_weak=one.score_weak)
        for one in make_labels("domain", 120, 3)
    ]
    outcome = train(bare, "digest", draws=100)
    names = [row.scorer for row in outcome.model.table]
    assert names == ["random", "length", "logistic", "factorisation", "oracle"]
    assert outcome.gaps == ()


def test_too_few_labels_are_refused() -> None:
    """What counts is different prompts."""
    with pytest.raises(BadRequest, match="labels of 10 different prompts are too few"):
        train(make_labels("domain", 10, 1) * 20, "digest")


@pytest.mark.parametrize("text", ["", "word ", "one two "])
def test_prompts_without_words_to_learn_from_are_no_trouble(text: str) -> None:
    """Signs alone, one word, the same two words: the length is all that there is."""
    labels = [
        Label(prompt=text * n + "\t" * (n + 1), score_strong=0.5 + n / 100, score_weak=0.4)
        for n in range(60)
    ]
    outcome = train(labels, "digest", draws=50)
    assert not outcome.model.learned
    assert (row_of(outcome, "length").apgr or 0) > 0.6


# ---- Reading


def test_every_line_that_is_wrong_is_named() -> None:
    lines = [
        b'{"prompt": "a", "score_strong": 1, "score_weak": 0, "more": "is left out"}\n',
        b"\n",
        b"oops\n",
        b'{"prompt": "b", "score_strong": 1}\n',
        b'{"prompt": "c", "score_strong": "high", "score_weak": 0}\n',
        b'{"prompt": "d", "score_strong": 1, "score_weak": 0, "cost_weak": -1}\n',
        b'{"prompt": " ", "score_strong": 1, "score_weak": 0}\n',
        b"\xff\n",
    ]
    with pytest.raises(BadRequest) as refused:
        parse_labels(lines, "l.jsonl")
    said = refused.value.say.splitlines()
    assert said[0] == "6 lines are wrong:"
    assert [line.split(":")[1] for line in said[1:]] == ["3", "4", "5", "6", "7", "8"]
    assert "`score_weak`" in said[2]
    assert parse_labels(lines[:2], "l.jsonl") == [Label(prompt="a", score_strong=1, score_weak=0)]


# ---- Collecting


def asker(text: str, cost: int | None) -> Callable[[str], Answered]:
    return lambda _: Answered(text, cost)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=20), st.integers(0, 300)
)
def test_a_budget_is_passed_by_less_than_one_pair(
    costs: list[tuple[int, int]], budget: int
) -> None:
    purse = Purse(budget)
    strong, weak = iter(costs), iter(costs)
    labels = list(
        collect(
            [Prompt(prompt=str(n)) for n in range(len(costs))],
            lambda _: Answered("", next(strong)[0]),
            lambda _: Answered("", next(weak)[1]),
            lambda *_: 1.0,
            purse,
        )
    )
    assert purse.spent_nanousd == sum(map(sum, costs[: len(labels)]))
    dearest = max(map(sum, costs), default=0)
    assert purse.spent_nanousd < budget + max(dearest, 1)
    if budget == 0:
        assert not labels


def test_an_unknown_cost_ends_the_collection() -> None:
    """Unknown is not free."""
    with pytest.raises(OverBudget, match="no known cost"):
        list(collect([Prompt(prompt="a")], asker("", 1), asker("", None), lambda *_: 1.0, Purse(9)))


@pytest.mark.parametrize(
    ("judge", "answer", "want"),
    [
        ("exact", " 42. ", 1.0),
        ("exact", "It is 42.", 0.0),
        ("contains", "It is 42.", 1.0),
        ("contains", "It is 421.", 0.0),
        ("contains", "It is FORTY-two", 0.0),
    ],
)
def test_a_judge_by_reference_compares_words(judge: str, answer: str, want: float) -> None:
    assert grader_of(judge)("?", "42", answer) == want


def test_a_judge_that_is_not_installed_is_refused_by_name() -> None:
    with pytest.raises(Unsupported, match="no judge is called exakt"):
        grader_of("exakt")


# ---- Calibrating


@given(st.lists(st.floats(0, 1), min_size=30, max_size=300), st.floats(0, 1))
def test_a_share_is_the_nearest_that_scores_allow(scores: list[float], share: float) -> None:
    found = find_threshold(scores, share)
    assert found.share == pytest.approx(share_above(scores, found.threshold))
    for other in {*scores, max(scores) + 1}:
        assert abs(found.share - share) <= abs(share_above(scores, other) - share) + 1e-9
    assert found.interval[0] <= found.threshold <= found.interval[1]


def test_the_interval_of_a_share_holds_what_it_says() -> None:
    """Of 200 samples from a uniform law, at least 90 % hold the true threshold of 0.7."""
    random = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        low, high = find_threshold(random.random(300).tolist(), 0.3).interval
        held += low <= 0.7 <= high
    assert held >= 180


def test_too_few_scores_are_refused() -> None:
    with pytest.raises(BadRequest, match="3 scores are too few"):
        find_threshold([1, 2, 3], 0.3)


def test_a_quality_is_kept_with_as_few_calls_as_possible() -> None:
    """Long prompts gain .5, short ones nothing: strong for the long half keeps everything."""
    labels = [
        Label(prompt="x" * (10 + n % 2 * 90), score_strong=1.0, score_weak=1.0 - n % 2 * 0.5)
        for n in range(100)
    ]
    found = calibrate_quality(labels, score_length, 0.95)
    assert (found.threshold, found.quality, found.share) == (100.0, 1.0, 0.5)
    assert found.weak == 0.75
    assert found.share_interval[0] < 0.5 < found.share_interval[1]
    nothing = calibrate_quality(labels, score_length, 0.7)
    assert (nothing.share, nothing.threshold > 100) == (0.0, True)


def test_a_part_of_a_quality_below_nought_makes_no_sense() -> None:
    labels = [Label(prompt="x", score_strong=1.0, score_weak=-1.0)] * 40
    with pytest.raises(BadRequest, match="below 0"):
        calibrate_quality(labels, score_length, 0.95)


# ---- The commands


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """`labels.jsonl`, `fresh.jsonl`, `noise.jsonl` in a folder."""
    for name, kind, seed in (
        ("labels", "domain", 1),
        ("fresh", "domain", 2),
        ("noise", "noise", 1),
    ):
        lines = [
            {"prompt": one.prompt, "score_strong": max(0.0, one.score_strong),
             "score_weak": max(0.0, one.score_weak), "domain": one.domain,
             "cost_strong": 0.01, "cost_weak": 0.001}
            for one in make_labels(kind, 150, seed)  # type: ignore[arg-type]  # as in its Kind
        ]  # fmt: skip
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path


def test_train_writes_a_model_and_calibrate_reads_it(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, model = str(files / "labels.jsonl"), files / "router.json"
    assert run(["routing", "train", labels, "--out", str(model)]) == EXIT_DONE
    said = capsys.readouterr().out
    for words in ("CPT(50)", "APGR over length", "oracle", "maths", "of all-strong", "take "):
        assert words in said
    found = read_model(model)
    assert isinstance(found, Trained)
    assert found.labels.count == 150
    assert found.labels.strong - found.labels.weak == pytest.approx(GAP, abs=0.1)

    for option in (["--share", "30%", "--prompts"], ["--quality", "90%", "--labels"]):
        command = [*option, str(files / "fresh.jsonl"), "--model", str(model), "--json"]
        assert run(["routing", "calibrate", *command]) == EXIT_DONE
        answer = json.loads(capsys.readouterr().out)
        assert 0 < answer["threshold"] < 1
        assert answer.get("trained_on_these", False) is False
    assert answer["quality"] >= 0.9
    run(["routing", "calibrate", "--quality", "90%", "--labels", labels, "--model", str(model)])
    assert "too good" in capsys.readouterr().err


def test_a_training_that_taught_nothing_ends_with_1(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(files / "noise.jsonl"), "--out", str(files / "router.json")]
    assert run(["routing", "train", *words]) == EXIT_NO
    assert "nothing was learned" in capsys.readouterr().out
    assert run(["routing", "train", *words, "--json"]) == EXIT_NO
    answer = json.loads(capsys.readouterr().out)
    assert answer["learned"] is False
    assert answer["kind"] == "length"


def test_calibrate_wants_one_question(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--share", "3%", "--quality", "9%"], ["--quality", "9%"]):
        assert run(["routing", "calibrate", *words]) == EXIT_USAGE
    capsys.readouterr()
