"""The last choices of a worker, by what the roster held then, not by what it holds now.

A choice keeps a copy of plain numbers (a microsecond for a thousand targets); reasons and scores
are worked out when somebody asks. A target that had no rival leaves no decision. Bounded: the
oldest goes first. The law: `recall` names the place that was taken, whatever has happened since.
"""

from collections import deque
from collections.abc import Collection, Sequence
from typing import Final, Literal

from msgspec import Struct

from towplane.routing.chooser import Chooser, Pick
from towplane.routing.demand import Demand
from towplane.routing.explain import Place

__all__ = ["Decided", "Decisions", "Recalled", "recall"]

_MOST: Final = 4096
"""Decisions that a worker keeps: the last minute at 70 requests a second."""

Cause = Literal["first", "retry", "fallback", "hedge", "reconnect", "mirror", "probe"]


class Decided:
    """One choice among rivals."""

    __slots__ = ("attempt", "barred", "cause", "demand", "in_flight", "model", "names", "now",
                 "pick", "request", "tried", "turn", "wall")  # fmt: skip

    def __init__(
        self,
        request: str,
        attempt: int,
        model: str,
        cause: str,
        wall: float,
        now: float,
        turn: int,
        pick: Pick,
        tried: tuple[str, ...],
        names: Sequence[str],
        barred: Collection[int],
        in_flight: tuple[int, ...],
        demand: Demand,
    ) -> None:
        self.request = request
        self.attempt = attempt
        """Its number, from 1."""
        self.model = model
        self.cause = cause
        self.wall = wall
        self.now = now
        self.turn = turn
        self.pick = pick
        self.tried = tried
        self.names = names
        """Of the roster, by place."""
        self.barred = barred
        """Places that were unusable, whoever asked."""
        self.in_flight = in_flight
        self.demand = demand


class Recalled(Struct, kw_only=True):
    """A past choice in words."""

    attempt: int
    at: float
    """Wall clock, seconds since the epoch."""
    model: str
    target: str
    group: int
    cause: str
    reason: str
    places: list[Place]
    note: str = ""
    """What is not as it was then."""


class Decisions:
    """A worker's memory of them."""

    __slots__ = ("_kept",)

    def __init__(self, most: int = _MOST) -> None:
        self._kept: deque[Decided] = deque(maxlen=most)

    def keep(self, decided: Decided) -> None:
        """One more; the oldest may go."""
        self._kept.append(decided)

    def of(self, request: str) -> list[Decided]:
        """Those of one request, in their order."""
        return [one for one in self._kept if one.request == request]


def recall(decided: Decided, chooser: Chooser | None) -> Recalled:
    """What was chosen, among whom, and why; `chooser` is the route's of now, if it is still there.

    The places, their loads and who was barred are those of then; the policy's scores are worked out
    again over them, with what it has learned since.
    """
    pick = decided.pick
    scores: tuple[float | None, ...] = ()
    passed_over: dict[int, str] = {}
    reason, note = "", ""
    roster = chooser.rosters[pick.group] if chooser and pick.group < len(chooser.rosters) else None
    if roster is None or chooser is None or roster.names != list(decided.names):
        note = "the route has other targets now, so the scores are lost"
    else:
        with roster.standing(decided.in_flight, decided.barred):
            choice = chooser.weigh(pick, decided.demand, decided.tried, decided.now, decided.turn)
            passed_over = chooser.passed_over(pick.group, decided.demand, decided.now)
        scores = choice.scores
        reason = choice.reason
        if choice.place != pick.place:
            reason, note = "", "the policy has learned since and would choose otherwise now"
    return Recalled(
        attempt=decided.attempt,
        at=decided.wall,
        model=decided.model,
        target=decided.names[pick.place],
        group=pick.group,
        cause=decided.cause,
        reason=reason or "chosen then",
        places=[
            Place(
                target=name,
                weight=roster.weights[place] if roster is not None and not note else 1,
                in_flight=decided.in_flight[place],
                usable=place not in decided.barred,
                why_not=_why_not(place, name, decided, passed_over),
                score=scores[place] if scores else None,
            )
            for place, name in enumerate(decided.names)
        ],
        note=note,
    )


def _why_not(place: int, name: str, decided: Decided, passed_over: dict[int, str]) -> str:
    if place in decided.barred:
        return "it could not be used then"
    if name in decided.tried:
        return "this request had tried it"
    return passed_over.get(place, "")
