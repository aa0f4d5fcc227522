"""Outliers: a target that is much worse than the others of its group is left out for a while.

Every `every_s` each target is judged by what it did since the last time, against all others of its
group together: an outlier fails `gap` more of its attempts than they do, or takes `slower` times
their mean to the first token. It is left out for base × n seconds, n being how often that came in
succession (Envoy's outlier detection: 30 s, 300 s at most, a tenth of the hosts or one), the worst
first, never more than the ceiling. Being left out is a preference (`routing.narrowings`): where
nobody else is usable an outlier is asked all the same. Pure; the clock is passed in.

When not: below three targets with traffic nobody can tell who is the outlier; a target that fails
for itself is the breaker's business.
"""

from collections.abc import Collection, Mapping
from functools import reduce
from typing import NamedTuple

from towplane.routing.demand import Demand, Want
from towplane.routing.roster import Roster
from towplane.routing.spec import Outliers as OutliersSpec

__all__ = ["Done", "LeaveOutliers", "Outliers", "most_out"]

_JUDGES = 2
"""Others with traffic that are needed to judge one."""


class Done(NamedTuple):
    """What a target did, counted since somebody began to."""

    attempts: int = 0
    failures: int = 0
    waits: int = 0
    """First tokens."""
    waited_s: float = 0.0
    """What they took, together."""

    def since(self, before: "Done") -> "Done":
        """What came after `before`; a target that began anew did all of it after."""
        if self.attempts < before.attempts or self.waits < before.waits:
            return self
        return Done(
            self.attempts - before.attempts,
            self.failures - before.failures,
            self.waits - before.waits,
            self.waited_s - before.waited_s,
        )

    def plus(self, other: "Done") -> "Done":
        """Both together."""
        return Done(
            self.attempts + other.attempts,
            self.failures + other.failures,
            self.waits + other.waits,
            self.waited_s + other.waited_s,
        )


def most_out(share: float, size: int) -> int:
    """How many of a group may be left out at once: the share, but at least one, and never all."""
    return min(max(1, int(share * size + 1e-9)), size - 1)


class Outliers:
    """The outliers of one group of a route, in one worker."""

    __slots__ = ("_before", "_spec", "_times", "out")

    def __init__(self, spec: OutliersSpec) -> None:
        self._spec = spec
        self._before: dict[str, Done] = {}
        self._times: dict[str, int] = {}
        """How often each was left out in succession."""
        self.out: dict[str, float] = {}
        """Who is left out, and until when."""

    def retune(self, spec: OutliersSpec) -> None:
        """Other settings hold from now on."""
        self._spec = spec

    def look(self, done: Mapping[str, Done], now: float) -> list[str]:
        """Judge the targets of the group by what they did since the last look; who is left out from
        now on. Those whose time is over are in again, before anyone is judged."""
        fresh = {name: each.since(self._before.get(name, Done())) for name, each in done.items()}
        is_first = not self._before
        self._before = dict(done)
        self.out = {n: until for n, until in self.out.items() if until > now and n in done}
        self._times = {n: times for n, times in self._times.items() if n in done}
        if is_first:
            return []
        worst = sorted(self._judge(fresh).items(), key=lambda one: -one[1])
        room = most_out(self._spec.most, len(done)) - len(self.out)
        found = [name for name, _ in worst if name not in self.out][: max(0, room)]
        for name in found:
            times = self._times[name] = self._times.get(name, 0) + 1
            self.out[name] = now + min(self._spec.base_s * times, self._spec.longest_s)
        for name in self._times.keys() - self.out.keys():
            if fresh[name].attempts >= self._spec.volume:
                self._times[name] = max(0, self._times[name] - 1)
        return found

    def _judge(self, fresh: Mapping[str, Done]) -> dict[str, float]:
        """The outliers, with how bad each is: 1 is the limit."""
        spec = self._spec
        seen = {
            name: each
            for name, each in fresh.items()
            if each.attempts >= spec.volume and name not in self.out
        }
        if len(seen) <= _JUDGES:
            return {}
        total = reduce(Done.plus, seen.values())
        found: dict[str, float] = {}
        for name, each in seen.items():
            others = total.since(each)
            fails = each.failures / each.attempts - others.failures / others.attempts
            bad = fails / spec.gap if spec.gap else 0.0
            if each.waits >= spec.volume and others.waits and others.waited_s:
                mean = each.waited_s / each.waits
                bad = max(bad, mean / (spec.slower * others.waited_s / others.waits))
            if bad > 1.0:
                found[name] = bad
        return found


class LeaveOutliers:
    """The narrowing: who is left out is not chosen, unless nobody else is there."""

    name = "it is an outlier: much worse than the others lately"
    wants: frozenset[Want] = frozenset()

    def bars(self, roster: Roster, demand: Demand, now: float) -> Collection[int]:
        """Those whose time is not over."""
        out = roster.outliers
        if not out:
            return ()
        return [place for place, until in out.items() if now < until]
