"""Clients in virtual time: an open loop that follows a stream, and users that wait for answers,
made up or written down.

Both may lose patience and may try again; both count, in the tally, what a person sees: from the
first try to the answer. Which requests there are does not depend on the answers' order: a user's
n-th conversation is the same under every policy.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from towplane.simulation.agenda import Agenda, Dated
from towplane.simulation.arrival import Arrival
from towplane.simulation.line import Line, Request
from towplane.simulation.tally import Tally
from towplane.simulation.work import Work

__all__ = ["Manners", "OpenLoop", "Talks", "Turn", "Users"]


@dataclass(frozen=True, slots=True)
class Manners:
    """How clients behave."""

    patience_s: float = 0.0
    """A client leaves that has no answer by then; 0: it waits for ever."""
    retries: int = 0
    """How often it tries again."""
    first_s: float = 0.5
    """The longest first pause before; doubled each time (openai-python 2: 0.5 s to 8 s)."""
    longest_s: float = 8.0
    obeys: bool = True
    """Whether it waits as long as `retry-after` says."""


class _Ask:
    """One client that wants one thing."""

    __slots__ = ("arrival", "at", "is_over", "left", "request", "user")

    def __init__(self, arrival: Arrival, at: float, retries: int, user: "User | None") -> None:
        self.arrival = arrival
        self.at = at
        self.left = retries
        self.user = user
        self.request: Request | None = None
        self.is_over = False


class User:
    """One user of a closed loop."""

    __slots__ = ("number", "turns")

    def __init__(self, number: int, turns: Iterator[Arrival]) -> None:
        self.number = number
        self.turns = turns


class OpenLoop:
    """Requests come when they come."""

    def __init__(
        self, line: Line, tally: Tally, agenda: Agenda, manners: Manners, rng: Random
    ) -> None:
        self._line = line
        self._tally = tally
        self._agenda = agenda
        self._manners = manners
        self._rng = rng
        self._is_patient = not manners.patience_s and not manners.retries
        self._asks: deque[_Ask] = deque()
        """Of the impatient, in the order of their patience's end."""
        line.clients = self
        if manners.patience_s:
            agenda.at(agenda.now + manners.patience_s, self._leave, None)

    def arrive(self, now: float, arrival: Dated) -> None:
        """A client wants something."""
        assert isinstance(arrival, Arrival)
        self._tally.asked(arrival.tenant, now)
        if self._is_patient:
            self._line.receive(arrival, now)
        else:
            self._ask(arrival, now, None)

    def served(self, request: Request, work: Work, now: float) -> None:
        """An answer came."""
        arrival = request.arrival
        at = arrival.at
        ask = request.client
        if ask is not None:
            assert isinstance(ask, _Ask)
            ask.is_over = True
            at = ask.at
        self._tally.answered(arrival, at, work.first_at, now, work.cached)
        if ask is not None and ask.user is not None:
            self.goes_on(ask.user, now)

    def turned_away(
        self, request: Request, now: float, trouble: str, after_s: float | None
    ) -> None:
        """An error came."""
        ask = request.client
        if ask is None:
            self._tally.lost("refused" if trouble == "refused" else "failed", now)
            return
        assert isinstance(ask, _Ask)
        if ask.is_over:
            return
        if ask.left <= 0 or trouble == "rejected":
            self._end(ask, "refused" if trouble == "refused" else "failed", now)
            return
        manners = self._manners
        tried = manners.retries - ask.left
        ask.left -= 1
        # openai-python 2.x `_calculate_retry_timeout`: up to a quarter less than doubled.
        wait_s = min(manners.longest_s, manners.first_s * 2.0**tried)
        wait_s *= 1 - self._rng.random() / 4
        if manners.obeys and after_s is not None and 0 < after_s <= 60:
            wait_s = max(wait_s, after_s)
        self._agenda.at(now + wait_s, self._try_again, ask)

    def goes_on(self, user: User, now: float) -> None:
        """A user has its answer, or none; of a closed loop only."""

    def _ask(self, arrival: Arrival, now: float, user: User | None) -> None:
        ask = _Ask(arrival, now, self._manners.retries, user)
        if self._manners.patience_s:
            self._asks.append(ask)
        self._line.receive(arrival, now, ask)

    def _try_again(self, now: float, ask: object) -> None:
        assert isinstance(ask, _Ask)
        if not ask.is_over:
            self._line.receive(ask.arrival, now, ask)

    def _leave(self, now: float, _: object) -> None:
        """Those whose patience is over; looked at ten times a patience."""
        asks, patience_s = self._asks, self._manners.patience_s
        while asks and (asks[0].is_over or asks[0].at + patience_s <= now):
            ask = asks.popleft()
            if ask.is_over:
                continue
            request = ask.request
            if request is not None:
                self._line.give_up(request)
            self._end(ask, "gave_up", now)
        self._agenda.at(now + patience_s / 10, self._leave, None)

    def _end(self, ask: _Ask, how: str, now: float) -> None:
        ask.is_over = True
        self._tally.lost(how, now)
        if ask.user is not None:
            self.goes_on(ask.user, now)


class Users(OpenLoop):
    """So many users, each of whom asks, reads, thinks and asks again."""

    def __init__(
        self,
        line: Line,
        tally: Tally,
        agenda: Agenda,
        manners: Manners,
        rng: Random,
        *,
        turns_of: Callable[[int], Iterator[Arrival]],
        count: int,
        think_s: float,
        ramp_s: float,
    ) -> None:
        super().__init__(line, tally, agenda, manners, rng)
        self._think_s = think_s
        self._is_closed = False
        self._thinking = [Random(f"{number}:{rng.random()}") for number in range(count)]
        """One for each, so that how long one thinks does not hang on when others are answered."""
        for number in range(count):
            user = User(number, turns_of(number))
            agenda.at(ramp_s * number / count, self._next, user)

    def close(self) -> None:
        """Nobody asks anything new."""
        self._is_closed = True

    def goes_on(self, user: User, now: float) -> None:
        """It thinks for a while."""
        pause_s = self._think_s
        if pause_s:
            pause_s = self._thinking[user.number].expovariate(1 / pause_s)
        self._agenda.at(now + pause_s, self._next, user)

    def _next(self, now: float, user: object) -> None:
        assert isinstance(user, User)
        if self._is_closed:
            return
        arrival = next(user.turns)
        self._tally.asked(arrival.tenant, now)
        self._ask(arrival, now, user)


class Turn(NamedTuple):
    """What a user of a written conversation does next."""

    pause_s: float
    """After the answer before, or after the start."""
    arrival: Arrival


class Talks(OpenLoop):
    """Users whose every turn and pause is written down, as they were seen elsewhere."""

    def __init__(
        self,
        line: Line,
        tally: Tally,
        agenda: Agenda,
        manners: Manners,
        rng: Random,
        *,
        talks: Sequence[Sequence[Turn]],
    ) -> None:
        super().__init__(line, tally, agenda, manners, rng)
        self._pauses = [iter([turn.pause_s for turn in talk]) for talk in talks]
        for number, talk in enumerate(talks):
            self.goes_on(User(number, iter([turn.arrival for turn in talk])), agenda.now)

    def goes_on(self, user: User, now: float) -> None:
        """It pauses, if it has more to say."""
        pause_s = next(self._pauses[user.number], None)
        if pause_s is not None:
            self._agenda.at(now + pause_s, self._say, user)

    def _say(self, now: float, user: object) -> None:
        assert isinstance(user, User)
        arrival = next(user.turns)
        self._tally.asked(arrival.tenant, now)
        self._ask(arrival, now, user)
