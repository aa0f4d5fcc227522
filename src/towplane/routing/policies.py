"""How one target is chosen among those of a route: pure functions over an immutable view.

A policy gets the candidates that may be used and the number of the turn, and answers with the
index it chose and why. It knows no clock, no connection and no randomness: the gateway, the
simulator and `explain` run the same functions.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Candidate(NamedTuple):
    """A target as a policy sees it."""

    name: str
    weight: int
    in_flight: int


class Choice(NamedTuple):
    """What a policy chose: the place among its candidates, the reason, a score for each."""

    place: int
    reason: str
    scores: tuple[float, ...]


Policy = Callable[[Sequence[Candidate], int], Choice]

_GOLDEN = 0.6180339887498949
"""(√5 − 1)/2: multiples of it, modulo 1, fill the unit interval evenly at every length."""


def round_robin(candidates: Sequence[Candidate], turn: int) -> Choice:
    """Each in its turn."""
    place = turn % len(candidates)
    return Choice(place, f"turn {place + 1} of {len(candidates)}", ())


def least_in_flight(candidates: Sequence[Candidate], turn: int) -> Choice:
    """The one with the fewest running attempts per weight; ties go round by turn."""
    scores = tuple(c.in_flight / c.weight if c.weight else float("inf") for c in candidates)
    lowest = min(scores)
    ties = [i for i, score in enumerate(scores) if score == lowest]
    place = ties[turn % len(ties)]
    return Choice(place, f"{candidates[place].in_flight} in flight, the fewest", scores)


def weighted(candidates: Sequence[Candidate], turn: int) -> Choice:
    """In proportion to the weights, evenly spread over the turns.

    Turn `t` falls on the point `t·φ mod 1` of the weights laid end to end; the sequence has low
    discrepancy, so the shares hold over short runs too (Weyl's equidistribution theorem).
    """
    total = sum(c.weight for c in candidates)
    if total == 0:
        return round_robin(candidates, turn)
    point = (turn * _GOLDEN) % 1.0 * total
    place, reached = 0, candidates[0].weight
    while point >= reached:
        place += 1
        reached += candidates[place].weight
    scores = tuple(c.weight / total for c in candidates)
    return Choice(place, f"weight {candidates[place].weight} of {total}", scores)


POLICIES: dict[str, Policy] = {
    "round-robin": round_robin,
    "least-in-flight": least_in_flight,
    "weighted": weighted,
}
