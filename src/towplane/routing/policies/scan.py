"""Finding the lowest of a thousand numbers: what policies that compare all targets do.

The lists are kept up to date by whoever changes a number (`Roster.watchers`), so that a choice is a
few passes in C over plain lists. Ties go round by turn.
"""

from collections.abc import Collection
from math import inf
from typing import Final, cast

from towplane.routing.roster import Roster

__all__ = ["LAST", "but_parked", "extent", "first_lowest", "loads_of", "lowest", "nth_left"]

LAST: Final = 1e300
"""Of a target that is taken after all others."""
_FEW: Final = 64
"""So many are looked through one by one."""
_HANDFUL: Final = 8
"""So many are compared here quicker than in C."""


def lowest(numbers: list[float], barred: Collection[int], turn: int) -> int:
    """The place of the lowest number that is not barred; equal ones go round by turn."""
    if barred:
        numbers = _without(numbers, barred)
    least = min(numbers)
    ties = numbers.count(least)
    if ties == 1:
        return numbers.index(least)
    return _nth(numbers, least, turn % ties)


def first_lowest(numbers: list[float], barred: Collection[int], turn: int) -> int:
    """The same, but of equal ones the first from the turn's place on, which is found without
    counting them: for numbers that grow with each choice, so that ties do not last."""
    if barred:
        numbers = _without(numbers, barred)
    count = len(numbers)
    start = turn % count
    if count <= _HANDFUL:
        place, lowest_yet = start, numbers[start]
        for at in range(start + 1 - count, start):  # the rest, from the turn's place on and round
            if numbers[at] < lowest_yet:
                place, lowest_yet = at, numbers[at]
        return place if place >= 0 else place + count
    least = min(numbers)
    try:
        return numbers.index(least, start)
    except ValueError:
        return numbers.index(least, 0, start)


def extent(numbers: list[float], barred: Collection[int]) -> tuple[float, float]:
    """The lowest and the highest of those that are not barred."""
    if not barred:
        return min(numbers), max(numbers)
    left = _without(numbers, barred)
    least = min(left)
    for place in barred:
        left[place] = -inf
    return least, max(left)


def loads_of(roster: Roster) -> list[float]:
    """Attempts in flight per weight, by place, kept up to date; weight nought is `LAST`."""
    if roster.is_even:
        return cast("list[float]", roster.in_flight)
    in_flight, weights = roster.in_flight, roster.weights
    loads = [
        count / weight if weight else LAST for count, weight in zip(in_flight, weights, strict=True)
    ]

    def changed(place: int) -> None:
        weight = weights[place]
        if weight:
            loads[place] = in_flight[place] / weight

    roster.watchers.append(changed)
    return loads


def but_parked(roster: Roster, barred: Collection[int]) -> Collection[int]:
    """What may not be chosen, weight nought included where somebody else is left."""
    if not roster.parked:
        return barred
    wider = {*barred, *roster.parked}
    return wider if len(wider) < len(roster) else barred


def nth_left(number: int, barred: Collection[int]) -> int:
    """The place of this number among those that are not barred."""
    for place in sorted(barred):
        if place > number:
            break
        number += 1
    return number


def _without(numbers: list[float], barred: Collection[int]) -> list[float]:
    left: list[float] = [*numbers]
    for place in barred:
        left[place] = inf
    return left


def _nth(numbers: list[float], value: float, number: int) -> int:
    """The place of the value that has so many equal ones before it: by halves, then one by one."""
    start, part = 0, numbers
    while len(part) > _FEW:
        half = len(part) // 2
        before = part[:half].count(value)
        if number < before:
            part = part[:half]
        else:
            part = part[half:]
            number -= before
            start += half
    place = part.index(value)
    for _ in range(number):
        place = part.index(value, place + 1)
    return start + place
