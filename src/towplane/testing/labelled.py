"""Labelled prompts of a known kind, to try scorers on: what there is to learn is put in by hand.

Prompts are made-up words. Strong is better by `GAP` on average in every kind; what differs is what
a prompt says about its own difference. Scores carry noise that no scorer can know.
"""

from random import Random
from typing import Literal

from towplane.routing.complexity.labels import Label

__all__ = ["GAP", "Kind", "make_labels"]

Kind = Literal["noise", "even", "length", "shortness", "domain"]
"""noise: nothing about a prompt says anything. even: nor is strong better. length: long prompts
gain more, whatever their words. shortness: short ones do. domain: prompts of some domains gain
more, whatever their length."""

GAP = 0.3
_NOISE = 0.15
_GAINS = {"chat": 0.0, "law": 0.2, "code": 0.35, "maths": 0.65}
_COMMON = 300
_OWN = 60
"""Words of each domain."""


def make_labels(kind: Kind, count: int, seed: int) -> list[Label]:
    """So many labels of a kind; the same for the same seed."""
    random = Random(seed)
    words = _make_words(Random(1))  # of one language, whatever the seed
    return [_label(kind, words, random) for _ in range(count)]


def _make_words(random: Random) -> dict[str, list[str]]:
    def word() -> str:
        return "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=random.randint(3, 9)))

    return {"": [word() for _ in range(_COMMON)]} | {
        domain: [word() for _ in range(_OWN)] for domain in _GAINS
    }


def _label(kind: Kind, words: dict[str, list[str]], random: Random) -> Label:
    domain = random.choice(list(_GAINS))
    size = int(random.lognormvariate(3.0, 0.9)) + 3
    text = " ".join(
        random.choice(words[domain if random.random() < 0.3 else ""]) for _ in range(size)
    )
    long = min(1.0, size / 60)
    gain = {
        "noise": GAP,
        "even": 0.0,
        "length": 2 * GAP * long,
        "shortness": 2 * GAP * (1 - long),
        "domain": _GAINS[domain],
    }[kind]
    weak = 0.5 + random.gauss(0.0, _NOISE)
    strong = 0.5 + gain + random.gauss(0.0, _NOISE)
    return Label(prompt=text, score_strong=strong, score_weak=weak, domain=domain)
