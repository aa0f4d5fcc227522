"""Labelled prompts of real English words on four topics, to try on scorers what words mean.

Of some topics strong is better by more, whatever the length. Each topic's words come in two halves
that have none in common: who learned from prompts of the one half has never seen a word that tells
the topics of the other apart.
"""

from random import Random
from typing import Literal

from towplane.routing.complexity.labels import Label

__all__ = ["make_topical"]

_NOISE = 0.15
_TOPICS = {
    "maths": (
        0.65,
        "theorem integral matrix eigenvalue prime topology convergence limit algebra trigonometry "
        "exponent permutation probability equation hypotenuse cosine fraction denominator subset "
        "induction conjecture determinant asymptote modulo binomial lattice parabola continuity",
        "lemma proof derivative vector polynomial divisor manifold sequence inequality geometry "
        "logarithm quotient combinatorics variance quadratic tangent calculus numerator bijection "
        "cardinality axiom corollary gradient arithmetic factorial congruence ellipse infinity",
    ),
    "code": (
        0.35,
        "function variable pointer loop exception mutex query server container socket syntax "
        "library refactor commit merge algorithm queue garbage assembly polymorphism module "
        "callback iterator regex backend javascript latency buffer",
        "compiler recursion array debugger thread database index endpoint kernel parser "
        "interpreter framework repository branch unittest hashtable stack heap bytecode class "
        "interface import closure generator json frontend python cache",
    ),
    "law": (
        0.2,
        "contract defendant court appeal liability negligence lawsuit prosecutor testimony "
        "injunction copyright trademark tenant custody testament constitution felony bail "
        "arbitration settlement subpoena ruling regulation fraud extradition acquittal sentencing "
        "litigation",
        "plaintiff statute judge verdict tort clause attorney jury evidence damages patent lease "
        "landlord divorce jurisdiction amendment misdemeanor parole mediation affidavit precedent "
        "legislation compliance perjury warrant conviction probation notary",
    ),
    "cooking": (
        0.0,
        "recipe butter sugar onion stew bake simmer dough pasta tomato pepper cheese chicken pork "
        "salad lemon cookie frosting vanilla ginger rice broth skillet spatula yeast pancake "
        "breakfast dessert",
        "oven flour garlic soup roast grill whisk bread sauce basil salt cream beef fish vinegar "
        "cake pastry chocolate cinnamon curry noodles marinade saucepan knead omelette waffle "
        "dinner vegetable",
    ),
}
"""Topic → what strong gains, and two halves of its words."""
_COMMON = (
    "the a of in and to is please explain how what why would with about for my can you this that "
    "it from give help me need write tell some when which more most best way between"
)


def make_topical(
    count: int, seed: int, words: Literal["first", "second", "all"] = "all"
) -> list[Label]:
    """So many labels; the same for the same seed. They name no domain."""
    random = Random(seed)
    return [_label(words, random) for _ in range(count)]


def _label(words: str, random: Random) -> Label:
    gain, first, second = _TOPICS[random.choice(list(_TOPICS))]
    own = {"first": first, "second": second, "all": f"{first} {second}"}[words].split()
    common = _COMMON.split()
    size = random.randint(5, 14)
    text = " ".join(random.choice(own if random.random() < 0.4 else common) for _ in range(size))
    weak = 0.5 + random.gauss(0.0, _NOISE)
    return Label(prompt=text, score_strong=weak + gain + random.gauss(0.0, _NOISE), score_weak=weak)
