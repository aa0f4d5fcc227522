"""The best of several scores, weighed: what the engine says, what it has seen, what it is asked.

Filter, score, pick, as in llm-d's endpoint picker (llm-d-router, `pkg/epp`; its default weights are
queue 2, kv 2, prefix 3). Narrowings have filtered before. Each scorer says something from 0 to 1:

    queue      (max − q) / (max − min) of those compared; q: waiting there, and sent since
    kv         1 − share of its KV cache in use
    prefix     leading blocks of the prompt that it has seen / blocks
    lora       for an adapter: 1 it runs, 0.8 there is room for it, 0.6 it waits, else 0
    in_flight  1 / (1 + f / (mean + 1)); f: under way, as we count or as the engine says, if more
    latency    quickest / its peak EWMA of the time to the first token; never heard of: 1
    cost       cheapest / its estimated cost of this request; unknown: 0

Score = Σ weight × scorer / Σ weight, the highest wins, ties go round. Where an engine does not say,
or said it too long ago, `in_flight` stands in for its queue and its cache: without signals all
three weights are on it, and an idle target takes a prompt from one that has seen all of it as soon
as that has more than 1.5 × (mean + 1) under way. So a hot prefix spreads.

Scored is a shortlist: four of those that have seen the most of the prompt, the one with the least
under way (of more than 256: among 256 of them, others each turn), two by chance (which find what
the others overlook, and spread the errors of old news), and some that run the adapter; of up to
eight, all. The law: the pick is the best of the shortlist.

When: engines that tell of themselves, long shared prefixes, adapters. When not: a handful of equal
targets (`least-in-flight`), or several gateways that must agree without talking (`chwbl`).
"""

from collections.abc import Collection, Sequence
from math import inf
from typing import ClassVar, Final

from towplane.routing.demand import Demand, Want
from towplane.routing.load import Load
from towplane.routing.policies.policy import Choice, Policy
from towplane.routing.policies.scan import LAST, but_parked, first_lowest, lowest, nth_left
from towplane.routing.policies.seen import SeenPrompts
from towplane.routing.roster import Roster
from towplane.routing.signals import Signals
from towplane.routing.spec import RouteSpec

__all__ = ["Scored"]

_ALL: Final = 8
"""So many are all scored."""
_HOLDERS: Final = 4
_ODD: Final = 2
_WINDOW: Final = 256
"""Of so many the least busy is looked for: the best of 256 is in the best 1/257 in the mean."""
_STRIDE = 0x9E3779B1
"""By chance: multiples of the turn. A prime near 2³²/φ (xxHash's), which fleets are not a multiple
of."""
_LOOKED_AT: Final = 16
"""Of many that have seen the same, so many are compared."""


class Scored:
    """The highest weighted score."""

    wants: ClassVar[frozenset[Want]] = frozenset(("blocks", "size"))

    def __init__(self, roster: Roster, spec: RouteSpec) -> None:
        self._roster = roster
        self._spec = spec.scoring
        self._seen = SeenPrompts(roster, spec.prefix)
        count = len(roster)
        # What is compared, by place, brought up to date when a load changes.
        self._busy = [0.0] * count
        """Under way per weight, as we count or as the engine says; `LAST` where nothing weighs."""
        self._own = [0.0] * count
        """As we count."""
        self._busy_until = [inf] * count
        """Until when an engine's word may be believed that stands in `_busy`."""
        self._waiting = [0.0] * count
        self._free = [0.0] * count
        """Of the KV cache."""
        self._queue_until = [-inf] * count
        """Until when what waits is known."""
        self._free_until = [-inf] * count
        self._hears = False
        """Whether some engine has ever said something."""
        self._all_busy = 0.0
        for place in range(count):
            self._changed(place)
        roster.watchers.append(self._changed)

    def choose(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> int:
        """The best of the shortlist."""
        places, scores = self._compare(demand, barred, turn, now)
        best = max(scores)
        ties = scores.count(best)
        if ties == 1:
            return places[scores.index(best)]
        tied = [place for place, score in zip(places, scores, strict=True) if score == best]
        return tied[turn % ties]

    def weigh(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> Choice:
        """With the score of each on the shortlist."""
        place = self.choose(demand, barred, turn, now)
        spec = self._spec
        total = spec.in_flight + spec.queue + spec.kv + spec.prefix + spec.latency + spec.cost
        total += spec.lora if demand.adapter else 0.0
        by_place: list[float | None] = [None] * len(self._roster)
        for at, score in zip(*self._compare(demand, barred, turn, now), strict=True):
            by_place[at] = score / (total or 1.0)
        return Choice(place, self._say(place, demand, now), tuple(by_place))

    def began(self, place: int, demand: Demand, now: float) -> int:
        """It has seen this prompt."""
        return self._seen.note(place, demand)

    def adopt(self, old: Policy) -> None:
        """What the targets have seen, by their names."""
        assert isinstance(old, Scored)
        self._seen.adopt(old._seen)

    # The scores

    def _compare(
        self, demand: Demand, barred: Collection[int], turn: int, now: float
    ) -> tuple[list[int], list[float]]:
        """The shortlist, and the weighted sum of each."""
        roster, spec = self._roster, self._spec
        busy = self._busy
        places, depths = self._shortlist(demand, but_parked(roster, barred), turn)
        even = self._all_busy / len(roster) + 1.0
        shares = self._seen.shares(demand, depths)
        if not self._hears:
            on_idle = (spec.in_flight + spec.queue + spec.kv) * even
            scores = [
                on_idle / (even + busy[place]) + spec.prefix * share
                for place, share in zip(places, shares, strict=True)
            ]
        else:
            scores = self._judge(places, shares, even, now)
        if not (demand.adapter or spec.latency or spec.cost):
            return places, scores
        loads = [roster.loads[place] for place in places]
        more = [
            _lora(loads, demand.adapter, spec.lora, now),
            _latency(loads, spec.latency, now),
            _cost(loads, demand, spec.cost),
        ]
        return places, [sum(each) for each in zip(scores, *more, strict=True)]

    def _judge(
        self, places: list[int], shares: Sequence[float], even: float, now: float
    ) -> list[float]:
        """The weighted sums where engines speak."""
        busy, own, busy_until = self._busy, self._own, self._busy_until
        free, free_until = self._free, self._free_until
        queues, spec = self._queues(places, now), self._spec
        on_idle, on_queue, on_kv = spec.in_flight, spec.queue, spec.kv
        scores = []
        for place, share, queue in zip(places, shares, queues, strict=True):
            idle = even / (even + (busy[place] if busy_until[place] >= now else own[place]))
            scores.append(
                on_idle * idle
                + on_queue * (idle if queue is None else queue)
                + on_kv * (free[place] if free_until[place] >= now else idle)
                + spec.prefix * share
            )
        return scores

    def _queues(self, places: list[int], now: float) -> list[float | None]:
        """Scores of the queues; None: unknown."""
        waiting, until = self._waiting, self._queue_until
        known = [waiting[place] for place in places if until[place] >= now]
        if not known:
            return [None] * len(places)
        most = max(known)
        width = most - min(known)
        if not width:
            return [1.0 if until[place] >= now else None for place in places]
        return [
            (most - waiting[place]) / width if until[place] >= now else None for place in places
        ]

    # The shortlist

    def _shortlist(
        self, demand: Demand, barred: Collection[int], turn: int
    ) -> tuple[list[int], list[float]]:
        """Places, and how many blocks of the prompt each has seen."""
        roster, seen = self._roster, self._seen
        count = len(roster) - len(barred)
        if count <= _ALL:
            places = [place for place in range(len(roster)) if place not in barred]
            return places, seen.depths_of(demand, places)
        found: dict[int, float] = {}
        levels = seen.levels(demand, barred)
        for depth, mask in levels:
            for place in self._least_busy(seen.places_in(mask), turn, _HOLDERS - len(found)):
                found.setdefault(place, depth)
            if len(found) >= _HOLDERS:
                break
        odd = turn * _STRIDE
        others = [self._idlest(odd, barred, turn)]
        others += [nth_left((odd + n * count // _ODD) % count, barred) for n in range(_ODD)]
        if demand.adapter:
            others += self._runners(demand.adapter, barred)
        for place in others:
            if place in found:
                continue
            found[place] = 0.0
            for depth, mask in levels:
                if seen.has(mask, place):
                    found[place] = depth
                    break
        return [*found], [*found.values()]

    def _idlest(self, odd: int, barred: Collection[int], turn: int) -> int:
        """The one with the least under way; of many, of a window that moves from turn to turn."""
        busy = self._busy
        if len(busy) <= _WINDOW:
            return first_lowest(busy, barred, turn)
        start = odd % len(busy)
        window = busy[start : start + _WINDOW]
        if len(window) < _WINDOW:
            window += busy[: _WINDOW - len(window)]
        place = (start + window.index(min(window))) % len(busy)
        return lowest(busy, barred, turn) if place in barred else place

    def _least_busy(self, places: list[int], turn: int, most: int) -> list[int]:
        """Of many, those with the least under way among some that differ from turn to turn."""
        if len(places) > _LOOKED_AT:
            step = len(places) // _LOOKED_AT
            places = places[turn % step :: step]
        return sorted(places, key=self._busy.__getitem__)[:most] if len(places) > most else places

    def _runners(self, adapter: str, barred: Collection[int]) -> list[int]:
        """Some that run this adapter, as they last said."""
        found = [
            place
            for place, load in enumerate(self._roster.loads)
            if load.signals is not None
            and load.signals.adapters is not None
            and adapter in load.signals.adapters
            and place not in barred
        ]
        return self._least_busy(found, 0, _HOLDERS)

    # What is known

    def _changed(self, place: int) -> None:
        roster, before = self._roster, self._busy[place]
        weight, in_flight = roster.weights[place], roster.in_flight[place]
        if not weight:
            self._busy[place] = self._own[place] = LAST
            return
        self._own[place] = self._busy[place] = in_flight / weight
        load = roster.loads[place]
        if load.signals is not None:
            self._hears = True
            self._hear(place, load.signals, load.sent_since())
        self._all_busy += self._busy[place] - before

    def _hear(self, place: int, said: Signals, sent: int) -> None:
        """Keep what its engine says, with what was sent since on top. Old news stays in `_busy`,
        which finds who may be idle, but is not scored."""
        until = said.read_at + said.fresh_s
        if said.waiting is not None:
            self._waiting[place] = said.waiting + sent
            self._queue_until[place] = until
        if said.kv_used is not None:
            self._free[place] = 1.0 - said.kv_used
            self._free_until[place] = until
        if said.running is not None:
            told = said.running + (said.waiting or 0) + sent
            self._busy[place] = max(self._own[place], told / self._roster.weights[place])
            self._busy_until[place] = until

    def _say(self, place: int, demand: Demand, now: float) -> str:
        """In words, what spoke for it."""
        words = []
        if demand.blocks or demand.cached is not None:
            words.append(self._seen.say(place, demand))
        said = self._roster.loads[place].known(now)
        if said is not None and said.waiting is not None:
            words.append(f"{said.waiting} waiting")
        if said is not None and said.kv_used is not None:
            words.append(f"KV cache {said.kv_used:.0%} full")
        if said is not None and demand.adapter and demand.adapter in (said.adapters or ()):
            words.append(f"runs {demand.adapter}")
        words.append(f"{self._roster.in_flight[place]} in flight")
        return f"the highest score: {', '.join(words)}"


def _lora(loads: Sequence[Load], adapter: str, weight: float, now: float) -> list[float]:
    """llm-d's steps."""
    return [weight * _step(load.known(now), adapter) if adapter else 0.0 for load in loads]


def _step(said: Signals | None, adapter: str) -> float:
    if said is None or said.adapters is None:
        return 0.0
    if adapter in said.adapters:
        return 1.0
    if said.adapters_most is not None and len(said.adapters) < said.adapters_most:
        return 0.8
    return 0.6 if said.adapters_waiting is not None and adapter in said.adapters_waiting else 0.0


def _latency(loads: Sequence[Load], weight: float, now: float) -> list[float]:
    if not weight:
        return [0.0] * len(loads)
    seconds = [load.latency.estimate_s(now) for load in loads]
    least = min((one for one in seconds if one is not None), default=0.0)
    return [weight if one is None else weight * least / one for one in seconds]


def _cost(loads: Sequence[Load], demand: Demand, weight: float) -> list[float]:
    if not weight:
        return [0.0] * len(loads)
    costs = [
        load.price[0] * demand.tokens + load.price[2] * demand.output if load.price else None
        for load in loads
    ]
    least = min((one for one in costs if one is not None), default=0)
    return [0.0 if one is None else weight * least / one if one else weight for one in costs]
