"""Races in any order of events: whatever happens, one attempt decides and each is settled once."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from towplane.routing.spec import Breaker, Hedge, Retries, Timeouts
from towplane.tenants.events import Opened, Settled
from towplane.tenants.spec import Budget, Limits
from towplane.testing.fleet import Fleet, route, target
from towplane.testing.played import Client, Upstream
from towplane.testing.wire import END, STREAM, TOKEN, chunk, delta, event, whole

TIMES = Timeouts(connect_s=2.0, first_token_s=4.0, between_tokens_s=3.0, total_s=20.0)
SAID: dict[str, tuple[bytes, ...]] = {
    "head": (STREAM,),
    "role": (STREAM, chunk(event(delta(role="assistant")))),
    "token": (STREAM, TOKEN),
    "stream": (STREAM, TOKEN, END),
    "more": (TOKEN,),
    "end": (END,),
    "500": (whole({}, 500),),
    "400": (whole({"error": {"message": "bad"}}, 400),),
    "429": (whole({}, 429, "retry-after: 1\r\n"),),
    "whole": (whole({"choices": []}),),
    "broken": (STREAM, chunk(b"data: {oops\n\n")),
}


class Races(RuleBasedStateMachine):
    """Clients, upstreams and time do what they like."""

    @initialize(most=st.integers(1, 4), fallback=st.booleans())
    def begin(self, most: int, fallback: bool) -> None:
        groups: tuple[list[str], ...] = (["a", "b"], ["c"]) if fallback else (["a", "b"],)
        info = route(
            "m", *groups,
            hedge=Hedge(after_s=1.0, budget=1.0, cost=10_000_000),
            timeouts=TIMES,
            retries=Retries(floor=1000.0, most=most, wait_s=2.0),
            breaker=Breaker(failures=4, open_s=3.0, slow_s=2.0, volume=3, stalled_s=3.0),
        )  # fmt: skip
        price = (1_000_000, 500_000, 2_000_000)
        targets = [target(host, price=price) for group in groups for host in group]
        limits, budget = Limits(concurrency=6), Budget(daily_nanousd=10**9)
        self.fleet = Fleet(info, targets=targets, limits=limits, budget=budget)
        self.clients: list[Client] = []

    @rule(stream=st.booleans())
    def ask(self, stream: bool) -> None:
        client = self.fleet.worker.connect()
        self.clients.append(client)
        client.ask(stream=stream)
        self.fleet.turn()

    @rule(seconds=st.sampled_from([0.1, 0.6, 1.1, 2.5, 5.0]))
    def wait(self, seconds: float) -> None:
        self.fleet.wait(seconds, step_s=0.5)

    @rule(which=st.integers(0, 5), what=st.sampled_from(sorted(SAID)))
    def say(self, which: int, what: str) -> None:
        up = self._upstream(which)
        if up is not None:
            up.give(*SAID[what])
            self.fleet.turn()

    @rule(which=st.integers(0, 5), is_reset=st.booleans())
    def close(self, which: int, is_reset: bool) -> None:
        up = self._upstream(which)
        if up is not None:
            up.close(ConnectionResetError() if is_reset else None)
            self.fleet.turn()

    @rule(which=st.integers(0, 5), refuses=st.booleans())
    def leave(self, which: int, refuses: bool) -> None:
        if refuses:
            self.fleet.refusing ^= {"abc"[which % 3]}
        elif self.clients:
            self.clients.pop(which % len(self.clients)).leave()
            self.fleet.turn()

    @invariant()
    def at_most_two_attempts_of_a_request_run(self) -> None:
        hall = self.fleet.worker.hall
        running: dict[str, int] = {}
        for id in self.fleet.worker.journal.opened.keys() - self.fleet.worker.journal.settled:
            running[id.partition(".")[0]] = running.get(id.partition(".")[0], 0) + 1
        assert all(count <= 2 for count in running.values())
        in_flight = sum(state.in_flight for state in hall.targets.values())
        assert in_flight <= sum(running.values())

    def teardown(self) -> None:
        if not hasattr(self, "fleet"):
            return
        worker = self.fleet.worker
        for client in worker.clients:
            client.leave()
        self.fleet.turn()
        self.fleet.wait(30.0, step_s=6.0)
        self.fleet.close()
        assert self.fleet.errors == []
        assert not worker.hall.exchanges
        assert set(worker.journal.opened) == set(worker.journal.settled)
        assert {state.in_flight for state in worker.hall.targets.values()} == {0}
        assert {state.counters.in_flight for state in worker.hall.routes.values()} == {0}
        finals: dict[str, int] = {}
        causes: dict[str, list[str]] = {}
        for opened in worker.events(Opened):
            causes.setdefault(opened.id.partition(".")[0], []).append(opened.cause)
        for end in worker.events(Settled):
            name = end.id.partition(".")[0]
            finals[name] = finals.get(name, 0) + end.final
        assert set(finals.values()) <= {1}, "one attempt decided what the client saw"
        for each in causes.values():
            assert each[0] in ("first", "fallback")

    def _upstream(self, which: int) -> Upstream | None:
        live: list[Any] = [
            up for up in self.fleet.worker.upstreams if up.requests and not up.transport.is_closed
        ]
        return live[which % len(live)] if live else None


TestRaces = Races.TestCase
TestRaces.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
