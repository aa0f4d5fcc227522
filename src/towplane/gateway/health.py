"""What a worker does for its targets' health in its own time: compares, sees to progress, probes.

Called by the hall's sweep about once a second; no request waits for it, and routes without these
features cost a look at an empty list. It decides by the pure parts of `routing` (outliers,
progress) and acts on breakers and rosters. Each worker judges by what it has seen itself.
"""

import math
from typing import TYPE_CHECKING

from towplane.gateway.counters import Edges
from towplane.gateway.probe import Probe, probe_route
from towplane.gateway.route_state import RouteState
from towplane.gateway.target_state import TargetState
from towplane.parts.errors import PlaneError
from towplane.routing.outliers import Done, Outliers
from towplane.routing.progress import Progress
from towplane.routing.spec import Probe as ProbeSpec

if TYPE_CHECKING:
    from towplane.gateway.attempt import Attempt
    from towplane.gateway.hall import Hall

__all__ = ["Health"]

_LOOK_S = 1.0
_STALLS_S = 5.0
"""How often stalls are looked for: a tenth of the default patience, so that who is stalled is found
well within two minutes."""


class _Compared:
    """A group of a route whose targets are compared."""

    __slots__ = ("model", "next_at", "number", "outliers")

    def __init__(self, model: str, number: int, outliers: Outliers) -> None:
        self.model, self.number, self.outliers = model, number, outliers
        self.next_at = 0.0


class _Probed:
    """A target that is probed."""

    __slots__ = ("attempts", "busy_at", "due_at", "probe", "route", "spec")

    def __init__(self, now: float) -> None:
        self.spec = ProbeSpec()
        self.route: RouteState
        self.probe: Probe | None = None
        self.due_at = math.inf
        self.attempts = 0
        self.busy_at = now
        """When it last had something to do, as far as was looked."""


class Health:
    """Of all targets of one worker."""

    __slots__ = ("_compared", "_hall", "_looked_at", "_probed", "_progress", "_stalls_at")

    def __init__(self, hall: "Hall") -> None:
        self._hall = hall
        self._compared: dict[tuple[str, int], _Compared] = {}
        self._probed: dict[str, _Probed] = {}
        self._progress: dict[str, Progress] = {}
        self._looked_at = self._stalls_at = 0.0

    def hold(self, edges: Edges) -> None:
        """A new snapshot: rosters are new; what was found out stays."""
        self._hold_compared()
        self._hold_probed(edges)
        self._progress = {n: one for n, one in self._progress.items() if n in self._hall.targets}

    def sweep(self, now: float) -> None:
        """What time says."""
        if now - self._looked_at < _LOOK_S:
            return
        self._looked_at = now
        for compared in self._compared.values():
            if now >= compared.next_at:
                self._compare(compared, now)
        if now - self._stalls_at >= _STALLS_S:
            self._stalls_at = now
            self._look_for_stalls(now)
        if not self._hall.draining:
            for name, probed in self._probed.items():
                self._look_at_probed(self._hall.targets[name], probed, now)

    # Outliers

    def _hold_compared(self) -> None:
        old, self._compared = self._compared, {}
        for model, route in self._hall.routes.items():
            spec = route.info.spec.outliers
            if spec is None:
                continue
            for number in range(len(route.groups)):
                known = old.get((model, number)) or _Compared(model, number, Outliers(spec))
                known.outliers.retune(spec)
                self._compared[model, number] = known
                self._show(known)

    def _compare(self, compared: _Compared, now: float) -> None:
        route = self._hall.routes[compared.model]
        spec = route.info.spec.outliers
        assert spec is not None
        compared.next_at = now + spec.every_s
        targets = route.groups[compared.number]
        before = compared.outliers.out.keys()
        compared.outliers.look({target.info.name: _done_by(target) for target in targets}, now)
        for target in targets:
            if target.info.name in before - compared.outliers.out.keys():
                target.load.returned(now)
        self._show(compared)

    def _show(self, compared: _Compared) -> None:
        """Tell the roster, which is what choosers look at."""
        roster = self._hall.routes[compared.model].chooser.rosters[compared.number]
        roster.outliers = {
            roster.places[name]: until
            for name, until in compared.outliers.out.items()
            if name in roster.places
        }

    # Progress

    def _look_for_stalls(self, now: float) -> None:
        """Targets whose streams wait and bring nothing: their breakers open, and what waits there
        is given up, to be tried elsewhere if the client has seen nothing of it."""
        waiting, token_at = self._waiting()
        for name, target in self._hall.targets.items():
            attempts = waiting.get(name, [])
            signals = target.load.signals
            if not attempts and signals is None:
                continue
            progress = self._progress.get(name)
            if progress is None:
                first_at = min((since for _, since in attempts), default=now)
                progress = self._progress[name] = Progress(first_at)
            progress.look(now, done=_brought_by(target), token_at=token_at.get(name, 0.0))
            if signals is not None:
                beat = signals.heartbeat if signals.is_fresh(now) else None
                progress.hear(now, beat=beat, running=signals.running or 0)
            limit_s = target.breaker.stalled_s
            stalled_s = progress.stalled_s(now, limit_s, [since for _, since in attempts])
            if stalled_s and target.breaker.state == "closed":
                target.breaker.trip(now, f"stalled: no token for {stalled_s:.0f} s")
                target.load.suspect()
                for attempt, since in attempts:
                    if now - since >= limit_s:
                        attempt.deadline = now  # its own clock ends it, at the next sweep

    def _waiting(self) -> tuple[dict[str, list[tuple["Attempt", float]]], dict[str, float]]:
        """By target: the streams that wait for a token, and since when; the time of the last token.
        Those whose client takes nothing wait for nobody."""
        waiting: dict[str, list[tuple[Attempt, float]]] = {}
        token_at: dict[str, float] = {}
        for x in self._hall.exchanges:
            for attempt in (x.attempt, x.rival):
                if attempt is None or attempt.is_over or not attempt.sent_at:
                    continue
                name, relay = attempt.target.info.name, attempt.relay
                if relay is not None and relay.last_at:
                    token_at[name] = max(relay.last_at, token_at.get(name, 0.0))
                if math.isfinite(attempt.deadline) and x.route is not None:
                    is_first = attempt.phase == "first_token"
                    limit_s = x.route.first_token_s if is_first else x.route.between_tokens_s
                    waiting.setdefault(name, []).append((attempt, attempt.deadline - limit_s))
        return waiting, token_at

    # Probes

    def _hold_probed(self, edges: Edges) -> None:
        hall, old = self._hall, self._probed
        self._probed = {}
        for model, route in hall.routes.items():
            spec = route.info.spec.probe
            if spec is None:
                continue
            asked = probe_route(model, spec, edges)
            for target in (target for group in route.groups for target in group):
                name = target.info.name
                probed = self._probed[name] = old.get(name) or _Probed(hall.now())
                probed.spec, probed.route = spec, asked
        for name, target in hall.targets.items():
            target.breaker.is_probed = name in self._probed

    def _look_at_probed(self, target: TargetState, probed: _Probed, now: float) -> None:
        if probed.probe is not None:
            if probed.probe in self._hall.exchanges:
                return
            probed.probe = None
        is_busy = target.in_flight or target.attempts != probed.attempts
        if is_busy:
            probed.busy_at, probed.attempts = now, target.attempts
        idle_s = probed.spec.idle_s
        is_idle = idle_s is not None and now - probed.busy_at >= idle_s
        if not target.may_be_probed(now) or (target.breaker.state == "closed" and not is_idle):
            probed.due_at = math.inf
            return
        # Between half and one and a half of it, so that workers do not probe in step.
        wait_s = probed.spec.every_s * (0.5 + self._hall.random())
        if probed.due_at == math.inf:
            probed.due_at = now if is_idle else now + wait_s
        if now >= probed.due_at and not self._hall.journal.is_short:
            probed.due_at = now + wait_s
            self._begin(target, probed)

    def _begin(self, target: TargetState, probed: _Probed) -> None:
        if not target.breaker.half_open():
            return
        try:
            probed.probe = Probe(self._hall, target, probed.route)
            probed.probe.begin()
        except PlaneError:
            probed.probe = None


def _done_by(target: TargetState) -> Done:
    ttft = target.ttft
    return Done(target.attempts, target.failures, sum(ttft.counts), ttft.total)


def _brought_by(target: TargetState) -> int:
    """How many attempts brought a first token or an answer."""
    return sum(target.ttft.counts) + sum(target.seconds.counts)
