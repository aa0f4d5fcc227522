"""Mirroring: some requests of a route are sent a second time, elsewhere, and nobody hears of it.

A request is mirrored once it was admitted and its first attempt runs; what is done for it in its
own turn is one draw, all else comes after. Shadows (`gateway.shadow`) are the first to be left out:
above `most` at once, while requests wait for anything, while the worker drains. They belong to an
account of the plane's own, with a key for each mirror whose budget the coordinator keeps as any
other's. The laws: no tenant's usage, budget or limit knows of a shadow; all shadows together cost
no more than the budget; a worker ends when its clients are done, whatever its shadows do.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from towplane.gateway.counters import Edges
from towplane.gateway.messages import RouteInfo
from towplane.gateway.mirror_accounts import mirror_accounts
from towplane.gateway.pairs import Both, Pairs
from towplane.gateway.route_state import RouteState
from towplane.gateway.shadow import Shadow
from towplane.gateway.target_state import TargetState
from towplane.monitoring.series import Sample
from towplane.parts.errors import PlaneError
from towplane.routing.breaker import Breaker
from towplane.routing.policies.chance import chance
from towplane.routing.spec import Breaker as BreakerSpec

if TYPE_CHECKING:
    from towplane.gateway.exchange import Exchange
    from towplane.gateway.hall import Hall

__all__ = ["Mirror", "Mirrors", "mirrored_breakers"]


def mirrored_breakers(routes: Iterable[RouteInfo]) -> dict[str, BreakerSpec]:
    """Breakers of targets that perhaps nothing but shadows goes to."""
    return {
        place.target: BreakerSpec()
        for route in routes
        if route.shadow is not None
        for group in route.shadow.groups
        for place in group
    }


class Mirror:
    """The mirror of one route in one worker."""

    __slots__ = ("_turn", "breaker", "caller", "dropped", "hall", "model", "pairs", "route",
                 "running", "sent", "spec")  # fmt: skip

    def __init__(self, hall: "Hall", info: RouteInfo, route: RouteState) -> None:
        self.hall = hall
        self.model = info.model
        self.breaker = Breaker(BreakerSpec())
        """Of all that shadows go to: they do not hammer what is down."""
        self.running: dict[Shadow, None] = {}
        self.sent = self.dropped = 0
        self.pairs = Pairs()
        self._turn = -1
        self.hold(info, route)

    def hold(self, info: RouteInfo, route: RouteState) -> None:
        """The same mirror, described anew."""
        assert info.spec.mirror is not None
        self.spec = spec = info.spec.mirror
        self.route = route
        self.pairs.hold(spec.keep, with_text=spec.text)
        _, (self.caller,) = mirror_accounts([(info.model, spec)])

    def reflect(self, x: "Exchange") -> None:
        """The first attempt of a request runs: draw whether it has a shadow. Never fails."""
        self._turn += 1
        if chance(self._turn) >= self.spec.share or not x.ask.operation.generates:
            return
        if self._is_too_much():
            self.dropped += 1
            return
        attempt = x.attempt
        both = self.pairs.watch(x, attempt) if attempt is not None else None
        self.hall.soon(self._begin, x, both)

    def ended(self, shadow: Shadow) -> None:
        """A shadow is gone."""
        self.running.pop(shadow, None)
        self.pairs.ended(shadow)

    def close(self) -> None:
        """Cut off what runs; it is accounted as far as it came."""
        for shadow in tuple(self.running):
            shadow.cut()
        self.pairs.close()

    def samples(self) -> Iterable[Sample]:
        """What was mirrored and what was left out."""
        yield Sample("towplane_mirrored_total", (self.model, "sent"), float(self.sent))
        yield Sample("towplane_mirrored_total", (self.model, "dropped"), float(self.dropped))

    def _is_too_much(self) -> bool:
        hall = self.hall
        return (
            len(self.running) >= self.spec.most
            or hall.draining
            or hall.has_waiting(self.caller.tenant)
        )

    def _begin(self, x: "Exchange", both: "Both | None") -> None:
        if self._is_too_much():
            self.dropped += 1
            return
        try:
            shadow = Shadow(self, x)
        except PlaneError:  # what the rewriting left makes no sense
            self.dropped += 1
            return
        self.pairs.expect(both, shadow)
        shadow.begin()


class Mirrors:
    """All mirrors of one worker, by the models of their routes."""

    __slots__ = ("_by_model", "_hall")

    def __init__(self, hall: "Hall") -> None:
        self._hall = hall
        self._by_model: dict[str, Mirror] = {}

    def hold(
        self, routes: dict[str, RouteState], targets: dict[str, TargetState], edges: Edges
    ) -> None:
        """A new snapshot. A mirror that is gone lets its shadows run out."""
        for model, route in routes.items():
            info = route.info
            if info.shadow is None or info.spec.mirror is None:
                route.mirror = None
                continue
            mirror = self._by_model.get(model)
            if mirror is None:
                hidden = RouteState(info.shadow, targets, edges)
                mirror = self._by_model[model] = Mirror(self._hall, info, hidden)
            else:
                mirror.route.update(info.shadow, targets, edges)
                mirror.hold(info, mirror.route)
            route.mirror = mirror

    def sweep(self, now: float) -> None:
        """End what is overdue."""
        for mirror in self._by_model.values():
            for shadow in tuple(mirror.running):
                shadow.deadline_passed(now)
            mirror.pairs.sweep()

    def close(self) -> None:
        """Cut off what runs."""
        for mirror in self._by_model.values():
            mirror.close()

    def samples(self) -> Iterable[Sample]:
        """All series."""
        for mirror in self._by_model.values():
            yield from mirror.samples()
