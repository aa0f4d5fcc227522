"""The line: receive → identify → admit → route → attempt → relay → account.

Each station is a function of its own file that returns a value or raises a `Refused`; none calls
the next. This file composes them and is all there is to know about their order. Where it says
`yield` it waits until something has happened to the exchange (`gateway.exchange`).
"""

from collections.abc import Generator

from towplane.gateway import listing
from towplane.gateway.account import account_attempt, account_refusal, account_request
from towplane.gateway.admit import Short, admit, refusal_of, settle
from towplane.gateway.attempt import Attempt
from towplane.gateway.exchange import GRANTED, Exchange
from towplane.gateway.receive import PATHS, receive
from towplane.gateway.relay import relay_failure
from towplane.gateway.route import Decision, resolve, route, route_again
from towplane.parts.errors import PlaneError

__all__ = ["walk"]


def walk(x: Exchange) -> Generator[None]:
    """Take one request from its last byte to the last byte of its answer."""
    try:
        operation = PATHS.get(x.request.url) or PATHS.get(x.request.path())
        if operation is None or x.request.method != b"POST":
            listing.answer(x)
            return
        x.ask = receive(operation, x.request.body, x.request.fields)
        x.caller = x.hall.identify(x.request.fields)
        resolve(x)
        while (short := admit(x)) is not None:
            yield from _units(x, short)
        decision: Decision | None = route(x)
        while decision is not None:
            attempt = Attempt(x, decision)
            attempt.start()
            while not attempt.is_over:
                yield
            decision = None if attempt.is_final else route_again(x, attempt)
            account_attempt(attempt, is_final=decision is None)
        if attempt.error is None or x.answered:
            attempt.finish_answer()
        elif not x.gone:
            relay_failure(x, attempt)
        account_request(x)
    except PlaneError as refusal:
        account_refusal(x, refusal)
        x.refuse(refusal)
    finally:
        settle(x)


def _units(x: Exchange, short: Short) -> Generator[None]:
    """Wait until the coordinator has answered about the units that are missing."""
    if x.denied is not None and x.denied.of(short):
        raise refusal_of(x, short)
    x.hall.need(x, short)
    yield
    if x.moment != GRANTED:
        raise refusal_of(x, short)
