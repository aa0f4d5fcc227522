"""Faults by a script: what goes wrong with which target, when, and for how long.

A replica that crashed or came back is noticed by the plane only after a while, as its controller
would. Knows no policy: what follows from a fault is the line's affair.
"""

from collections.abc import Mapping, Sequence

from towplane.parts.errors import BadRequest
from towplane.simulation.agenda import Agenda
from towplane.simulation.provider import Provider
from towplane.simulation.scenario import EngineModel, FaultSpec
from towplane.simulation.target import Target

__all__ = ["plan_faults"]


def plan_faults(
    faults: Sequence[FaultSpec],
    targets: Mapping[str, Target],
    engines: Mapping[str, EngineModel],
    agenda: Agenda,
) -> None:
    """Note on the agenda what will go wrong, and what will be well again."""
    for fault in faults:
        hit = [
            target
            for name, target in targets.items()
            if name == fault.target or name.startswith(fault.target + "/")
        ]
        if not hit:
            known = ", ".join(list(targets)[:6])
            raise BadRequest(
                f"the fault at {fault.at_s:g} s hits `{fault.target}`, which is no target",
                next_step=f"name one of {known}, or the engine or provider before the slash",
            )
        for target in hit:
            model = engines.get(target.name.partition("/")[0], EngineModel())
            _Fault(fault, target, model.noticed_s).plan(agenda)


class _Fault:
    """One fault of one target."""

    __slots__ = ("_agenda", "_fault", "_noticed_s", "_target")

    _agenda: Agenda

    def __init__(self, fault: FaultSpec, target: Target, noticed_s: float) -> None:
        self._fault = fault
        self._target = target
        self._noticed_s = noticed_s

    def plan(self, agenda: Agenda) -> None:
        self._agenda = agenda
        agenda.at(self._fault.at_s, self._begin, None)
        if self._fault.for_s:
            agenda.at(self._fault.at_s + self._fault.for_s, self._end, None)

    def _begin(self, now: float, _: object) -> None:
        target, server = self._target, self._target.server
        match self._fault.what:
            case "kill" | "out":
                server.stop(now)
                if target.is_own:
                    self._agenda.at(now + self._noticed_s, self._notice, False)
            case "slow":
                server.slow = self._fault.times
            case "hang":
                target.hung_at = now
                server.hang()
            case "refuse":
                if isinstance(server, Provider):
                    server.refuses_s = self._fault.after_s

    def _end(self, now: float, _: object) -> None:
        target, server = self._target, self._target.server
        match self._fault.what:
            case "kill" | "out":
                server.start(now)
                if target.is_own:
                    self._agenda.at(now + self._noticed_s, self._notice, True)
            case "slow":
                server.slow = 1.0
            case "hang":
                server.start(now)
            case "refuse":
                if isinstance(server, Provider):
                    server.refuses_s = 0.0

    def _notice(self, now: float, is_ready: object) -> None:
        target = self._target
        target.is_ready = bool(is_ready)
        target.load.suspect()
        if is_ready:
            target.load.returned(now)
