"""Requests made up from a seed: arrivals, lengths, shared prefixes and conversations.

Blocks of a prompt are numbers that only equal prefixes share, as chained hashes would be. Arrivals
of an open loop are a generator: a million of them take no room. The law: the same seed gives the
same requests, whoever answers them and however quickly.
"""

from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, count
from math import exp, log
from random import Random
from statistics import NormalDist

from towplane.simulation.arrival import Arrival

__all__ = ["Burst", "Conversations", "Lengths", "Prefixes", "conversation", "mixed", "poisson"]

SLICES = 4096
_WIDTH = 1 << 64
_REST = Arrival(0.0, 0, 0)[7:]


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lognormal lengths in tokens."""

    mean: int
    sigma: float = 0.8
    """Of the logarithm; 0: all alike. The Azure conversation trace has about 1.1 (input)."""
    most: int = 32_768

    @lru_cache(maxsize=64)  # noqa: B019 - frozen, and a scenario has few
    def table(self) -> list[int]:
        """`SLICES` quantiles, each as likely as the others: to draw from at the cost of a look."""
        if not self.sigma:
            return [self.mean] * SLICES
        normal = NormalDist(-self.sigma * self.sigma / 2, self.sigma)
        lengths = (self.mean * exp(normal.inv_cdf((k + 0.5) / SLICES)) for k in range(SLICES))
        return [max(1, min(self.most, int(length + 0.5))) for length in lengths]


@dataclass(frozen=True, slots=True)
class Burst:
    """Between two moments the rate is so many times the usual."""

    since: float
    until: float
    times: float


@dataclass(frozen=True, slots=True)
class Prefixes:
    """Prompts that begin alike: documents, tools, long instructions."""

    count: int
    tokens: int
    skew: float = 1.0
    """Zipf's exponent: the k-th is asked k^-skew times as often as the first; 0: all alike."""


@dataclass(frozen=True, slots=True)
class Conversations:
    """Threads of turns, each of which has all before it as its prefix."""

    turns: float = 8.0
    """Mean number; those above `least` are geometric."""
    first: Lengths = Lengths(220)
    """Tokens of the first message."""
    message: Lengths = Lengths(80)
    """Of each later one."""
    answer: Lengths = Lengths(240, most=1024)
    system: int = 0
    """Tokens of a system prompt that all share."""
    most: int = 8192
    """A thread ends before its context is longer."""
    least: int = 1
    """Turns that every thread has, unless it grows too long."""


def poisson(
    rng: Random,
    *,
    rate: float,
    prompt: Lengths,
    answer: Lengths,
    seconds: float,
    block: int = 64,
    tenants: Sequence[float] = (1.0,),
    bursts: Sequence[Burst] = (),
    prefixes: Prefixes | None = None,
) -> Iterator[Arrival]:
    """Independent requests: exponential gaps at `rate` per second, times the bursts."""
    now = 0.0
    random, new = rng.random, tuple.__new__
    prompts, answers = prompt.table(), answer.table()
    names = [f"tenant-{number}" for number in range(len(tenants))]
    tenant = names[0]
    cut = _cut(tenants)
    popular = _cut([(k + 1) ** -prefixes.skew for k in range(prefixes.count)]) if prefixes else None
    shared, prefix = 0, 0
    blocks: tuple[int, ...] = ()
    most = max((burst.times for burst in bursts), default=1.0)
    most = max(most, 1.0)
    while True:
        now -= log(1.0 - random()) / (rate * most)
        if now >= seconds:
            return
        if bursts and random() * most >= _times(bursts, now):
            continue  # thinning: Lewis and Shedler, 1979
        if len(names) > 1:
            tenant = names[cut(random())]
        if prefixes is not None and popular is not None:
            group = popular(random())
            prefix = mixed(group + 1)
            shared = prefixes.tokens
            blocks = tuple(range((group + 1) << 32, ((group + 1) << 32) + shared // block))
        tokens = shared + prompts[int(random() * SLICES)]
        output = answers[int(random() * SLICES)]
        # As `Arrival(...)`, in half its time.
        yield new(Arrival, (now, tokens, output, tenant, 0, prefix, blocks, *_REST))


def conversation(
    user: int, shape: Conversations, seed: int, *, block: int = 64, tenants: int = 1
) -> Iterator[Arrival]:
    """Every turn of every thread of one user, without end; the times are the caller's."""
    rng = Random(f"{seed}:{user}")
    tenant = f"tenant-{user % tenants}"
    firsts, messages = shape.first.table(), shape.message.table()
    answers = shape.answer.table()
    random = rng.random
    thread = 0
    system_blocks = shape.system // block
    system = range(1 << 60, (1 << 60) + system_blocks)
    while True:
        thread += 1
        own = mixed(seed << 40 ^ user << 20 ^ thread)
        base = own >> 2 << 14  # room for 16,384 blocks below it
        context = shape.system
        tokens = firsts[int(random() * SLICES)]
        for turn in count(1):
            output = answers[int(random() * SLICES)]
            prompt = context + tokens
            if prompt + output > shape.most:
                break
            context = prompt + output
            yield Arrival(
                0.0, prompt, output, tenant, own, own,
                _laid(system, base, prompt // block), _laid(system, base, context // block),
            )  # fmt: skip
            if turn >= shape.least and random() * (shape.turns - shape.least + 1) < 1:
                break
            tokens = messages[int(random() * SLICES)]


def mixed(number: int) -> int:
    """A number as a hash of 64 bits would be (SplitMix64)."""
    number = (number + 0x9E3779B97F4A7C15) % _WIDTH
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 % _WIDTH
    number = (number ^ number >> 27) * 0x94D049BB133111EB % _WIDTH
    return number ^ number >> 31


def _laid(system: range, base: int, count: int) -> tuple[int, ...]:
    """The first blocks of a thread: those that all share, then its own."""
    if count <= len(system):
        return tuple(system[:count])
    return (*system, *range(base, base + count - len(system)))


def _times(bursts: Sequence[Burst], now: float) -> float:
    return next((burst.times for burst in bursts if burst.since <= now < burst.until), 1.0)


def _cut(weights: Sequence[float]) -> Callable[[float], int]:
    """From a number in [0, 1) to a place, in proportion to the weights."""
    bounds = list(accumulate(weights))
    total = bounds[-1]
    return lambda chance: min(bisect(bounds, chance * total), len(bounds) - 1)
