"""`towplane status`: whether the running plane is well, and everything it consists of.

The verdict is the console's, in the same words. Exit 0: it is well; 1: it is not, and the first
lines say what; 3: no plane runs.
"""

from typing import TYPE_CHECKING

from towplane.cli.options import DEFAULT_FILE, File, Json
from towplane.cli.output import Output
from towplane.parts.errors import EXIT_DONE, EXIT_NO

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from towplane.api.views import DocumentView, PlaneStatus
    from towplane.cli.running import Whereabouts
    from towplane.console.verdict import Concern
    from towplane.monitoring.now import ModelNow, Now

__all__ = ["status"]


def status(file: File = DEFAULT_FILE, json: Json = False) -> int:
    """Show whether the running plane is well, and what it consists of."""
    from datetime import UTC, datetime

    from towplane.api.views import PlaneStatus
    from towplane.cli.running import ask_running, locate
    from towplane.console.verdict import verdict

    where = locate(file)
    found = ask_running(where, "/api/v1/status", PlaneStatus)
    now = _ask_now(where)
    at = datetime.now(UTC)
    concerns = verdict(found, now, at)
    output = Output(json=json)
    output.object(
        {"running": True, "well": not concerns, "concerns": concerns, "status": found, "now": now}
    )
    _head(output, found, concerns, at)
    _parts(output, found, at)
    _figures(output, now)
    return EXIT_NO if concerns else EXIT_DONE


def _ask_now(where: "Whereabouts") -> "Now | None":
    """None: the plane has just started, nothing is measured yet."""
    from towplane.cli.running import ask
    from towplane.monitoring.now import Now
    from towplane.parts.errors import NotReady

    try:
        return ask(where, "/api/v1/now", Now)
    except NotReady:
        return None


def _head(
    output: Output, found: "PlaneStatus", concerns: "Sequence[Concern]", at: "datetime"
) -> None:
    """Is it well, and if not, where? Then where everything is."""
    from towplane.console import words

    if concerns:
        output.lines(f"{found.plane} is not well.", style="bold red")
        for concern in concerns:
            output.lines(f"  {concern.level:<4}  {concern.say}", style=_STYLES[concern.level])
        _refusal(output, found.document)
    else:
        output.lines(f"{found.plane} is well.", style="bold green")
    document, ledger = found.document, found.ledger
    lag = "not measured yet" if ledger.lag_events is None else f"{ledger.lag_events:,} events"
    fold = words.ago(ledger.last_fold, at)
    output.lines(
        "",
        f"  plane     towplane {found.version}, {found.tier}, process {found.pid}, "
        f"up {words.lasting(found.started_at, at)}",
        f"  document  {document.path}, in force since {words.clock(document.loaded_at)}, "
        f"digest {document.digest[:12]}",
        f"  serving   {found.serving}/v1",
        f"  console   {found.admin}/",
        f"  ledger    behind by {lag}; {ledger.folded:,} folded, the last {fold}",
    )


def _refusal(output: Output, document: "DocumentView") -> None:
    """All that is wrong with a document that was refused."""
    from towplane.console import words

    if document.is_valid:
        return
    output.lines("", f"Refused {words.clock(document.refused_at)}:", style="red")
    for error in document.errors:
        place = f"{document.path}:{error.line}:{error.column}: " if error.line else ""
        output.lines(f"  {place}{error.say}", style="red")
        if error.next_step:
            output.lines(f"    next: {error.next_step}")


def _parts(output: Output, found: "PlaneStatus", at: "datetime") -> None:
    """Workers, engines, targets, routes."""
    from towplane.console import words

    output.lines("")
    output.table(
        ["worker", "state", "process", "for", "restarts", "in flight", "connections"],
        [
            [w.number, w.state, w.pid, words.lasting(w.since, at), w.restarts, w.in_flight,
             w.connections]
            for w in found.workers
        ],
    )  # fmt: skip
    if found.engines:
        output.lines("")
        output.table(
            ["engine", "state", "process", "for", "restarts", "weights", "licence", "reason"],
            [
                [e.target, e.state, e.pid, words.lasting(e.since, at), e.restarts, e.weights,
                 e.licence or "not said", e.reason or None]
                for e in found.engines
            ],
        )  # fmt: skip
    output.lines("")
    output.table(
        ["target", "state", "in flight", "attempts", "failures", "reason"],
        [
            [t.name, t.state, t.in_flight, t.attempts, t.failures, t.reason or None]
            for t in found.targets
        ],
        empty="no targets",
    )
    output.lines("")
    output.table(
        ["model", "choose", "targets", "fallback"],
        [
            [r.model, r.choose, ", ".join(r.targets), ", ".join(r.fallback) or None]
            for r in found.routes
        ],
        empty="no routes, so no model can be asked for",
    )


def _figures(output: Output, now: "Now | None") -> None:
    """The last minute, of the plane and of each model."""
    from towplane.console import words

    if now is None or now.window_s is None:
        output.lines("", "The last minute is not measured yet; ask again in a few seconds.")
        return
    output.lines("")
    rows = [("all", now), *now.models.items()]
    output.table(
        [f"last {words.span(now.window_s)}", "requests/s", "refused/s", "failed", "attempts each",
         "output tokens/s", "TTFT p95", "ITL p95", "goodput", "in flight"],
        [_row(name, each) for name, each in rows],
    )  # fmt: skip


def _row(name: str, now: "ModelNow") -> list[str | int | None]:
    from towplane.console import words

    return [
        name,
        words.rate(now.requests_per_s),
        words.rate(now.refused_per_s),
        words.share(now.error_share),
        words.times(now.amplification),
        words.rate(now.output_tokens_per_s),
        words.quantile(now.ttft_p95),
        words.quantile(now.itl_p95),
        words.share(now.goodput),
        now.in_flight,
    ]


_STYLES = {"act": "red", "look": "yellow", "well": "green"}
