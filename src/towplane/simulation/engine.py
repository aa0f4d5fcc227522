"""An inference engine in virtual time: continuous batching, chunked prefill, a prefix cache.

It works in steps. In each, every running sequence gets a token, and up to `batched` tokens less
those are prefilled, first come first served. Nothing happens per token: between two changes of the
batch all steps are alike, so one event stands for the phase (`_plan` makes it, `_wake` ends it).
A newcomer joins at the next step's boundary. Follows vLLM V1's scheduler, or V0's where prompts are
computed `apart`: a prompt is taken in when its whole KV fits, and when KV runs out the newest
sequence is interrupted and computed anew later.

What it leaves out: within a phase the step takes as long as at its beginning, although contexts
grow; KV is counted in tokens and not in blocks of 16. The laws: every work that is offered ends
once; KV held and cached never exceeds its capacity.
"""

from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush

from towplane.simulation.agenda import Agenda
from towplane.simulation.cache import Cache
from towplane.simulation.figures import EngineFigures
from towplane.simulation.work import OVER, PREFILLING, RUNNING, WAITING, Sink, Work

__all__ = ["Engine"]

_NOTHING: tuple[tuple[Work, int], ...] = ()


class Engine:
    """One replica."""

    __slots__ = ("_agenda", "_at", "_awake", "_chunks", "_context", "_finishing", "_gone", "_phase",
                 "_prefilling", "_running", "_serial", "_sink", "_step_s", "_steps", "_version",
                 "_waiting", "busy_s", "cache", "figures", "hits", "is_down", "is_hung",
                 "preemptions", "prefilled", "slow")  # fmt: skip

    def __init__(self, figures: EngineFigures, agenda: Agenda, sink: Sink, block: int = 16) -> None:
        self.figures = figures
        self.cache = Cache(figures.kv_tokens, block)
        self.is_down = False
        self.is_hung = False
        self.slow = 1.0
        """How many times as long as usual a step takes."""
        self.preemptions = 0
        self.prefilled = 0
        """Tokens computed."""
        self.hits = 0
        """Input tokens found in the cache."""
        self.busy_s = 0.0
        self._agenda = agenda
        self._sink = sink
        self._waiting: deque[Work] = deque()
        self._gone = 0
        """Of the waiting, those for which nobody waits."""
        self._prefilling: list[Work] = []
        self._running: dict[Work, None] = {}
        """In the order in which they began to decode."""
        self._finishing: list[tuple[int, int, Work]] = []
        """A heap by the step at which each is whole; those that moved meanwhile are skipped."""
        self._serial = 0
        self._context = 0
        """Tokens whose keys and values the running ones read in each step."""
        self._steps = 0
        """Made up to the running phase's beginning."""
        self._phase = 0
        """Steps of the running phase; 0: idle."""
        self._at = 0.0
        """When it began."""
        self._step_s = 0.0
        """How long its steps take."""
        self._chunks: Sequence[tuple[Work, int]] = _NOTHING
        """What it prefills: tokens of a work."""
        self._version = 0
        """Of the phase: an event of an older one means nothing."""
        self._awake = self._wake

    # What the gateway does

    def offer(self, work: Work, now: float) -> None:
        """Take it in, or say at once why not."""
        figures = self.figures
        if self.is_down:
            self._sink.failed(work, now, "unavailable", None)
            return
        waiting = self._waiting
        if work.tokens + work.output > figures.kv_tokens:
            self._sink.failed(work, now, "rejected", None)
            return
        queue = len(waiting) - self._gone
        if figures.queued and queue >= figures.queued:
            self._sink.failed(work, now, "overloaded", None)
            return
        waiting.append(work)
        if not self._phase:
            if not self.is_hung:
                self._plan(now + figures.overhead_s)
        elif not queue and not self._chunks and len(self._running) < figures.sequences:
            self._cut(now + figures.overhead_s)

    def cancel(self, work: Work) -> None:
        """Nobody waits for it any more."""
        if work.is_gone or work.stage == OVER:
            return
        work.is_gone = True
        if work.stage == WAITING:
            self._gone += 1
        elif work.stage == RUNNING:
            self._leave(work)
        # One that is being prefilled goes at the end of the phase.

    def waiting(self) -> int:
        """Requests that have not begun."""
        return len(self._waiting) - self._gone

    def running(self) -> int:
        """Requests that are worked on."""
        return len(self._running) + len(self._prefilling)

    # What faults do

    def stop(self, now: float, *, trouble: str = "unavailable") -> None:
        """It crashes: all that it had is lost, its cache too."""
        self.is_down = True
        self._version += 1
        self._phase = 0
        lost = [*self._running, *self._prefilling, *self._waiting]
        self._waiting.clear()
        self._prefilling.clear()
        self._running.clear()
        self._finishing.clear()
        self._chunks = _NOTHING
        self._gone = self._context = 0
        self.cache.forget()
        for work in lost:
            work.stage = OVER
            if not work.is_gone:
                self._sink.failed(work, now, trouble, None)

    def start(self, now: float) -> None:
        """It is up again, or goes on after a hang."""
        self.is_down = self.is_hung = False
        if not self._phase:
            self._plan(now)

    def hang(self) -> None:
        """It takes requests and makes no progress."""
        self.is_hung = True
        self._version += 1
        self._phase = 0

    # Phases

    def _plan(self, now: float) -> None:
        """Begin the next phase at `now`."""
        running, cache, figures = self._running, self.cache, self.figures
        if self._waiting:
            self._admit(len(running))
        count = len(running)
        room = cache.capacity - cache.used
        if room < count:
            self._preempt()
            count = len(running)
            room = cache.capacity - cache.used
        extra_s = 0.0
        if self._prefilling:
            steps, self._chunks, extra_s = self._chunk(count)
        elif count:
            self._chunks = _NOTHING
            finishing = self._finishing  # as `_most_steps`, which is called too often to be called
            step, _, work = finishing[0]
            while work.finish != step:
                heappop(finishing)
                step, _, work = finishing[0]
            steps = step - self._steps
            if steps * count > room:
                steps = max(1, room // count)
        else:
            self._chunks = _NOTHING
            self._phase = 0
            return
        if count * steps + cache.cached > room:
            cache.make_room(count * steps)
        step_s = figures.step_s + figures.seq_s * count + figures.kv_s * self._context
        if self.slow != 1.0:
            step_s *= self.slow
            extra_s *= self.slow
        self._step_s = step_s
        self._phase = steps
        self._at = now
        takes_s = steps * step_s + extra_s
        if figures.apart and self._chunks:  # nobody decodes meanwhile
            takes_s = max(figures.step_s * self.slow, extra_s)
        self.busy_s += takes_s
        self._version = version = self._version + 1
        self._agenda.at(now + takes_s, self._awake, version)

    def _wake(self, now: float, version: object) -> None:
        """A phase is over."""
        if version != self._version:
            return
        steps = 0 if self._chunks and self.figures.apart else self._phase
        self._steps = at = self._steps + steps
        grown = len(self._running) * steps
        self.cache.used += grown
        self._context += grown
        finishing = self._finishing
        while finishing and finishing[0][0] <= at:
            step, _, work = heappop(finishing)
            if work.finish == step:
                self._finish(work, now)
        if self._chunks:
            self._prefill(now)
        self._plan(now)

    def _cut(self, when: float) -> None:
        """A newcomer: the phase, which only decodes, ends at the next boundary after `when`."""
        elapsed = (when - self._at) / self._step_s
        steps = int(elapsed) + 1 if elapsed > 0 else 0
        if steps >= self._phase:
            return
        grown = len(self._running) * steps
        self._steps += steps
        self.cache.used += grown
        self._context += grown
        self.busy_s -= (self._phase - steps) * self._step_s
        self._plan(self._at + steps * self._step_s)

    def _admit(self, count: int) -> None:
        """Take in those that have waited longest, as far as slots, the step and KV allow."""
        waiting, prefilling, cache = self._waiting, self._prefilling, self.cache
        figures = self.figures
        budget = figures.batched - count
        pending = 0
        for work in prefilling:
            pending += work.left
        slots = figures.sequences - count - len(prefilling)
        while waiting and slots > 0 and pending < budget:
            work = waiting[0]
            if work.is_gone:
                waiting.popleft()
                work.stage = OVER
                self._gone -= 1
                continue
            need = work.tokens + work.made
            blocks = work.arrival.blocks
            matched = 0
            if blocks:
                # The last token is always computed: its output is wanted (vLLM).
                matched = min(cache.match(blocks), (need - 1) // cache.block)
            private = need - matched * cache.block
            room = cache.capacity - cache.used
            if matched:
                room -= cache.missing(blocks, matched)
            if private + count > room:
                break
            waiting.popleft()
            if matched:
                held = blocks[:matched]
                cache.hold(held)
                work.held = held
                self.hits += matched * cache.block
                if not work.made:
                    work.cached = matched * cache.block
            if cache.used + cache.cached + private > cache.capacity:
                cache.make_room(private)
            cache.used += private
            work.private = work.left = private
            work.stage = PREFILLING
            prefilling.append(work)
            pending += private
            slots -= 1

    def _chunk(self, count: int) -> tuple[int, list[tuple[Work, int]], float]:
        """What the next phase prefills: steps, tokens of each work, and how long these take."""
        figures, prefilling = self.figures, self._prefilling
        budget = max(1, figures.batched - count)
        head = prefilling[0]
        steps = 1
        if len(prefilling) == 1 and head.left <= budget:  # the usual case
            take = head.left
            self.prefilled += take
            before = head.tokens + head.made - take
            token_s = figures.token_s + figures.attend_s * (before + take / 2)
            return 1, [(head, take)], take * token_s
        chunks: list[tuple[Work, int]]
        if head.left > budget:  # nobody else fits beside it
            steps = head.left // budget
            if count:
                room = self.cache.capacity - self.cache.used
                steps = min(steps, self._most_steps(count, room))
            chunks = [(head, steps * budget)]
        else:
            chunks = []
            for work in prefilling:
                take = min(work.left, budget)
                chunks.append((work, take))
                budget -= take
                if not budget:
                    break
        extra_s = 0.0
        token_s, attend_s = figures.token_s, figures.attend_s
        for work, take in chunks:
            before = work.tokens + work.made - work.left
            extra_s += take * (token_s + attend_s * (before + take / 2))
            self.prefilled += take
        return steps, chunks, extra_s

    def _most_steps(self, count: int, room: int) -> int:
        """Steps until a sequence is whole or KV runs out."""
        finishing = self._finishing
        step, _, work = finishing[0]
        while work.finish != step:
            heappop(finishing)
            step, _, work = finishing[0]
        steps = step - self._steps
        return steps if steps * count <= room else max(1, room // count)

    def _prefill(self, now: float) -> None:
        """The chunks are computed; those that are whole have their first token."""
        chunks, prefilling = self._chunks, self._prefilling
        if len(chunks) == len(prefilling) == 1:  # the usual case
            work, take = chunks[0]
            work.left -= take
            if not work.left or work.is_gone:
                prefilling.clear()
                self._computed(work, now)
            return
        done = []
        for work, take in chunks:
            work.left -= take
            if not work.left or work.is_gone:
                done.append(work)
        if len(done) == len(prefilling):
            prefilling.clear()
        elif done:
            rest = [work for work in prefilling[: len(chunks)] if work.left and not work.is_gone]
            prefilling[: len(chunks)] = rest
        for work in done:
            self._computed(work, now)

    def _computed(self, work: Work, now: float) -> None:
        """Its prompt is, and a token made; it decodes from now on."""
        if work.is_gone:
            self._forget(work)
            return
        blocks = work.arrival.blocks
        if blocks and len(work.held) < len(blocks):
            fresh = blocks[len(work.held) :]
            self.cache.share(fresh)
            work.private -= len(fresh) * self.cache.block
            work.held = blocks
        more = work.output - work.made - 1
        work.joined = steps = self._steps
        work.stage = RUNNING
        self._context += work.tokens + work.made
        self._running[work] = None
        if work.first_at < 0:
            work.first_at = now
            self._sink.began(work, now)
        if more > 0:
            work.finish = steps + more
            self._serial = serial = self._serial + 1
            heappush(self._finishing, (work.finish, serial, work))
        else:
            self._finish(work, now)

    def _finish(self, work: Work, now: float) -> None:
        """Its answer is whole."""
        del self._running[work]  # as `_leave`
        cache = self.cache
        more = self._steps - work.joined
        self._context -= work.tokens + work.made + more
        cache.used -= work.private + more
        work.finish = -1
        work.stage = OVER
        if work.held:
            cache.release(work.held)
            work.held = ()
        arrival = work.arrival
        if arrival.grown:
            cache.keep(arrival.grown[len(arrival.blocks) :])
        self._sink.answered(work, now)

    def _leave(self, work: Work) -> None:
        """It runs no longer."""
        del self._running[work]
        more = self._steps - work.joined
        self._context -= work.tokens + work.made + more
        work.finish = -1
        work.private += more
        self._forget(work)

    def _forget(self, work: Work) -> None:
        cache = self.cache
        cache.used -= work.private
        if work.held:
            cache.release(work.held)
            work.held = ()
        work.private = 0
        work.stage = OVER

    def _preempt(self) -> None:
        """Interrupt the newest until each of the others has room for one more token."""
        cache, running = self.cache, self._running
        while running and cache.capacity - cache.used < len(running):
            if self._prefilling:
                work = self._prefilling.pop()
                self._forget(work)
            else:
                work = next(reversed(running))
                made = work.made + 1 + self._steps - work.joined
                self._leave(work)
                work.made = made
            self.preemptions += 1
            if not work.is_gone:
                work.stage = WAITING
                self._waiting.appendleft(work)
