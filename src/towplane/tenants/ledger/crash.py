"""What a crash left open, settled as estimated: the pure half of recovery.

Knows no file. The law: everything needed stands in the attempt's own `Opened` and its last noted
progress, so that settling it needs neither the document nor the worker that died.
"""

from collections.abc import Iterable

from towplane.tenants.cost import cost_nanousd
from towplane.tenants.events import Opened, Settled

__all__ = ["request_of", "settle_crashed"]


def request_of(attempt: str) -> str:
    """The request of an attempt's id."""
    return attempt.rpartition(".")[0]


def settle_crashed(
    left: Iterable[tuple[Opened, int]], *, answered: set[str], now: float
) -> list[Settled]:
    """The ends of attempts that were `left` open with their output so far.

    The last attempt of each request decided what its client saw, unless the request is among those
    `answered` before the crash.
    """
    attempts = list(left)
    last: dict[str, int] = {}
    for opened, _ in attempts:
        request = request_of(opened.id)
        last[request] = max(last.get(request, 0), _number_of(opened.id))
    return [
        Settled(
            id=opened.id,
            at=now,
            outcome="crashed",
            usage="estimated",
            final=request_of(opened.id) not in answered
            and _number_of(opened.id) == last[request_of(opened.id)],
            input=opened.input_estimate,
            cached_input=0,
            output=output,
            cost_nanousd=(
                None
                if opened.price is None
                else cost_nanousd(opened.price, opened.input_estimate, 0, output)
            ),
        )
        for opened, output in attempts
    ]


def _number_of(attempt: str) -> int:
    number = attempt.rpartition(".")[2]
    return int(number) if number.isascii() and number.isdigit() else 0
