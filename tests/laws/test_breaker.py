"""A breaker leaves a failing target alone, then lets one attempt probe it."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.routing.breaker import Breaker
from towplane.routing.spec import Breaker as Spec

SPEC = Spec(failures=3, share=0.5, volume=8, window_s=10.0, open_s=5.0, longest_s=12.0)


@dataclass(frozen=True)
class Case:
    name: str
    given: str
    """f: failed, s: succeeded, a: abandoned, t: an attempt starts, a digit: seconds pass, ?: asked
    whether it admits, which is how it learns the time."""
    want: tuple[str, bool, float]
    """State, whether it admits, seconds to the next probe."""


@pytest.mark.parametrize(
    "case",
    [
        Case("new", "", ("closed", True, 0.0)),
        Case("a few failures", "ff", ("closed", True, 0.0)),
        Case("enough in a row", "fff", ("open", False, 5.0)),
        Case("not in a row", "ffsffs", ("closed", True, 0.0)),
        Case("half of enough attempts", "ffssffsf", ("open", False, 5.0)),
        Case("half of too few", "ffssff", ("closed", True, 0.0)),
        Case("less than half", "ssssssffsff", ("closed", True, 0.0)),
        Case("failures that are past", "ffs99ffs", ("closed", True, 0.0)),
        Case("open for a while", "fff4", ("open", False, 1.0)),
        Case("then half-open", "fff5?", ("half-open", True, 0.0)),
        Case("one probe", "fff5?t", ("half-open", False, 0.0)),
        Case("a good probe closes", "fff5?ts", ("closed", True, 0.0)),
        Case("a bad probe opens for twice as long", "fff5?tf", ("open", False, 10.0)),
        Case("the doubling ends", "fff5?tf9 1?tf", ("open", False, 12.0)),
        Case("a probe without a verdict is taken again", "fff5?ta", ("half-open", True, 0.0)),
        Case("good again, the next opening is short", "fff5?tf9 1?tsfff", ("open", False, 5.0)),
        Case("good again, old failures are forgotten", "fff5?tsff", ("closed", True, 0.0)),
        Case("who started before it opened has no say", "fffsff", ("open", False, 5.0)),
    ],
    ids=lambda case: case.name,
)
def test_a_breaker_after_a_history(case: Case) -> None:
    breaker, now = Breaker(SPEC), 1000.0
    for step in case.given.replace(" ", ""):
        match step:
            case "f":
                breaker.failed(now)
            case "s":
                breaker.succeeded(now)
            case "a":
                breaker.abandoned()
            case "t":
                breaker.started()
            case "?":
                breaker.admits(now)
            case _:
                now += float(step)
    assert (breaker.state, breaker.admits(now), breaker.retry_after_s(now)) == case.want


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 3)), max_size=60))
def test_it_opens_exactly_when_its_settings_say_so(history: list[tuple[bool, float]]) -> None:
    """Against a model that remembers everything; its window is ten slots of a second."""
    breaker, now = Breaker(SPEC), 1000.0
    ended: list[tuple[int, bool]] = []
    for failed, wait_s in history:
        now += wait_s
        ended.append((int(now), failed))
        (breaker.failed if failed else breaker.succeeded)(now)
        recent = [bad for slot, bad in ended if slot > int(now) - 10]
        opens = failed and (
            (len(ended) >= 3 and all(bad for _, bad in ended[-3:]))
            or (len(recent) >= 8 and sum(recent) >= 0.5 * len(recent))
        )
        assert (breaker.state == "open") == opens
        if opens:
            return


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("fsat"), st.floats(0, 9)), max_size=60))
def test_an_open_breaker_always_comes_to_a_probe_and_lets_one_through(
    history: list[tuple[str, float]],
) -> None:
    breaker, now, running = Breaker(SPEC), 1000.0, 0
    for what, wait_s in history:
        now += wait_s
        if what == "t":
            if breaker.admits(now):
                if breaker.state == "half-open":
                    running = 0
                breaker.started()
                running += 1
                if breaker.state == "half-open":
                    assert not breaker.admits(now), "one probe at a time"
        elif running:
            running -= 1
            match what:
                case "f":
                    breaker.failed(now)
                case "s":
                    breaker.succeeded(now)
                case _:
                    breaker.abandoned()
    later = now + SPEC.longest_s
    if breaker.state == "half-open" and running:
        breaker.abandoned()
    assert breaker.admits(later)


def test_other_settings_hold_from_now_on() -> None:
    breaker = Breaker(SPEC)
    breaker.failed(1000.0)
    breaker.retune(Spec(failures=2, open_s=1.0))
    breaker.failed(1000.0)
    assert (breaker.state, breaker.retry_after_s(1000.0)) == ("open", 1.0)
