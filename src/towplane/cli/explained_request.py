"""One past request, for people: its choices as a worker remembers them, its attempts by the
ledger."""

from typing import TYPE_CHECKING

from towplane.cli.output import Output

if TYPE_CHECKING:
    from towplane.api.explanations import RequestExplanation
    from towplane.cli.running import Whereabouts

__all__ = ["show_request"]


def show_request(output: Output, where: "Whereabouts", request: str) -> None:
    """Ask the running plane, and print."""
    from urllib.parse import quote

    from towplane.api.explanations import RequestExplanation
    from towplane.cli.running import ask_running

    address = f"/api/v1/routing/requests/{quote(request, safe='')}"
    found = ask_running(where, address, RequestExplanation)
    output.object(found)
    output.table(
        ["attempt", "at", "target", "cause", "outcome", "input", "output", "ttft", "seconds"],
        [
            [
                row.id,
                f"{row.at:%Y-%m-%d %H:%M:%S}",
                row.target,
                row.cause,
                row.outcome,
                row.input_tokens,
                row.output_tokens,
                None if row.ttft_s is None else f"{row.ttft_s * 1000:.0f} ms",
                None if row.seconds is None else f"{row.seconds:.2f}",
            ]
            for row in found.attempts
        ],
        empty="the ledger has no attempt of it: it still runs, or it was refused",
    )
    _show_choices(output, found)


def _show_choices(output: Output, found: "RequestExplanation") -> None:
    if found.worker is None:
        output.note(
            "no worker remembers a choice of it: its targets had no rivals,"
            " or it is older than the last few thousand choices"
        )
        return
    for choice in found.choices:
        output.lines("", f"attempt {choice.attempt} ({choice.cause}): {choice.target}")
        output.lines(f"  {choice.reason}{f'; {choice.note}' if choice.note else ''}")
        output.table(
            ["target", "weight", "in flight", "score", "why not"],
            [
                [
                    place.target,
                    place.weight,
                    place.in_flight,
                    None if place.score is None else f"{place.score:.3g}",
                    place.why_not or ("taken" if place.target == choice.target else None),
                ]
                for place in choice.places
            ],
        )
