"""The noun `providers`: the managed APIs, how they stand, and whether they can be called."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from towplane.cli.options import DEFAULT_FILE, File, Json
from towplane.cli.output import Output
from towplane.parts.errors import EXIT_DONE, EXIT_NO

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from towplane.api.provider_views import ProviderView
    from towplane.api.views import TargetView
    from towplane.cli.dry_run import WouldSend
    from towplane.cli.provider_check import Checked
    from towplane.document.plane import Plane
    from towplane.monitoring.health import Health

__all__ = ["app"]

app = typer.Typer(name="providers", no_args_is_help=True, help="Managed APIs and servers.")

_STYLES = {"ready": "green", "degraded": "yellow", "down": "red", "unused": ""}


@app.callback()
def providers() -> None:
    """Managed APIs and servers, their credentials, and how they are reached."""


@app.command("list")
def list_providers(file: File = DEFAULT_FILE, json: Json = False) -> None:
    """List every provider: kind, endpoint, way, credentials and targets.

    From the running plane; when none runs, from the document.
    """
    from towplane.api.endpoints import ProviderList
    from towplane.cli.provider_view import wanted_providers
    from towplane.cli.running import ask, locate
    from towplane.document.load import load_file

    output = Output(json=json)
    found = ask(locate(file), "/api/v1/providers", ProviderList)
    rows = wanted_providers(load_file(file).plane) if found is None else found.providers
    if found is None:
        output.note("the plane is not running: this is what the document wants")
    output.object({"running": found is not None, "providers": rows})
    output.table(
        ["provider", "kind", "state", "endpoint", "through", "credentials", "targets"],
        [
            [
                each.name,
                each.kind,
                None if found is None else each.state,
                each.endpoint,
                each.via or "directly",
                len(each.credentials),
                ", ".join(each.targets) or None,
            ]
            for each in rows
        ],
        empty="the document has no providers",
    )


@app.command("status")
def status(file: File = DEFAULT_FILE, json: Json = False) -> int:
    """Show how the running plane's providers, their models and credentials stand.

    Success, TTFT and latency are those of the last five minutes. Exit 0: all can be used; 1: some
    cannot, and their lines say why; 3: no plane runs.
    """
    from datetime import UTC, datetime

    from towplane.api.endpoints import ProviderList
    from towplane.cli.running import ask_running, locate

    output = Output(json=json)
    found = ask_running(locate(file), "/api/v1/providers", ProviderList)
    rows = found.providers
    is_well = all(each.state in ("ready", "unused") for each in rows)
    output.object({"well": is_well, "providers": rows, "targets": found.targets})
    for each in rows:
        reason = f": {each.reason}" if each.reason else ""
        output.lines(f"{each.name} is {each.state}{reason}", style=_STYLES[each.state])
    output.lines("")
    _health(output, rows)
    output.lines("")
    _targets(output, found.targets)
    output.lines("")
    output.table(
        ["provider", "requests/min", "tokens/min", "at once", "by the hour"],
        [
            [
                each.name,
                each.limits.rpm,
                each.limits.tpm,
                each.limits.concurrency,
                "; ".join(", ".join(one.models) for one in each.provisioned) or None,
            ]
            for each in rows
        ],
        empty="the document has no providers",
    )
    output.lines("")
    _sources(output, rows, datetime.now(UTC))
    _credentials(output, rows, datetime.now(UTC))
    return EXIT_DONE if is_well else EXIT_NO


def _health(output: Output, rows: "Sequence[ProviderView]") -> None:
    output.table(
        ["provider", "location", *_HEALTH, "went wrong"],
        [
            [each.name, each.location, *_figures(each.health), _failures(each.health)]
            for each in rows
        ],
        empty="the document has no providers",
    )


def _targets(output: Output, rows: "Sequence[TargetView]") -> None:
    from towplane.console import words

    output.table(
        ["model there", "state", *_HEALTH, "requests left", "tokens left", "left alone for"],
        [
            [
                each.name,
                each.state,
                *_figures(each.health),
                each.requests_left,
                each.tokens_left,
                None if each.parked_s is None else words.duration(each.parked_s),
            ]
            for each in rows
        ],
        empty="no route uses a provider",
    )


def _sources(output: Output, rows: "Sequence[ProviderView]", at: "datetime") -> None:
    """Where the addresses of providers that have many come from."""
    from towplane.console import words

    found = [(each.name, each.discovery) for each in rows if each.discovery is not None]
    if found:
        output.table(
            ["provider", "addresses from", "named", "last answer", "trouble"],
            [
                [name, one.source, one.addresses, words.ago(one.heard_at, at), one.trouble or None]
                for name, one in found
            ],
        )
        output.lines("")


_HEALTH = ("attempts", "success", "TTFT p50", "TTFT p95", "latency p50", "latency p95")


def _figures(health: "Health | None") -> list[str | int | None]:
    """In the order of `_HEALTH`; what was not measured is None."""
    from towplane.console import words

    if health is None or health.window_s is None:
        return [None] * len(_HEALTH)
    return [
        health.attempts,
        words.share(health.success),
        words.quantile(health.ttft_p50),
        words.quantile(health.ttft_p95),
        words.quantile(health.seconds_p50),
        words.quantile(health.seconds_p95),
    ]


def _failures(health: "Health | None") -> str | None:
    if health is None:
        return None
    return ", ".join(f"{count:,} {name}" for name, count in health.failures.items()) or None


def _credentials(output: Output, rows: "Sequence[ProviderView]", at: "datetime") -> None:
    from towplane.console import words

    output.table(
        ["credential", "state", "how", "ends in", "renewed in", "tried again in", "reason"],
        [
            [
                one.name,
                one.state,
                one.how,
                _until(one.expires_at, at),
                _until(one.refresh_at, at),
                None if one.parked_s is None else words.duration(one.parked_s),
                one.reason or None,
            ]
            for each in rows
            for one in each.credentials
        ],
        empty="no provider asks for credentials",
    )


def _until(moment: "datetime | None", at: "datetime") -> str | None:
    from towplane.console import words

    return None if moment is None else words.duration(max(0.0, (moment - at).total_seconds()))


@app.command("check")
def check(
    names: Annotated[
        list[str] | None, typer.Argument(help="Providers to try; none: all of them.")
    ] = None,
    dry_run: Annotated[
        str, typer.Option("--dry-run", metavar="MODEL", help="Show what a request for it would be.")
    ] = "",
    operation: Annotated[
        str, typer.Option(help="With --dry-run: chat, responses, messages, embeddings, …")
    ] = "chat",
    body: Annotated[
        Path | None, typer.Option(help="With --dry-run: a request, JSON, instead of a small one.")
    ] = None,
    file: File = DEFAULT_FILE,
    json: Json = False,
) -> int:
    """Try every provider and credential from this machine, without spending tokens.

    Exit 0: every credential works; 1: something is wrong, and its line says what. With --dry-run
    nothing is sent and no secret is read: for each target of MODEL the request is shown.
    """
    from towplane.document.load import load_file

    plane = load_file(file).plane
    output = Output(json=json)
    if dry_run:
        return _dry_run(output, plane, dry_run, operation, body)
    return _check(output, plane, names or [])


def _check(output: Output, plane: "Plane", names: "Sequence[str]") -> int:
    import asyncio
    import os

    from towplane.cli.provider_check import check_provider
    from towplane.gateway.snapshot import provider_targets
    from towplane.parts.errors import NotFound
    from towplane.parts.secrets import resolve_secret

    for name in names:
        if name not in plane.providers:
            known = ", ".join(plane.providers) or "none"
            raise NotFound(f"no provider is called {name}", next_step=f"there are: {known}")
    targets = provider_targets(plane, {})

    async def all_of_them() -> "list[Checked]":
        found = await asyncio.gather(
            *(
                check_provider(
                    name,
                    plane.providers[name],
                    lambda reference: resolve_secret(reference, os.environ).reveal(),
                    [target.model for target in targets if target.provider == name],
                )
                for name in names or plane.providers
            )
        )
        return [one for each in found for one in each]

    found = asyncio.run(all_of_them())
    is_well = all(one.ok for one in found)
    output.object({"ok": is_well, "checked": found})
    output.table(
        ["provider", "credential", "name", "connection", "TLS", "certificate until", "key", ""],
        [
            [
                one.provider,
                one.credential,
                _ms(one.dns_ms),
                _ms(one.tcp_ms),
                _ms(one.tls_ms),
                None if one.certificate_until is None else f"{one.certificate_until:%Y-%m-%d}",
                one.auth,
                one.say or None,
            ]
            for one in found
        ],
        empty="the document has no providers",
    )
    return EXIT_DONE if is_well else EXIT_NO


def _ms(value: float | None) -> str | None:
    return None if value is None else f"{value:.0f} ms"


def _dry_run(
    output: Output, plane: "Plane", model: str, operation: str, body: "Path | None"
) -> int:
    import asyncio

    import msgspec

    from towplane.cli.dry_run import dry_run, sample_body
    from towplane.parts.errors import BadRequest
    from towplane.providers.ask import OPERATIONS

    known = {str(name): name for name in OPERATIONS}
    if operation not in known:
        raise BadRequest(
            f"no operation is called {operation}", next_step=f"one of {', '.join(known)}"
        )
    asked = sample_body(known[operation], model)
    if body is not None:
        try:
            asked = {**msgspec.json.decode(body.read_bytes(), type=dict[str, object])}
        except (OSError, msgspec.DecodeError) as error:
            raise BadRequest(f"{body} is not a request: {error}") from None
        asked["model"] = model
    found = asyncio.run(dry_run(plane, model, known[operation], asked))
    output.object({"model": model, "operation": operation, "requests": found})
    if not found:
        output.lines("no managed API answers for it")
    for each in found:
        _show(output, each)
    return EXIT_DONE


def _show(output: Output, each: "WouldSend") -> None:
    import msgspec

    credential = f", with {each.credential} ({each.how})" if each.credential else ""
    output.lines(f"{each.target}{credential}", style="bold")
    output.lines(f"  to {each.through}")
    if each.refused:
        output.lines(f"  not sent: {each.refused}", "", style="yellow")
        return
    output.lines(f"  {each.request}")
    output.lines(*(f"  {name}: {value}" for name, value in each.headers))
    if each.dropped:
        output.lines(f"  dropped: {', '.join(each.dropped)}")
    shown = msgspec.json.format(msgspec.json.encode(each.body), indent=2).decode()
    output.lines("", *(f"  {line}" for line in shown.splitlines()), "")
