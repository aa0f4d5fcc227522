"""Labels out of prompts: both targets answer each, a judge scores the answers, money sets the end.

Pure but for the functions that it is given. A judge by reference compares words: it is cheap, and
right only where answers are short. Who judges by a model brings a function of their own (entry
point group `towplane.graders`), whose cost this does not know.

The laws: the next prompt is only asked if the dearest pair so far still fits the budget, so that it
is passed by less than one pair; an unknown cost ends the collection, because unknown is not free.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from towplane.parts.errors import OverBudget, Unsupported
from towplane.routing.complexity.labels import Label, Prompt

__all__ = ["GROUP", "Answered", "Grade", "Purse", "collect", "grader_of"]

GROUP = "towplane.graders"
"""Entry points of the vendor's own judges."""

Grade = Callable[[str, str, str], float]
"""From a prompt, its reference and an answer to how good that is; higher is better."""

_NANO = 10**9


class Answered(NamedTuple):
    """What a target said."""

    text: str
    cost_nanousd: int | None
    """None: unknown."""


Ask = Callable[[str], Answered]


class Purse:
    """A budget, and what is spent of it."""

    def __init__(self, budget_nanousd: int) -> None:
        self.budget_nanousd = budget_nanousd
        self.spent_nanousd = 0
        self._dearest = 0

    def affords(self) -> bool:
        """Whether another pair like the dearest one would still fit."""
        return self.spent_nanousd + max(self._dearest, 1) <= self.budget_nanousd

    def pay(self, *costs: int | None) -> None:
        """A pair was answered. Raises OverBudget where its cost is unknown."""
        total = 0
        for cost in costs:
            if cost is None:
                raise OverBudget(
                    "an answer has no known cost, so no budget can be kept",
                    next_step="give the target a price (`towplane tenants prices`)",
                    reason="price-unknown",
                )
            total += cost
        self.spent_nanousd += total
        self._dearest = max(self._dearest, total)


def collect(
    prompts: Iterable[Prompt], strong: Ask, weak: Ask, grade: Grade, purse: Purse
) -> Iterator[Label]:
    """A label for each prompt, until the money is spent."""
    for one in prompts:
        if not purse.affords():
            return
        good, cheap = strong(one.prompt), weak(one.prompt)
        purse.pay(good.cost_nanousd, cheap.cost_nanousd)
        assert good.cost_nanousd is not None
        assert cheap.cost_nanousd is not None
        yield Label(
            prompt=one.prompt,
            score_strong=float(grade(one.prompt, one.reference, good.text)),
            score_weak=float(grade(one.prompt, one.reference, cheap.text)),
            domain=one.domain,
            cost_strong=good.cost_nanousd / _NANO,
            cost_weak=cheap.cost_nanousd / _NANO,
        )


def grader_of(name: str) -> Grade:
    """`exact`, `contains`, or the vendor's own. Raises Unsupported."""
    if name in _BY_REFERENCE:
        return _BY_REFERENCE[name]
    from importlib.metadata import entry_points

    found = list(entry_points(group=GROUP, name=name))
    if not found:
        raise Unsupported(
            f"no judge is called {name}",
            next_step=f"use exact or contains, or install the package whose entry point of {GROUP} "
            "it is",
        )
    own: Grade = found[0].load()
    return own


def _plain(text: str) -> str:
    return re.sub(r"\W+", " ", text.casefold()).strip()


def _exact(_: str, reference: str, answer: str) -> float:
    return float(_plain(answer) == _plain(reference))


def _contains(_: str, reference: str, answer: str) -> float:
    return float(f" {_plain(reference)} " in f" {_plain(answer)} ")


_BY_REFERENCE: dict[str, Grade] = {"exact": _exact, "contains": _contains}
