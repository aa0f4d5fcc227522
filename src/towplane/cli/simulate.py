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
    source = _from_ledger(plane, wanted, since, until) if from_ledger else None
    first = wanted.seed if seed is None else seed
    reports = []
    names: list[str | None] = [*policy] if policy else [None]
    for name in names:
        for number in range(first, first + seeds):
            reports.append(run(wanted, policy=name, seed=number, plane=plane, source=source))
            output.note(f"{reports[-1].policy}, seed {number}: {reports[-1].asks:,} requests")
    output.object({"scenario": str(scenario), "about": wanted.about, "reports": reports})
    _show(output, reports)
    if page is not None:
        _write_page(page, scenario, wanted, reports)
        output.note(f"pictures: {page}")


def _from_ledger(
    plane: "Plane | None", wanted: "Scenario", since: str | None, until: str | None
) -> "Source":
    from towplane.cli.tenant_options import read_day
    from towplane.simulation.replay import replay

    if plane is None:
        raise BadRequest(
            "--from-ledger needs a document", next_step="name it with `--file plane.yaml`"
        )
    path = Path(plane.data_dir) / "ledger.sqlite"
    model = wanted.model or (next(iter(plane.routing)) if len(plane.routing) == 1 else "")
    days = read_day("since", since), read_day("until", until)

    def source() -> "Iterator[Arrival]":
        return replay(path, model=model, since=days[0], until=days[1], block=wanted.block)

    return source


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


def _write_page(path: Path, scenario: Path, wanted: "Scenario", reports: "list[Report]") -> None:
    from towplane.simulation.pictures import page

    try:
        path.write_text(page(scenario.stem, wanted.about, reports), encoding="utf-8")
    except OSError as error:
        raise BadRequest(
            f"{path} cannot be written: {error.strerror}", next_step="name another path"
        ) from error
