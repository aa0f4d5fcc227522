"""Why a route chooses as it does: the chooser's own answer for one demand, in words.

Pure: it changes nothing and knows no worker, no clock and no document. The law: the target that it
names is the one that the worker would take, because the same `Chooser` decides at the same turn.
"""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from towplane.routing.chooser import Chooser
from towplane.routing.demand import Demand
from towplane.routing.fallbacks import Closed
from towplane.routing.spec import Reason

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
    trouble: str = ""
    """What else keeps it from being chosen, in words."""


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
    chooser: Chooser,
    groups: Sequence[Sequence[Seen]],
    *,
    demand: Demand,
    now: float,
    turn: int,
    most: int = 1,
    closed: Closed | None = None,
    keeping: Sequence[Reason] = (),
) -> Explanation:
    """What would happen now to this demand, by a worker whose next choice is number `turn`.

    `groups` says of each target of the chooser how it is; `most` is the number of attempts that one
    request may have. `closed` says which steps of the chain are for which reasons, and `keeping`
    what keeps the route's own targets; the failures that are supposed here are a server's errors.
    """
    steps: list[Step] = []
    tried: list[str] = []
    while len(steps) < most:
        reasons: Sequence[Reason] = ("server-error",) if tried else ("unavailable", *keeping)
        shut = [closed[reason] if closed is not None else () for reason in reasons]
        looks = (chooser.look(demand, tried, now, turn, each) for each in shut)
        pick = next((look for look in looks if look is not None), None)
        if pick is None:
            break
        choice = chooser.weigh(pick, demand, tried, now, turn)
        cause: Literal["first", "retry", "fallback"] = "retry" if tried else "first"
        name = chooser.rosters[pick.group].names[pick.place]
        step = Step(
            target=name,
            group=pick.group,
            cause="fallback" if pick.group else cause,
            reason=choice.reason,
        )
        turn += chooser.takes_turn(pick, tried)
        steps.append(step)
        tried.append(name)
    return Explanation(
        groups=[
            _judge(chooser, number, group, demand, now, turn) for number, group in enumerate(groups)
        ],
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
    return seen.trouble


def _judge(
    chooser: Chooser, number: int, group: Sequence[Seen], demand: Demand, now: float, turn: int
) -> Group:
    scores = chooser.scores(number, demand, now, turn)
    passed_over = chooser.passed_over(number, demand, now)
    return Group(
        number=number,
        places=[
            Place(
                target=seen.name,
                weight=seen.weight,
                in_flight=seen.in_flight,
                usable=not why_not(seen),
                why_not=why_not(seen) or passed_over.get(place, ""),
                score=scores[place] if scores else None,
            )
            for place, seen in enumerate(group)
        ],
    )
