"""The command `simulate`: what a route would do, in virtual time, under one policy or several."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from towplane.cli.options import Json
from towplane.cli.output import Output
from towplane.parts.errors import BadRequest

if TYPE_CHECKING:
    from towplane.document.plane import Plane
    from towplane.simulation.arrival import Arrival
    from towplane.simulation.replay import Replayed
    from towplane.simulation.report import Report
    from towplane.simulation.run import Source
    from towplane.simulation.scenario import Scenario

__all__ = ["simulate"]


def simulate(
    scenario: Annotated[
        Path, typer.Argument(help="The scenario file.", metavar="SCENARIO", show_default=False)
    ],
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="The document whose route is simulated.", metavar="PATH"),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option("--policy", help="Instead of the route's own; repeat to compare."),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="The route.")] = None,
    trace: Annotated[
        Path | None, typer.Option("--trace", help="Requests from this file.", metavar="PATH")
    ] = None,
    from_ledger: Annotated[
        bool,
        typer.Option("--from-ledger", help="Requests from the ledger of the document's plane."),
    ] = False,
    since: Annotated[
        str | None, typer.Option("--since", help="Of the ledger: first day (UTC), or `7d` ago.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Of the ledger: last day (UTC), included.")
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(
            "--price",
            help="What an engine's or provider's tokens cost, in USD per million, whatever the "
            "scenario says; repeatable.",
            metavar="NAME=INPUT/OUTPUT[/CACHED]",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many seeds.")] = 1,
    seed: Annotated[int | None, typer.Option("--seed", help="The first of them.")] = None,
    page: Annotated[
        Path | None, typer.Option("--page", help="Write a page with pictures.", metavar="PATH")
    ] = None,
    json: Json = False,
) -> None:
    """Simulate a route in virtual time, with the plane's own routing.

    Every policy and every seed gets the same requests; nothing is sent to anybody.
    """
    import msgspec

    from towplane.document.load import load_file
    from towplane.simulation.run import simulate as run
    from towplane.simulation.scenario import TraceSpec, read_scenario

    output = Output(json=json)
    wanted = read_scenario(scenario)
    plane = load_file(file).plane if file is not None else None
    if model is not None:
        wanted = msgspec.structs.replace(wanted, model=model, route=None)
    if trace is not None:
        spec = msgspec.structs.replace(
            wanted.arrivals.trace or TraceSpec(file=""), file=str(trace.absolute())
        )
        wanted = msgspec.structs.replace(
            wanted, arrivals=msgspec.structs.replace(wanted.arrivals, trace=spec, users=None)
        )
    for said in price or ():
        wanted = _priced(wanted, plane, said)
    ledger = _from_ledger(plane, wanted, since, until) if from_ledger else None
    source, replayed = ledger if ledger is not None else (None, None)
    if replayed is not None:
        _tell_of(output, replayed, wanted.seconds)
    first = wanted.seed if seed is None else seed
    reports = []
    names: list[str | None] = [*policy] if policy else [None]
    for name in names:
        for number in range(first, first + seeds):
            reports.append(run(wanted, policy=name, seed=number, plane=plane, source=source))
            output.note(f"{reports[-1].policy}, seed {number}: {reports[-1].asks:,} requests")
    about: dict[str, object] = {"scenario": str(scenario), "about": wanted.about}
    if replayed is not None:
        about["ledger"] = replayed
    output.object(about | {"reports": reports})
    _show(output, reports)
    _show_targets(output, reports)
    if page is not None:
        _write_page(page, scenario, wanted, reports)
        output.note(f"pictures: {page}")


def _from_ledger(
    plane: "Plane | None", wanted: "Scenario", since: str | None, until: str | None
) -> "tuple[Source, Replayed]":
    from towplane.cli.tenant_options import read_day
    from towplane.simulation.replay import replay, survey

    if plane is None:
        raise BadRequest(
            "--from-ledger needs a document", next_step="name it with `--file plane.yaml`"
        )
    path = Path(plane.data_dir) / "ledger.sqlite"
    model = wanted.model or (next(iter(plane.routing)) if len(plane.routing) == 1 else "")
    first, last = read_day("since", since), read_day("until", until)

    def source() -> "Iterator[Arrival]":
        return replay(path, model=model, since=first, until=last, block=wanted.block)

    return source, survey(path, model=model, since=first, until=last)


def _tell_of(output: Output, replayed: "Replayed", seconds: float) -> None:
    """How much of the replay is known and how much assumed."""
    share = replayed.marked_share
    output.note(
        f"from the ledger: {replayed.requests:,} requests in {replayed.seconds:,.0f} s"
        + (f", {replayed.left_out:,} left out (lengths unknown)" if replayed.left_out else "")
        + (f"; {replayed.hit_rate:.1%} of input was cached then" if replayed.hit_rate else "")
    )
    if share is not None and share < 1:
        output.note(
            f"how prompts begin is known of {share:.1%} of them; others are taken to begin like "
            "all of their key (`routing.MODEL.prefix.keep` keeps it from now on)"
        )
    if replayed.seconds > seconds:
        output.note(f"the scenario ends after {seconds:,.0f} s (`for`): later ones are not asked")


def _priced(wanted: "Scenario", plane: "Plane | None", said: str) -> "Scenario":
    """The scenario with another price of one engine or provider."""
    import msgspec

    from towplane.simulation.scenario import EngineModel, PriceModel, ProviderModel

    name, _, figures = said.partition("=")
    prices = [_nanousd(figure) for figure in figures.split("/")]
    if None in prices or len(prices) not in (2, 3):
        raise BadRequest(
            f"--price {said} is no price", next_step="say it as `cloud=0.15/0.60` (USD per million)"
        )
    price = msgspec.convert(
        dict(zip(("input", "output", "cached_input"), prices, strict=False)), PriceModel
    )
    replace = msgspec.structs.replace
    if name in wanted.engines or (plane is not None and name in plane.engines):
        engine = replace(wanted.engines.get(name, EngineModel()), price=price)
        return replace(wanted, engines={**wanted.engines, name: engine})
    if name in wanted.providers or (plane is not None and name in plane.providers):
        provider = replace(wanted.providers.get(name, ProviderModel()), price=price)
        return replace(wanted, providers={**wanted.providers, name: provider})
    known = [*wanted.engines, *wanted.providers]
    if plane is not None:
        known += [*plane.engines, *plane.providers]
    raise BadRequest(
        f"--price {said}: no engine or provider is called `{name}`",
        next_step=f"one of {', '.join(sorted(set(known))) or 'none'}",
    )


def _nanousd(figure: str) -> int | None:
    """Nano-dollars per million tokens; None: it is no price."""
    from decimal import Decimal, InvalidOperation

    try:
        amount = Decimal(figure) * 1_000_000_000
    except InvalidOperation:
        return None
    return int(amount) if amount.is_finite() and 0 <= amount < 2**47 else None


def _show(output: Output, reports: "list[Report]") -> None:
    from itertools import groupby

    from towplane.simulation.report import spread

    rows: list[list[str | int | float | None]] = []
    for policy, group in groupby(reports, key=lambda one: one.policy):
        runs = list(group)

        def say(values: "list[float | None]", form: str = "{:.3g}") -> str | None:
            found = spread(values)
            if found is None:
                return None
            middle, half = found
            return form.format(middle) + (f" ± {form.format(half)}" if len(values) > 1 else "")

        rows.append(
            [
                policy,
                say([one.ttft.mean for one in runs]),
                say([one.ttft.p95 for one in runs]),
                say([one.itl.mean for one in runs]),
                say([one.goodput for one in runs]),
                say([one.output_per_s for one in runs], "{:,.0f}"),
                say([one.hit_rate for one in runs], "{:.1%}"),
                say([one.amplification for one in runs]),
                say([one.fairness for one in runs]),
                sum(one.failed + one.refused + one.gave_up for one in runs),
                say([None if one.cost_nanousd is None else one.cost_nanousd / 1e9 for one in runs]),
            ]
        )
    output.table(
        ["policy", "TTFT s", "p95", "ITL s", "good/s", "tokens/s", "hits", "attempts/ask",
         "fairness", "lost", "USD"],
        rows,
    )  # fmt: skip


def _show_targets(output: Output, reports: "list[Report]") -> None:
    """What each target did and what it cost, where there is a price; of the first seed."""
    if all(one.cost_nanousd is None for one in reports):
        return
    rows: list[list[str | int | float | None]] = [
        [
            report.policy,
            target.name,
            f"{target.share:.1%}",
            None if target.hit_rate is None else f"{target.hit_rate:.1%}",
            None if target.cost_nanousd is None else f"{target.cost_nanousd / 1e9:.4g}",
        ]
        for report in reports
        if report.seed == reports[0].seed
        for target in report.targets
    ]
    output.table(["policy", "target", "attempts", "hits", "USD"], rows)


def _write_page(path: Path, scenario: Path, wanted: "Scenario", reports: "list[Report]") -> None:
    from towplane.simulation.pictures import page

    try:
        path.write_text(page(scenario.stem, wanted.about, reports), encoding="utf-8")
    except OSError as error:
        raise BadRequest(
            f"{path} cannot be written: {error.strerror}", next_step="name another path"
        ) from error
