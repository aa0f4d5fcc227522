"""Fifth station: one attempt at one target, from the connection to the end of its answer.

An attempt is noted in the journal before the target sees anything of it. Its answer goes through a
relay (`gateway.relay`); its clocks are checked by the hall's sweep: connect, first token, between
tokens, and the request's total. However it ends, it ends once, and then the line goes on.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal

from mypy_extensions import mypyc_attr

from towplane.gateway.exchange import OVER
from towplane.gateway.relay import Relay, StreamRelay, WholeRelay
from towplane.parts.errors import (
    Denied,
    QuotaExhausted,
    RateLimited,
    TimedOut,
    Unavailable,
    Upstream,
)
from towplane.providers.credential_pool import conceal
from towplane.routing.again import LONGEST_PARK_S, park_s, verdict_on
from towplane.tenants.events import Marked, Opened

if TYPE_CHECKING:
    from towplane.gateway.exchange import Exchange
    from towplane.gateway.pool import UpstreamConnection
    from towplane.gateway.route import Decision

Phase = Literal["connect", "first_token", "between_tokens", "total"]

_PASSED_ON: Final = (b"openai-beta", b"traceparent", b"tracestate")
"""Headers of the client that the target gets to see."""
_OF_CLIENTS = ("first", "fallback")
"""Causes of a first attempt that a client asked for."""
_MOST_DROPPED: Final = 1024
"""Characters that `x-towplane-dropped` may have."""
_LIMITED_S: Final = 1.0
"""A credential of several that was used too fast, and nobody said for how long."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Attempt:
    """What the plane sends upstream for a request, and what becomes of it."""

    __slots__ = ("_cancel_dial", "_work", "call", "claimed", "connection", "credential", "deadline",
                 "decision", "ended_at", "error",
                 "headers", "id", "is_over", "is_spilled", "is_stale", "phase", "price", "relay",
                 "sent_at", "started_at", "status", "target", "was_cancelled", "x")  # fmt: skip

    relay: Relay | None

    def __init__(self, x: "Exchange", decision: "Decision") -> None:
        self.x = x
        self.decision = decision
        self.target = target = decision.target
        assert x.route is not None
        self.call = target.call_for(x.ask, x.route.info.spec.drop_unsupported)
        now = x.hall.now
        self.started_at = self.ended_at = moment = now()
        self.credential = target.pick_credential(moment)
        self.claimed, x.claimed = x.claimed, ()
        """Units of the provider's limits."""
        x.attempts += 1
        self.id = f"{x.id}.{x.attempts}"
        self.price = target.price_at(x.wall)
        self.connection: UpstreamConnection | None = None
        self._cancel_dial: Callable[[], None] | None = None
        self.phase: Phase = "connect"
        self.sent_at = 0.0
        """Monotonic time at which the request went upstream; 0: it never did."""
        self.deadline = math.inf
        self.status: int | None = None
        self.headers = b""
        self.relay = None
        self.error: Upstream | None = None
        self.is_over = False
        self._work = 0
        """Prompt tokens that the target has to compute for it, as far as the policy knows."""
        self.is_spilled = False
        """Another deployment answered than the one that was asked, at a price that nobody told."""
        self.is_stale = False
        """The connection had been idle and was closed before a byte came back."""
        self.was_cancelled = False

    @property
    def is_final(self) -> bool:
        """No other attempt can follow: it answered, or the client has seen some of it or left."""
        return self.error is None or self.x.answered or self.x.gone

    def has_another_credential(self, now: float) -> bool:
        """Whether the target refused not the request but a credential, and has another one."""
        return (
            isinstance(self.error, RateLimited | Denied | QuotaExhausted)
            and len(self.target.credentials) > 1
            and self.target.is_usable(now)
        )

    def start(self) -> None:
        """Note it in the journal and get a connection."""
        x = self.x
        ask, hall, target = x.ask, x.hall, self.target
        info, caller = target.info, x.caller
        marked: Marked | None = None
        assert x.route is not None
        if x.route.keeps_marks and x.attempts == 1 and self.decision.cause in _OF_CLIENTS:
            kept = hall.marker.of(x.demand)
            marked = Marked(kept.blocks, kept.marks, kept.opening, kept.session)
        hall.journal.append(
            Opened(  # by position: a third of the time of keywords; the order is the type's
                self.id,
                x.wall,
                caller.tenant,
                caller.id,
                ask.model,
                info.name,
                info.model,
                self.decision.cause,
                ask.input_estimate,
                x.output_limit,
                x.ticket.nanousd if x.ticket is not None else None,
                self.price.for_input(ask.input_estimate),
                marked,
            )
        )
        pick = self.decision.pick
        if pick is not None and x.route.chooser.wants:
            work = x.route.chooser.began(pick.group, pick.place, x.demand, self.started_at)
            self._work = work
        target.load.began(self._work)
        adaptive = target.adaptive
        if adaptive is not None and target.load.in_flight >= adaptive.limit:
            target.load.suspect()
        if target.breaker.state != "closed":
            target.breaker.started()
            target.load.suspect()
        self.deadline = self.started_at + x.route.connect_s
        if self.decision.cause == "reconnect":
            self._cancel_dial = target.pool.dial(self)
        else:
            self._cancel_dial = target.pool.connect(self)

    def cancel(self) -> None:
        """Nobody wants its answer any more: stop the target's work at once."""
        self.was_cancelled = True
        self._end(None)

    def hold(self, slow: bool) -> None:
        """Stop or resume taking from upstream."""
        if self.connection is None or self.is_over:
            return
        if slow:
            self.connection.transport.pause_reading()
            self.deadline = math.inf  # the client's own deadline runs now
        else:
            self.connection.transport.resume_reading()
            self._expect_token(self.x.hall.now())

    def check_deadline(self, now: float, ends_at: float) -> None:
        """Called by the sweep."""
        if self.is_over or (now <= self.deadline and now <= ends_at):
            return
        phase: Phase = "total" if now > ends_at else self.phase
        error = TimedOut(
            f"{self.target.info.name} took too long: {phase.replace('_', ' ')}.",
            next_step="Try again." if phase != "total" else "Ask for fewer tokens, or stream.",
            reason=f"timeout-{phase.replace('_', '-')}",
        )
        error.phase = phase
        if phase == "total":
            error.retry = "never"
        self._end(error)

    # What the connection says

    def connected(self, connection: "UpstreamConnection") -> None:
        """Send the request."""
        if self.is_over:
            connection.release()
            return
        x, target = self.x, self.target
        rendered = self.call.rendered
        fields = x.request.fields
        hall, body = x.hall, rendered.body
        head = target.head_for(rendered, self.credential, hall.wall)
        own = f"x-towplane-request-id: {self.id}\r\ncontent-length: {len(body)}\r\n".encode()
        for name in _PASSED_ON:
            if name in fields:
                own += b"%b: %b\r\n" % (name, fields[name])
        head = b"%b%b\r\n" % (head, own)
        self.connection = connection
        self._cancel_dial = None
        connection.send(self, head, body)
        clock = hall.now
        now = self.sent_at = clock()
        if x.attempts == 1:
            hall.counters.overhead.observe(now - x.request.received_at)
        assert x.route is not None
        self.phase = "first_token"
        self.deadline = now + x.route.first_token_s if x.ask.stream else math.inf
        if x.connection.paused:
            self.hold(slow=True)

    def failed(self, error: Upstream) -> None:
        """The connection broke, or never was."""
        if self.is_over:
            return
        connection = self.connection
        self.is_stale = (
            connection is not None
            and connection.is_reused
            and self.status is None
            and isinstance(error, Unavailable)
        )
        error.in_stream = self.x.answered
        self._end(error)

    def head(self, status: int, headers: bytes) -> None:
        """The answer begins."""
        call = self.call
        self.status = status
        connection = self.connection
        assert connection is not None
        spilled = self.target.adapter.is_spilled
        self.is_spilled = spilled is not None and spilled(connection.fields)
        if connection.says_limits:
            self.target.heard_limits(self.credential, connection.fields, self.x.hall.now())
        streams = self.x.ask.stream and status == 200
        if call.content_type and status < 400:
            self.headers = b"content-type: %b\r\n" % call.content_type
        else:
            self.headers = headers if call.is_native else b""
            streams = streams and b"text/event-stream" in headers.lower()
        if call.dropped:
            self.headers += b"x-towplane-dropped: %b\r\n" % _header_text(", ".join(call.dropped))
        self.relay = StreamRelay(self) if streams else WholeRelay(self)
        if self.x.rival is not None and status < 400 and not self.x.ask.stream:
            self.x.commit(self)

    def read(self, payload: bytes, *, whole: bool) -> None:
        """The answer goes on."""
        assert self.relay is not None
        try:
            self.relay.read(payload, whole=whole)
        except Upstream as error:
            error.in_stream = self.x.answered
            self._end(error)

    # What the relay says

    def answers(self, now: float) -> None:
        """Its first token is there, or all of an answer in one piece."""
        self.target.load.answers(self._work, now - (self.sent_at or self.started_at), now)
        self._work = 0
        x, target = self.x, self.target
        if target.load.usual is not None and x.ask.stream:
            target.load.usual.observe(now - (self.sent_at or self.started_at), now)
        if target.adaptive is not None and x.ask.stream:
            began_at = self.sent_at or self.started_at
            if target.heard_first(now - began_at, began_at, now):
                x.hall.lobby.room()

    def token_came(self, now: float) -> None:
        """Tokens were relayed; the next may take as long again."""
        self.phase = "between_tokens"
        self._expect_token(now)

    def complete(self) -> None:
        """The answer is whole; whether it is a good one, its status says."""
        status = self.status
        assert status is not None
        assert self.relay is not None
        if status < 400:
            self._end(None)
            return
        assert isinstance(self.relay, WholeRelay)
        assert self.connection is not None
        target = self.target
        body = self.relay.body()
        error = target.adapter.judge(status, self.connection.fields, body, target.info.name)
        if self.credential is not None:
            error.say = conceal(self.credential, error.say)
            error.args = (error.say,)
            text = error.body.decode("utf-8", "surrogateescape")  # whatever it is, back as it came
            error.body = conceal(self.credential, text).encode("utf-8", "surrogateescape")
            if isinstance(error, Denied):  # by its name: there may be several
                error.next_step = f"The vendor must check the credential {self.credential.name}."
        self._end(error)

    def finish_answer(self) -> None:
        """Write what was kept back until the attempt was accounted."""
        if self.relay is not None and not self.x.gone:
            self.relay.finish(self.error)

    # Private

    def _expect_token(self, now: float) -> None:
        if not self.x.ask.stream or self.x.route is None:
            return
        route = self.x.route
        is_first = self.phase == "first_token"
        self.deadline = now + (route.first_token_s if is_first else route.between_tokens_s)

    def _end(self, error: Upstream | None) -> None:
        if self.is_over:
            return
        self.is_over = True
        self.error = error
        self.ended_at = self.x.hall.now()
        load, relay = self.target.load, self.relay
        if (load.is_compared or error is not None) and (relay is None or not relay.first_at):
            was_ok = error is None and not self.was_cancelled
            if was_ok or isinstance(error, TimedOut):
                self.answers(self.ended_at)  # in one piece; or not even now, which says as much
        load.ended(self._work)
        if self._cancel_dial is not None:
            self._cancel_dial()
        if self.connection is not None:
            self.connection.release(is_done=error is None and not self.was_cancelled)
        self._tell_target()
        self.x.resume(OVER)

    def _tell_target(self) -> None:
        """What this attempt says about its target's health."""
        target, error, now = self.target, self.error, self.ended_at
        is_cut = error is None and self.was_cancelled
        if not is_cut and (error is None or verdict_on(error) == "well"):
            breaker = target.breaker
            if breaker.slow_s is not None and self._was_slow(breaker.slow_s):
                breaker.was_slow(now)
                target.load.suspect()
            elif breaker.state == "closed":
                breaker.succeeded(now)
            else:
                self._went_well(now)
            if target.credentials.has_parked and self.credential is not None:
                target.credentials.accepted(self.credential, target.info.name)
        elif is_cut or self.is_stale:
            if target.breaker.slow_s is not None and self._was_slow(target.breaker.slow_s):
                target.breaker.was_slow(now)  # so slow that it was overtaken, or the client left
                target.load.suspect()
            else:
                target.breaker.abandoned()
        elif isinstance(error, RateLimited):
            target.breaker.abandoned()
            if error.after_s is not None or len(target.credentials) > 1:
                after_s = _LIMITED_S if error.after_s is None else error.after_s
                target.limit(self.credential, now + min(after_s, LONGEST_PARK_S))
        elif isinstance(error, Denied | QuotaExhausted) and self.credential is not None:
            target.breaker.abandoned()
            target.failures += 1
            place = target.info.name if error.status == 403 else ""
            target.credentials.park(self.credential, now, error.say, target=place)
            target.provider.suspect()
        else:
            target.breaker.failed(now)
            target.load.suspect()
            target.failures += 1
            left_alone_s = park_s(error)
            if left_alone_s is not None:
                target.park(now + left_alone_s)

    def _went_well(self, now: float) -> None:
        target = self.target
        closes = target.breaker.state == "half-open"
        target.breaker.succeeded(now)
        if closes:
            target.load.returned(now)

    def _was_slow(self, limit_s: float) -> bool:
        """Whether its first token, or its answer in one piece, took longer than that."""
        if not self.sent_at:
            return False
        first_at = self.relay.first_at if self.relay is not None else 0.0
        return (first_at or self.ended_at) - self.sent_at > limit_s


def _header_text(text: str) -> bytes:
    """What a client named, as the value of a header: nothing in it can end the line."""
    shown = text if len(text) <= _MOST_DROPPED else text[:_MOST_DROPPED] + "…"
    return "".join(c if " " <= c <= "~" else "?" for c in shown).encode("ascii")
