"""Confidence sequences: intervals that hold at all times at once, by the kind of what is measured.

    rates    errors               beta mixture of Bernoulli likelihoods: Robbins, "Statistical
                                  methods related to the law of the iterated logarithm", 1970;
                                  Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric,
                                  nonasymptotic confidence sequences", Annals of Statistics 2021
    bounded  scores               predictable plug-in empirical Bernstein: Waudby-Smith, Ramdas,
                                  "Estimating means of bounded random variables by betting",
                                  JRSS B 2024, theorem 2
    means    times, money, counts normal mixture with a plugged-in variance, an asymptotic sequence:
                                  Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform
                                  central limit theory and asymptotic confidence sequences",
                                  Annals of Statistics 2024, theorem 2.2

The first two hold for any number of observations, the third for many. Its variance may be that of
clusters (Deng, Knoblich, Lu, "Applying the delta method in metric analytics", KDD 2018). Knows no
arm and no metric.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple, Protocol

__all__ = ["Bounded", "Evidence", "Interval", "Means", "Rates", "Sums", "means_of", "rho_squared"]


class Interval(NamedTuple):
    """From and to, both included."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether it contains this."""
        return self.low <= value <= self.high


class Evidence(Protocol):
    """What is known of one mean."""

    @property
    def n(self) -> int:
        """Independent observations."""
        ...

    @property
    def mean(self) -> float: ...

    def interval(self, alpha: float) -> Interval:
        """Where the true mean is; at all times at once with probability 1 − alpha."""
        ...


class Rates:
    """Of events that happened or not. Order-free."""

    __slots__ = ("events", "n")

    def __init__(self, events: int, n: int) -> None:
        self.events = events
        self.n = n

    @property
    def mean(self) -> float:
        """The share of those that happened."""
        return self.events / self.n if self.n else math.nan

    def interval(self, alpha: float) -> Interval:
        """Rates under which the mixture of all others is not 1/alpha times as likely."""
        yes, no = self.events, self.n - self.events
        if not self.n:
            return Interval(0.0, 1.0)
        mixed = _log_beta(yes + 0.5, no + 0.5) - _log_beta(0.5, 0.5)  # Jeffreys' mixture
        most = mixed + math.log(alpha)

        def is_out(rate: float) -> bool:
            return _times_log(yes, rate) + _times_log(no, 1.0 - rate) < most

        best = self.mean
        low = _edge(is_out, 0.0, best) if yes else 0.0
        high = _edge(is_out, 1.0, best) if no else 1.0
        return Interval(low, high)


class Bounded:
    """Of values between two ends, in the order in which they came.

    The bets (lambda) are tuned to one alpha and hold for every alpha.
    """

    __slots__ = (
        "_bets",
        "_least",
        "_penalty",
        "_spread",
        "_sum",
        "_sum_of_bets",
        "_tuned",
        "_width",
        "n",
    )

    def __init__(self, least: float, most: float, alpha: float) -> None:
        self._least = least
        self._width = most - least
        self._tuned = 2.0 * math.log(2.0 / alpha)
        self.n = 0
        self._sum = 0.5  # the theorem's prior observation of 1/2, with variance 1/4
        self._spread = 0.25
        self._bets = self._sum_of_bets = self._penalty = 0.0

    def add(self, value: float) -> None:
        """The next value."""
        x = (value - self._least) / self._width
        before = self._sum / (self.n + 1)
        self.n += 1
        n = self.n
        variance = self._spread / n
        bet = min(math.sqrt(self._tuned / (variance * n * math.log(1.0 + n))), 0.5)
        self._bets += bet
        self._sum_of_bets += bet * x
        self._penalty += (x - before) ** 2 * (-math.log1p(-bet) - bet)
        self._sum += x
        self._spread += (x - self._sum / (n + 1)) ** 2

    @property
    def mean(self) -> float:
        """Of the values as they are, not by their bets."""
        if not self.n:
            return math.nan
        return self._least + self._width * (self._sum - 0.5) / self.n

    def interval(self, alpha: float) -> Interval:
        """Around the mean by bets."""
        if not self.n:
            return Interval(self._least, self._least + self._width)
        centre = self._sum_of_bets / self._bets
        radius = (math.log(2.0 / alpha) + self._penalty) / self._bets
        low, high = max(0.0, centre - radius), min(1.0, centre + radius)
        return Interval(self._least + self._width * low, self._least + self._width * high)


class Sums:
    """Counts and sums of whole numbers: exact, so that no order of adding or merging matters."""

    __slots__ = ("n", "squares", "total")

    def __init__(self) -> None:
        self.n = self.total = self.squares = 0

    def add(self, value: int) -> None:
        """One value."""
        self.n += 1
        self.total += value
        self.squares += value * value

    def merge(self, other: "Sums") -> None:
        """Those of another."""
        self.n += other.n
        self.total += other.total
        self.squares += other.squares


class Means(NamedTuple):
    """Of numbers without ends."""

    n: int
    mean: float
    variance: float
    """Of the mean."""
    rho2: float
    """How the mixture is tuned (`rho_squared`)."""

    def interval(self, alpha: float) -> Interval:
        """Around the mean."""
        if self.n < 2:
            return Interval(-math.inf, math.inf)
        radius = mixture_radius(self.variance, self.n * self.rho2, alpha)
        return Interval(self.mean - radius, self.mean + radius)


def means_of(sums: Sums, rho2: float, clusters: Iterable[Sums] | None = None) -> Means:
    """What sums say of their mean. With `clusters`, whose sums they are, the clusters are what is
    independent, and not each value."""
    if not sums.n:
        return Means(0, math.nan, math.inf, rho2)
    mean = sums.total / sums.n
    if clusters is None:
        if sums.n < 2:
            return Means(sums.n, mean, math.inf, rho2)
        spread = sums.squares * sums.n - sums.total * sums.total  # whole, so that nothing cancels
        return Means(sums.n, mean, spread / sums.n**2 / (sums.n - 1), rho2)
    count, numerator = 0, 0
    for cluster in clusters:
        if cluster.n:
            count += 1
            numerator += (cluster.total * sums.n - sums.total * cluster.n) ** 2
    if count < 2:
        return Means(count, mean, math.inf, rho2)
    return Means(count, mean, numerator / sums.n**4 * count / (count - 1), rho2)


def rho_squared(alpha: float, n: float) -> float:
    """Tunes the mixture so that the interval is tightest at `n` observations (Waudby-Smith et al.
    2024, equation 24)."""
    twice = -2.0 * math.log(alpha)
    return (twice + math.log(twice + 1.0)) / n


def mixture_radius(variance: float, information: float, alpha: float) -> float:
    """Half the width for the variance of a mean and n·ρ²."""
    if math.isinf(variance):
        return math.inf
    grown = information + 1.0
    return math.sqrt(variance * grown / information * math.log(grown / alpha**2))


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _times_log(count: int, rate: float) -> float:
    if not count:
        return 0.0
    return count * math.log(rate) if rate > 0.0 else -math.inf


def _edge(is_out: "_Test", out: float, inside: float) -> float:
    """Between a rate that is out and one that is in."""
    for _ in range(50):  # halves to below 1e-15
        middle = (out + inside) / 2
        if is_out(middle):
            out = middle
        else:
            inside = middle
    return out


class _Test(Protocol):
    def __call__(self, rate: float) -> bool: ...
