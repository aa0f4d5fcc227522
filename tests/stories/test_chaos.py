"""Seconds with vendors that misbehave: no rule of the half-hour run is broken.

`python bench/chaos.py` is the same for half an hour. Its rules are told in `trouble.audit`. Two are
softer here: retries may also be as many as one window of the budget's floor allows, which a run of
seconds is too short to earn back, and memory is not judged.
"""

import pytest

from towplane.testing.client import Answer
from trouble.answers import read_answer
from trouble.audit import Row, audit
from trouble.load import Outcome
from trouble.trial import Plan, Report, run_trial
from trouble.vendors import Bill

PLAN = Plan(seed=20, seconds=7.0, rate=50.0, hurry=10.0)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return run_trial(PLAN, tmp_path_factory.mktemp("chaos"), print)


@pytest.mark.parametrize(
    "name",
    [
        "amplification",
        "one ending each, its own",
        "the ledger is the bill",
        "costs",
        "nothing malformed",
        "no worker restarted",
        "no traceback and no secret in the log",
    ],
)
def test_unruly_vendors_break_no_rule(report: Report, name: str) -> None:
    verdict = next(one for one in report.verdicts if one.name == name)
    assert verdict.holds, "\n".join([verdict.says, *verdict.wrong])


def test_the_vendors_did_misbehave(report: Report) -> None:
    """A run in which nothing goes wrong shows nothing."""
    met = {fault for counts in report.audit.vendors.values() for fault in counts}
    assert len(met - {"attempts", "calm"}) >= 5
    assert report.audit.attempts > report.audit.requests > 200
    assert report.audit.sums["finished"].attempts > 150
    assert report.outcomes["answered"] > 150


# What the auditor would notice

ROW = Row("r.1", "local/open", "first", "ok", "measured", 1, 200, 1000, 0, 100, 169, "standard",
          None, None, None)  # fmt: skip
BILL = Bill("r.1", "local", "open", 200, 1000, 100, 0, (0, 0), 0, True, "calm", 0.0)
OUTCOME = Outcome("mark-00000000", "chat", False, "r", 200, "", "answered", "r.1")


def test_books_that_agree_are_right() -> None:
    found = audit([ROW], [BILL], [OUTCOME])
    assert not found.counts
    assert (found.amplification, found.cost_nanousd) == (1.0, 169)


@pytest.mark.parametrize(
    ("rule", "rows", "bills", "outcomes"),
    [
        ("books", [], [BILL], []),
        ("books", [ROW], [], [OUTCOME]),
        ("books", [ROW], [BILL, BILL], [OUTCOME]),
        ("books", [ROW], [BILL._replace(output=101)], [OUTCOME]),
        ("books", [ROW], [BILL._replace(cached=1)], [OUTCOME]),
        ("books", [ROW], [BILL._replace(thought=1)], [OUTCOME]),
        ("books", [ROW], [BILL._replace(vendor="azure")], [OUTCOME]),
        ("books", [ROW], [BILL._replace(status=500)], [OUTCOME]),
        ("books", [ROW._replace(usage="estimated")], [BILL], [OUTCOME]),
        ("books", [ROW._replace(outcome="protocol")], [BILL], []),
        ("books", [ROW, ROW._replace(id="r.3")], [BILL], [OUTCOME]),
        ("costs", [ROW._replace(cost_nanousd=168)], [BILL], [OUTCOME]),
        ("costs", [ROW._replace(cost_nanousd=None)], [BILL], [OUTCOME]),
        ("once", [ROW._replace(final=0), ROW._replace(id="r.2")], [BILL], [OUTCOME]),
        ("once", [ROW._replace(final=0)], [BILL], [OUTCOME]),
        ("once", [ROW], [BILL], [OUTCOME, OUTCOME]),
        ("once", [ROW], [BILL], [OUTCOME._replace(attempt="r.2")]),
        ("once", [ROW], [BILL], [OUTCOME._replace(kind="refused")]),
        ("once", [ROW], [BILL], []),
    ],
)
def test_books_that_disagree_are_noticed(
    rule: str, rows: list[Row], bills: list[Bill], outcomes: list[Outcome]
) -> None:
    assert audit(rows, bills, outcomes).counts[rule]


DELTA = 'data: {"choices":[{"delta":{"content":"hi"},"finish_reason":null}]}\n\n'
DONE = "data: [DONE]\n\n"
ERROR = 'data: {"error":{"message":"no","type":"server_error"}}\n\n'


@pytest.mark.parametrize(
    ("body", "kind", "is_right"),
    [
        (DELTA + DONE, "answered", True),
        (DELTA + ERROR, "failed", True),
        (DELTA, "broken", False),
        (DELTA + DONE + DONE, "broken", False),
        (DELTA + DONE + DELTA, "broken", False),
        (DELTA + ERROR + ERROR, "failed", False),
        (DELTA + ERROR + DONE, "failed", False),
    ],
)
def test_a_stream_has_one_ending(body: str, kind: str, is_right: bool) -> None:
    answer = Answer(200, {}, body.encode(), whole=True)
    found, reading = read_answer("chat", True, answer)
    assert (found, not reading.wrong) == (kind, is_right)
