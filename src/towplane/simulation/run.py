"""Runs a scenario: one policy and seed, or several policies on the same arrivals.

Composes the rest of this folder. The laws: the same scenario, policy and seed give the same report;
every policy gets the same requests.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from time import perf_counter

import msgspec

from towplane.document.plane import Plane
from towplane.parts.errors import BadRequest
from towplane.routing.policies import POLICIES
from towplane.routing.spec import RouteSpec
from towplane.simulation.agenda import Agenda, Dated
from towplane.simulation.arrival import Arrival
from towplane.simulation.clients import Manners, OpenLoop, Talks, Turn, Users
from towplane.simulation.engine import Engine
from towplane.simulation.faults import plan_faults
from towplane.simulation.fleet import Fleet
from towplane.simulation.line import Line
from towplane.simulation.report import (
    Moment,
    Report,
    TargetShare,
    TenantShare,
    jain,
    latency_of,
)
from towplane.simulation.scenario import LengthsSpec, PoissonSpec, Scenario, UsersSpec
from towplane.simulation.tally import Tally
from towplane.simulation.target import Target
from towplane.simulation.traces import read_trace
from towplane.simulation.workloads import (
    Burst,
    Conversations,
    Lengths,
    Prefixes,
    conversation,
    poisson,
)

__all__ = ["Source", "compare", "simulate"]

Source = Callable[[], Iterator[Arrival]]
"""Arrivals from elsewhere than the scenario says, anew at each call."""


def compare(
    scenario: Scenario,
    policies: Sequence[str],
    seeds: Sequence[int],
    *,
    plane: Plane | None = None,
    source: Source | None = None,
) -> list[Report]:
    """Each policy under each seed, by policy."""
    return [
        simulate(scenario, policy=policy, seed=seed, plane=plane, source=source)
        for policy in policies
        for seed in seeds
    ]


def simulate(
    scenario: Scenario,
    *,
    policy: str | None = None,
    seed: int | None = None,
    plane: Plane | None = None,
    source: Source | None = None,
    talks: Sequence[Sequence[Turn]] | None = None,
) -> Report:
    """One run; the policy is the route's and the seed the scenario's where none is given. `talks`
    are written conversations, one for each user, instead of the scenario's arrivals."""
    began = perf_counter()
    seed = scenario.seed if seed is None else seed
    model, spec = _route(scenario, plane)
    if policy is not None:
        if policy not in POLICIES:
            raise BadRequest(
                f"no such policy: `{policy}`", next_step=f"one of {', '.join(POLICIES)}"
            )
        spec = msgspec.structs.replace(spec, choose=policy)
    agenda = Agenda()
    tally = Tally(spec.slo, seconds=scenario.seconds, since=scenario.warmup_s)
    fleet = Fleet(scenario, spec, model, plane)
    # The turn begins anywhere, so that seeds differ where a policy takes its chance from it.
    turn = Random(f"{seed}:turn").getrandbits(20)
    line = Line(
        spec, fleet.groups, agenda=agenda, tally=tally, rng=Random(f"{seed}:line"), turn=turn,
        on=fleet.on,
    )  # fmt: skip
    fleet.open(agenda, line, seed)
    plan_faults(scenario.faults, fleet.targets, scenario.engines, agenda)
    clients, stream = _clients(scenario, line, tally, agenda, seed, source, talks)
    agenda.run(stream, clients.arrive, scenario.seconds)
    if isinstance(clients, Users):
        clients.close()
    agenda.run(iter(()), clients.arrive, scenario.seconds + scenario.drain_s)
    return _report(scenario, spec, seed, agenda, tally, line, fleet, perf_counter() - began)


def _route(scenario: Scenario, plane: Plane | None) -> tuple[str, RouteSpec]:
    if scenario.route is not None:
        return scenario.model or "model", scenario.route
    routes = plane.routing if plane is not None else {}
    model = scenario.model or (next(iter(routes)) if len(routes) == 1 else "")
    if model not in routes:
        known = ", ".join(routes) or "none"
        raise BadRequest(
            f"no route `{model}`" if model else "the scenario names no route",
            next_step=f"say `model:` in the scenario, or `--model`; the document has {known}",
        )
    return model, routes[model]


def _clients(
    scenario: Scenario,
    line: Line,
    tally: Tally,
    agenda: Agenda,
    seed: int,
    source: Source | None,
    talks: Sequence[Sequence[Turn]] | None,
) -> tuple[OpenLoop, Iterator[Dated]]:
    spec = scenario.clients
    manners = Manners(spec.patience_s, spec.retries, spec.first_s, spec.longest_s, spec.obeys)
    rng = Random(f"{seed}:clients")
    if talks is not None:
        return Talks(line, tally, agenda, manners, rng, talks=talks), iter(())
    users = scenario.arrivals.users
    if users is not None and source is None:
        shape = _conversations(users)

        def turns_of(number: int) -> Iterator[Arrival]:
            return conversation(number, shape, seed, block=scenario.block, tenants=users.tenants)

        closed = Users(
            line, tally, agenda, manners, rng,
            turns_of=turns_of, count=users.count, think_s=users.think_s, ramp_s=users.ramp_s,
        )  # fmt: skip
        return closed, iter(())
    stream = source() if source is not None else _stream(scenario, seed)
    return OpenLoop(line, tally, agenda, manners, rng), stream


def _stream(scenario: Scenario, seed: int) -> Iterator[Arrival]:
    trace, made_up = scenario.arrivals.trace, scenario.arrivals.poisson
    if trace is not None:
        return read_trace(
            Path(trace.file), speed=trace.speed, most=trace.most, key_tokens=trace.key_tokens
        )
    assert made_up is not None
    return _poisson(made_up, scenario, seed)


def _poisson(spec: PoissonSpec, scenario: Scenario, seed: int) -> Iterator[Arrival]:
    prefixes = spec.prefixes
    return poisson(
        Random(f"{seed}:arrivals"),
        rate=spec.rate,
        prompt=_lengths(spec.prompt),
        answer=_lengths(spec.answer),
        seconds=scenario.seconds,
        block=scenario.block,
        tenants=spec.tenants or (1.0,),
        bursts=[Burst(burst.since_s, burst.until_s, burst.times) for burst in spec.bursts],
        prefixes=Prefixes(prefixes.count, prefixes.tokens, prefixes.skew) if prefixes else None,
    )


def _conversations(spec: UsersSpec) -> Conversations:
    return Conversations(
        spec.turns, _lengths(spec.first), _lengths(spec.message), _lengths(spec.answer),
        spec.system, spec.most, spec.least,
    )  # fmt: skip


def _lengths(spec: LengthsSpec) -> Lengths:
    return Lengths(spec.mean, spec.sigma, spec.most)


def _report(
    scenario: Scenario,
    spec: RouteSpec,
    seed: int,
    agenda: Agenda,
    tally: Tally,
    line: Line,
    fleet: Fleet,
    wall_s: float,
) -> Report:
    seconds = scenario.seconds
    ended = tally.answers + tally.failed + tally.refused + tally.gave_up
    shares = [share.answers / share.asks for share in tally.tenants.values() if share.asks]
    is_priced = any(target.load.price is not None for target in fleet.targets.values())
    elapsed = seconds + scenario.drain_s
    return Report(
        policy=spec.choose,
        seed=seed,
        seconds=seconds,
        asks=tally.asks,
        requests=tally.requests,
        attempts=tally.attempts,
        answers=tally.answers,
        good=tally.good,
        failed=tally.failed,
        refused=tally.refused,
        gave_up=tally.gave_up,
        open=tally.asks - ended,
        ttft=latency_of(tally.ttft),
        itl=latency_of(tally.itl),
        total=latency_of(tally.total),
        goodput=tally.good / seconds,
        output_per_s=tally.output / (seconds - scenario.warmup_s),
        input=tally.input,
        cached=tally.cached,
        hit_rate=tally.cached / tally.input if tally.input else None,
        amplification=tally.attempts / tally.asks if tally.asks else None,
        fairness=jain(shares),
        cost_nanousd=round(tally.nanousd) if is_priced else None,
        fleet_nanousd=round(fleet.nanousd_per_s * seconds) if fleet.nanousd_per_s else None,
        causes=dict(sorted(tally.causes.items())),
        troubles=dict(sorted(tally.troubles.items())),
        retries_denied=line.retries_denied,
        targets=[_target(target, tally.attempts, elapsed) for target in fleet.targets.values()],
        tenants=[
            TenantShare(
                name, share.asks, share.answers, share.good, share.output,
                share.ttft_s / share.answers if share.answers else None,
            )
            for name, share in sorted(tally.tenants.items())
        ],
        moments=_moments(tally, seconds),
        events=agenda.events,
        ended_s=tally.ended_at,
        wall_s=wall_s,
    )  # fmt: skip


def _target(target: Target, attempts: int, elapsed: float) -> TargetShare:
    server = target.server
    return TargetShare(
        name=target.name,
        attempts=target.attempts,
        answers=target.answers,
        failures=target.failures,
        share=target.attempts / attempts if attempts else 0.0,
        hit_rate=target.cached / target.input if target.input else None,
        busy=min(1.0, server.busy_s / elapsed) if isinstance(server, Engine) else None,
        preemptions=server.preemptions if isinstance(server, Engine) else None,
        cost_nanousd=round(target.nanousd) if target.load.price is not None else None,
    )


def _moments(tally: Tally, seconds: float) -> list[Moment]:
    wide = seconds / len(tally.bins)
    return [
        Moment(
            at=number * wide,
            asks=one.asks / wide,
            attempts=one.attempts / wide,
            answers=one.answers / wide,
            good=one.good / wide,
            failures=one.failures / wide,
            output=one.output / wide,
            ttft_mean=one.ttft_s / one.answers if one.answers else None,
        )
        for number, one in enumerate(tally.bins)
    ]
