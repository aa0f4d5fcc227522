"""The targets of a simulated route, from a document's route and a scenario's models.

An engine of the document stands for all its replicas, as `NAME/0`, `NAME/1`, …; a managed API is
one target. What the scenario does not describe gets the usual figures. Pure but for the servers
that it makes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

from towplane.document.plane import Plane
from towplane.engines.spec import EnginePrice
from towplane.providers.spec import PriceSpec
from towplane.routing.concurrency import AdaptiveLimit
from towplane.routing.load import Price
from towplane.routing.spec import Fallback, Reason, RouteSpec, TargetSpec
from towplane.simulation.agenda import Agenda
from towplane.simulation.engine import Engine
from towplane.simulation.figures import FIGURES, EngineFigures
from towplane.simulation.line import Placing
from towplane.simulation.provider import Provider, ProviderFigures
from towplane.simulation.scenario import EngineModel, PriceModel, ProviderModel, Scenario
from towplane.simulation.target import Target
from towplane.simulation.work import Sink

__all__ = ["Fleet", "figures_of"]

_OWN_FIGURES = ("step_s", "seq_s", "kv_s", "token_s", "attend_s", "kv_tokens", "sequences",
                "batched", "queued", "apart", "overhead_s")  # fmt: skip


class Fleet:
    """Every target of one route, by group and by name."""

    def __init__(
        self, scenario: Scenario, spec: RouteSpec, model: str, plane: Plane | None
    ) -> None:
        self._scenario = scenario
        self._plane = plane
        self._spec = spec
        self.targets: dict[str, Target] = {}
        self.nanousd_per_s = 0.0
        """What the replicas cost, busy or not."""
        found = list(self._groups(model, spec))
        self.groups = [group for group, _ in found]
        self.on = [reasons for _, reasons in found]
        """The reasons for which alone a group is taken (`routing.fallbacks`)."""

    def open(self, agenda: Agenda, sink: Sink, seed: int) -> None:
        """Give each target a server."""
        block = block_of(self._scenario)
        for name, target in self.targets.items():
            owner = name.partition("/")[0]
            if target.is_own:
                engine = self._scenario.engines.get(owner, EngineModel())
                target.server = Engine(figures_of(engine), agenda, sink, block)
            else:
                model = self._scenario.providers.get(owner, ProviderModel())
                figures = ProviderFigures(
                    model.ttft_s, model.ttft_sigma, model.itl_s, model.itl_sigma, model.rpm,
                    model.tpm, 10.0, model.failures,
                )  # fmt: skip
                target.server = Provider(figures, agenda, sink, Random(f"{seed}:{name}"))

    def _groups(
        self, model: str, spec: RouteSpec, on: tuple[Reason, ...] = ()
    ) -> Iterator[tuple[list[Placing], tuple[Reason, ...]]]:
        """As `gateway.snapshot` lays a chain flat."""
        yield [placing for target in spec.targets for placing in self._places(model, target)], on
        for step in spec.fallback:
            reasons = (tuple(step.on) if isinstance(step, Fallback) else ()) or on
            name = step if isinstance(step, str) else getattr(step, "route", None)
            if name is not None:
                if self._plane is not None:
                    yield from self._groups(name, self._plane.routing[name], reasons)
            elif isinstance(step, TargetSpec):
                yield list(self._places(model, step)), reasons

    def _places(self, model: str, spec: TargetSpec) -> Sequence[Placing]:
        if spec.provider is not None:
            names = [f"{spec.provider}/{spec.model or model}"]
        else:
            names = [f"{spec.engine}/{number}" for number in range(self._replicas(spec.engine))]
        placings = [
            Placing(self._target(name), spec.weight, spec.role or "", spec.arm or "")
            for name in names
        ]
        for placing in placings:
            self._bound(placing.target, spec)
        return placings

    def _bound(self, target: Target, spec: TargetSpec) -> None:
        """Of several words on how much it takes at once, the least holds."""
        if spec.concurrency is not None:
            target.concurrency = min(target.concurrency or spec.concurrency, spec.concurrency)
        if spec.adapts and self._spec.slo.ttft_s is not None and target.adaptive is None:
            target.adaptive = AdaptiveLimit(self._spec.slo.ttft_s)

    def _replicas(self, engine: str | None) -> int:
        model = self._scenario.engines.get(engine or "")
        if model is not None and model.replicas is not None:
            return model.replicas
        written = self._plane.engines.get(engine or "") if self._plane is not None else None
        return written.replicas if written is not None else 1

    def _target(self, name: str) -> Target:
        found = self.targets.get(name)
        if found is not None:
            return found
        owner = name.partition("/")[0]
        is_own = owner in self._scenario.engines or (
            self._plane is not None and owner in self._plane.engines
        )
        model = (self._scenario.engines if is_own else self._scenario.providers).get(owner)
        price = _price(model.price) if model is not None and model.price is not None else None
        if price is None and self._plane is not None:
            price = _last_price(self._plane, name)
        if isinstance(model, EngineModel) and model.hourly is not None:
            self.nanousd_per_s += model.hourly / 3600
        target = Target(name, self._spec.breaker, is_own=is_own, price=price)
        self.targets[name] = target
        return target


def figures_of(model: EngineModel) -> EngineFigures:
    """The constants of an engine, with what the scenario changes."""
    changed = {name: getattr(model, name) for name in _OWN_FIGURES}
    found = FIGURES[model.figures]
    return replace(found, **{name: value for name, value in changed.items() if value is not None})


def block_of(scenario: Scenario) -> int:
    """Tokens of a block of the prompts' hashes."""
    trace = scenario.arrivals.trace
    if trace is None:
        return scenario.block
    return trace.block or 512  # Mooncake's


def _price(price: PriceModel) -> Price:
    cached = price.input if price.cached_input is None else price.cached_input
    return price.input, cached, price.output


def _last_price(plane: Plane, target: str) -> Price | None:
    """What the document says; the price book is not asked."""
    owner, _, model = target.partition("/")
    if owner in plane.engines:
        prices: Sequence[EnginePrice | PriceSpec] = plane.engines[owner].prices
    else:
        prices = plane.providers[owner].prices.get(model, ()) if owner in plane.providers else ()
    if not prices:
        return None
    last = prices[-1]
    cached = last.input if last.cached_input is None else last.cached_input
    return last.input, cached, last.output
