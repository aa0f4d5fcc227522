"""Seconds with vendors that misbehave: no rule of the half-hour run is broken.

`python bench/chaos.py` is the same for half an hour. Its rules are told in `trouble.audit`. Two are
softer here: retries may also be as many as one window of the budget's floor allows, which a run of
seconds is too short to earn back, and memory is not judged.
"""

import pytest

from trouble.trial import Plan, Report, run_trial

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
