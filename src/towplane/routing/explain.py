"""Why a route chooses as it does: the gateway's own policies, over what one worker reports.

Pure: facts in, a value in words out. It knows no worker, no clock and no document. The law: the
target that it names is the one that the worker would take, because the same `POLICIES` decide over
the same candidates with the number of the same turn.
"""

from collections.abc import Collection, Sequence
from math import isfinite
from typing import Literal

from msgspec import Struct

from towplane.routing.policies import POLICIES, Candidate, Choice

__all__ = ["Explanation", "Group", "Place", "Seen", "Step", "explain", "why_not"]


class Seen(Struct, frozen=True, kw_only=True):
    """A target of a route as one worker sees it."""

    name: str
    weight: int = 1
    state: str = "ready"
    reason: str = ""
    """Why it is in this state."""
    in_flight: int = 0
    breaker: str = "closed"
    is_probing: bool = False
    """Its breaker is half-open, and the one attempt that it lets through is under way."""
    probe_in_s: float = 0.0
    """Seconds until its open breaker lets an attempt through."""
    parked_s: float = 0.0
    """Seconds for which it asked to be left alone."""


class Place(Struct, kw_only=True):
    """A target in its group, judged."""

    target: str
    weight: int
    in_flight: int
    usable: bool
    why_not: str = ""
    """In words, where it is not usable."""
    score: float | None = None
    """The policy's score among the usable; None: it was not compared."""


class Group(Struct, kw_only=True):
    """The route's own targets (0), or a step of its fallback chain."""

    number: int
    places: list[Place]


class Step(Struct, kw_only=True):
    """One attempt as it would be made."""

    target: str
    group: int
    cause: Literal["first", "retry", "fallback"]
    reason: str


class Explanation(Struct, kw_only=True):
    """What a worker would do with a request now."""

    groups: list[Group]
    steps: list[Step]
    """The first is where the next request goes; each other follows if those before it fail before
    a token was relayed and the retry budget allows. None: the request would be refused."""


def explain(
    choose: str, groups: Sequence[Sequence[Seen]], *, turn: int, most: int = 1
) -> Explanation:
    """What would happen now, for a worker whose next choice is number `turn`.

    `most` is the number of attempts that one request may have.
    """
    steps: list[Step] = []
    tried: list[str] = []
    while len(steps) < most:
        step, uses_turn = _next(choose, groups, tried, turn)
        if step is None:
            break
        steps.append(step)
        tried.append(step.target)
        turn += uses_turn
    return Explanation(
        groups=[_judge(choose, number, group, turn) for number, group in enumerate(groups)],
        steps=steps,
    )


def why_not(seen: Seen) -> str:
    """Why a target cannot be used now; empty when it can."""
    if seen.state != "ready":
        return f"{seen.state}: {seen.reason}" if seen.reason else seen.state
    if seen.parked_s > 0:
        return f"it asked to be left alone for {seen.parked_s:.1f} s more"
    if seen.probe_in_s > 0:
        return f"its breaker is open; one attempt may probe it in {seen.probe_in_s:.1f} s"
    if seen.is_probing:
        return "its breaker is half-open, and an attempt is probing it"
    return ""


def _next(
    choose: str, groups: Sequence[Sequence[Seen]], tried: Collection[str], turn: int
) -> tuple[Step | None, bool]:
    """The next attempt, and whether it takes a turn of the policy."""
    for number, group in enumerate(groups):
        usable = [seen for seen in group if seen.name not in tried and not why_not(seen)]
        if not usable:
            continue
        cause: Literal["first", "retry", "fallback"] = "retry" if tried else "first"
        choice, uses_turn = _choose(choose, usable, turn, alone=len(group) == 1 and not tried)
        return (
            Step(
                target=usable[choice.place].name,
                group=number,
                cause="fallback" if number else cause,
                reason=choice.reason,
            ),
            uses_turn,
        )
    return None, False


def _choose(choose: str, usable: Sequence[Seen], turn: int, *, alone: bool) -> tuple[Choice, bool]:
    """As the gateway's fourth station: a target without a rival takes no turn."""
    if alone:
        return Choice(0, "the only target", ()), False
    if len(usable) == 1:
        return Choice(0, "the only usable target", ()), True
    return POLICIES[choose](_candidates(usable), turn), True


def _judge(choose: str, number: int, group: Sequence[Seen], turn: int) -> Group:
    usable = [seen for seen in group if not why_not(seen)]
    scores: dict[str, float] = {}
    if len(usable) > 1:
        found = POLICIES[choose](_candidates(usable), turn).scores
        # A policy that compares nothing has no scores; a parked target's is infinite.
        named = zip(usable, found, strict=False)
        scores = {seen.name: score for seen, score in named if isfinite(score)}
    return Group(
        number=number,
        places=[
            Place(
                target=seen.name,
                weight=seen.weight,
                in_flight=seen.in_flight,
                usable=not why_not(seen),
                why_not=why_not(seen),
                score=scores.get(seen.name),
            )
            for seen in group
        ],
    )


def _candidates(usable: Sequence[Seen]) -> list[Candidate]:
    return [Candidate(seen.name, seen.weight, seen.in_flight) for seen in usable]
