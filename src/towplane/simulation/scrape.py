"""What simulated engines say of themselves, and when the gateway hears of it: old news.

Every second each engine's figures are read, and told a second later, as a page of metrics is a
second old before it is used (`routing.signals`). Only where the route looks at them. An engine that
is down says nothing; one that hangs goes on saying what it last did.
"""

from collections.abc import Sequence

from towplane.routing.signals import Signals
from towplane.routing.spec import RouteSpec
from towplane.simulation.agenda import Agenda
from towplane.simulation.engine import Engine
from towplane.simulation.target import Target

__all__ = ["Scrape", "looks_at_signals"]

EVERY_S = 1.0


def looks_at_signals(spec: RouteSpec) -> bool:
    """Whether something that the route asks for goes by what engines say."""
    return spec.choose == "scored" or (spec.overflow is not None and spec.overflow.when == "slow")


class Scrape:
    """The reading of some targets' engines."""

    __slots__ = ("_agenda", "_read", "_targets")

    def __init__(self, targets: Sequence[Target], agenda: Agenda) -> None:
        self._targets = [target for target in targets if target.is_own]
        self._agenda = agenda
        self._read: list[tuple[Target, Signals]] = []
        """What was read, and is not told yet."""
        agenda.at(agenda.now + EVERY_S, self._look, None)

    def _look(self, now: float, _: object) -> None:
        for target, said in self._read:
            target.load.told(said)
        self._read = [
            (target, _signals(target.server, now))
            for target in self._targets
            if isinstance(target.server, Engine) and not target.server.is_down
        ]
        self._agenda.at(now + EVERY_S, self._look, None)


def _signals(engine: Engine, now: float) -> Signals:
    cache = engine.cache
    seen = engine.hits + engine.prefilled
    return Signals(
        running=engine.running(),
        waiting=engine.waiting(),
        kv_used=cache.used / cache.capacity,
        hit_rate=engine.hits / seen if seen else None,
        read_at=now,
    )
