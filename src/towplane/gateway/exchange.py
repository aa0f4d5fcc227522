"""One request on its way through the line, and the moments at which the line waits.

The line is a generator that no event loop knows: it is stepped by hand, from the callback in which
something happened, so that a request costs no task and a chunk of a stream costs no wake-up. Where
it yields, it waits for a `Moment`: units granted, an attempt over, the client gone.
"""

import logging
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Final

from mypy_extensions import mypyc_attr

from towplane.gateway import answers
from towplane.parts.errors import PlaneError
from towplane.routing.demand import NOTHING

if TYPE_CHECKING:
    from towplane.gateway.admit import Amounts, Denied, Ticket
    from towplane.gateway.attempt import Attempt
    from towplane.gateway.client import Client
    from towplane.gateway.hall import Hall
    from towplane.gateway.request import Request
    from towplane.gateway.route_state import RouteState
    from towplane.providers.ask import Ask
    from towplane.routing.fair_queue import Waiter
    from towplane.tenants.keys import KeyRecord
    from towplane.tenants.leases import Share

_log = logging.getLogger("towplane.gateway")

GONE: Final = "gone"
"""The client went away."""
OVER: Final = "over"
"""The running attempt ended; how, stands in it."""
GRANTED: Final = "granted"
"""The coordinator has answered about units."""
DUE: Final = "due"
"""The time that it wanted to wait is over."""
LATE: Final = "late"
"""The exchange waited too long in the line."""
ROOM: Final = "room"
"""A target that it waits for may have room."""
PUSHED: Final = "pushed"
"""Others have taken its place in the lobby."""

Moment = str

_END = object()


@mypyc_attr(allow_interpreted_subclasses=True)
class Exchange:
    """A request and what has become of it so far."""

    __slots__ = (
        "_moments",
        "_running",
        "_walk",
        "answered",
        "ask",
        "attempt",
        "attempts",
        "begun_at",
        "caller",
        "claimed",
        "connection",
        "demand",
        "denied",
        "ends_at",
        "gone",
        "hall",
        "id",
        "keep_alive",
        "moment",
        "output_limit",
        "request",
        "rival",
        "route",
        "taken",
        "taken_amounts",
        "ticket",
        "tried",
        "waiter",
        "waits_until",
        "wall",
    )  # fmt: skip

    ask: "Ask"
    caller: "KeyRecord"
    taken_amounts: "Amounts"

    def __init__(self, hall: "Hall", connection: "Client", request: "Request") -> None:
        self.hall = hall
        self.connection = connection
        self.request = request
        next_id, now, wall = hall.ids.next, hall.now, hall.wall  # quicker than to call as methods
        self.id = next_id()
        self.begun_at = now()
        """Monotonic time at which the line began with it."""
        self.wall = wall()
        """The same moment by the wall clock: its windows, prices and dates."""
        self.route: RouteState | None = None
        self.ticket: Ticket | None = None
        self.taken: Sequence[Share] = ()
        """Shares of which it holds units while it waits for others; how many, `taken_amounts`."""
        self.claimed: Sequence[tuple[Share, int]] = ()
        """Units of a provider's limits, for the attempt that begins next."""
        self.denied: Denied | None = None
        self.demand = NOTHING
        """What the route's policy was told of it."""
        self.tried: list[str] = []
        """Targets that failed this request, by name."""
        self.output_limit = 0
        """Output tokens reserved."""
        self.attempt: Attempt | None = None
        """The one that speaks to the client."""
        self.rival: Attempt | None = None
        """A second one that may still take its place (`gateway.hedge`)."""
        self.attempts = 0
        self.answered = False
        """The head of the answer is on its way; nothing can be retried any more."""
        self.gone = False
        self.keep_alive = request.keep_alive
        self.ends_at = 0.0
        """Monotonic time at which the whole request has taken too long."""
        self.waiter: Waiter[Exchange] | None = None
        """Its place in the lobby, once it had to wait there."""
        self.waits_until = 0.0
        """Monotonic time at which a wait for units is given up; 0: it does not wait."""
        self.moment: Moment = ""
        """What happened last; the line looks at it when it goes on."""
        self._running = False
        self._moments: tuple[Moment, ...] = ()
        """What happened while the line was running."""
        self._walk: Generator[None] | None = None

    def begin(self) -> None:
        """Walk the line until it waits or ends."""
        self.hall.exchanges[self] = None
        self._walk = self.hall.walk(self)
        self._step("")

    def resume(self, what: Moment) -> None:
        """Something happened; while the line is running it is told when it waits next.

        Units may come for one that has ended: it was late, or its client left.
        """
        if self._walk is None:
            return
        if self._running:
            self._moments += (what,)
        else:
            self._step(what)

    def take_denied(self) -> bool:
        """Whether the coordinator said no since this was asked last."""
        was_denied = self.denied is not None
        self.denied = None
        return was_denied

    def client_gone(self) -> None:
        """The connection is lost."""
        self.gone = True
        if self.rival is not None:
            self.rival.cancel()
        if self.attempt is not None and not self.attempt.is_over:
            self.attempt.cancel()
        else:
            self.resume(GONE)

    def client_is_slow(self, *, slow: bool) -> None:
        """Take no more from upstream until the client has taken what is written."""
        if self.attempt is not None:
            self.attempt.hold(slow)
        if self.rival is not None:
            self.rival.hold(slow)

    def commit(self, winner: "Attempt") -> None:
        """Of two attempts this one answers; the other is cut off."""
        loser = self.attempt if winner is self.rival else self.rival
        self.attempt, self.rival = winner, None
        if loser is not None:
            loser.cancel()

    def deadline_passed(self, now: float) -> None:
        """Called by the sweep: end what is overdue."""
        if self.waits_until and now > self.waits_until:
            self.resume(LATE)
        elif self.attempt is not None:
            self.attempt.check_deadline(now, self.ends_at)
            if self.rival is not None:
                self.rival.check_deadline(now, self.ends_at)

    # The answer

    def answer(self, status: int, headers: bytes, body: bytes) -> None:
        """A whole answer; `headers` are lines with their ends. Nothing is written to nobody."""
        self.answered = True
        if self.gone:
            return
        if self.hall.draining:
            self.keep_alive = False
        transport = self.connection.transport
        connection = b"" if self.keep_alive else b"connection: close\r\n"
        if self.keep_alive and self.request.version == "1.0":
            connection = b"connection: keep-alive\r\n"
        size = f"content-length: {len(body)}\r\n".encode()
        head = (answers.status_line(status), self.own_headers(), size, headers, connection, b"\r\n")
        if self.request.method == b"HEAD":
            transport.write(b"".join(head))
        elif len(body) < 16384:
            transport.write(b"".join((*head, body)))
        else:
            transport.writelines((*head, body))

    def refuse(self, error: PlaneError) -> None:
        """An error of the plane's own, in the client's dialect."""
        self.answer(
            answers.status_of(error),
            b"content-type: application/json\r\n" + answers.error_headers(error),
            answers.error_body(error, self.request.path()),
        )

    def own_headers(self) -> bytes:
        """What the plane says of itself in every answer."""
        attempt = self.attempt
        if attempt is None:
            return b"x-towplane-request-id: %b\r\n" % self.id.encode()
        return (
            f"x-towplane-request-id: {self.id}\r\nx-towplane-target: {attempt.target.info.name}\r\n"
            f"x-towplane-attempts: {self.attempts}\r\n"
        ).encode("ascii", "replace")

    # Private

    def _fail(self, error: Exception) -> None:
        """The line has a fault of its own: say so, in the log and to the client."""
        _log.error("request %s: the line failed", self.id, exc_info=error)
        self.keep_alive = False
        if self.rival is not None:
            self.rival.cancel()
            self.rival = None
        if self.attempt is not None and not self.attempt.is_over:
            self.attempt.cancel()
        if not self.answered:
            self.refuse(PlaneError("The plane failed.", next_step="Try again.", reason="fault"))

    def _step(self, what: Moment) -> None:
        walk = self._walk
        assert walk is not None
        self.moment = what
        self._running = True
        try:
            ended = next(walk, _END)
            while self._moments and ended is not _END:
                self.moment, *rest = self._moments
                self._moments = tuple(rest)
                ended = next(walk, _END)
        except Exception as error:  # noqa: BLE001  # the door: one request must not end the worker
            self._fail(error)
            ended = _END
        self._running = False
        if ended is _END:
            self._end()

    def _end(self) -> None:
        """The line has ended, and says nothing any more."""
        self._walk = None
        self._moments = ()
        self.hall.exchanges.pop(self, None)
        if self.attempt is not None:
            self.attempt.relay = None  # no cycle is left for the collector
            self.attempt = None
        self.connection.finished(keep_alive=self.keep_alive)
