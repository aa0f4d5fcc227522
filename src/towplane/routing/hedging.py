"""Hedging: a second attempt while the first has not brought a token, within a share and a cost cap.

When: after a fixed wait, or once a share (`quantile`) of the recent first tokens would have come.
Whether: while the second attempts of the recent past are below `budget` times its requests, and
those of this tenant in the last minute below `cost` (Dean and Barroso, "The tail at scale", 2013:
hedging after the 95th percentile adds 5 % load). Pure; the clock is passed in.

Law: what a hedged request is remembered with is never shorter than it was waited for, so that
hedges do not make each other earlier and earlier.
"""

from collections import deque
from typing import Final

from towplane.routing.retry_budget import RetryBudget
from towplane.routing.spec import Hedge, Retries

__all__ = ["Hedging", "estimate_nanousd"]

_REMEMBERED: Final = 256
"""First tokens that the quantile is taken of."""
_ENOUGH: Final = 20
"""Fewer say nothing of a tail."""
_FRESH: Final = 16
"""The quantile is worked out anew after so many."""
_MINUTE_S: Final = 60.0

Price = tuple[int, int, int]
"""Nano-dollars per million tokens: input, cached input, output."""


def estimate_nanousd(price: Price | None, tokens: int, output: int, *, stream: bool) -> int | None:
    """What a second attempt costs beyond the first: of a stream, which is cut before its first
    token if it loses, the prompt; of an answer in one piece its tokens, too. None: unknown."""
    if price is None:
        return None
    return (tokens * price[0] + (0 if stream else output * price[2])) // 1_000_000


class Hedging:
    """The second attempts of one route in one worker."""

    __slots__ = ("_budget", "_kinds", "_spec", "_spent")

    def __init__(self, spec: Hedge) -> None:
        self._spec = spec
        self._budget = RetryBudget(Retries(share=spec.budget, floor=0.0, window_s=spec.window_s))
        self._kinds = (_Recent(), _Recent())
        """Of answers in one piece, and of streams."""
        self._spent: dict[str, deque[tuple[float, int]]] = {}
        """By tenant, when and what; only where there is a cap."""

    def request(self, now: float) -> None:
        """A request came in."""
        self._budget.request(now)

    def wait_s(self, *, stream: bool) -> float:
        """How long the first attempt is waited for."""
        spec = self._spec
        if spec.quantile is None:
            return spec.after_s
        return max(spec.after_s, self._kinds[stream].at(spec.quantile))

    def saw(self, seconds: float, *, stream: bool) -> None:
        """How long the first attempt took to its first token, or, where it was overtaken, how long
        it had taken without one."""
        if self._spec.quantile is not None:
            self._kinds[stream].add(seconds)

    def take(self, tenant: str, nanousd: int | None, now: float) -> bool:
        """Take a second attempt at this estimate, if share and cap have one left."""
        cap = self._spec.cost
        if self._budget.left(now) < 1.0:
            return False
        if cap is not None:
            if nanousd is None:
                return False
            spent = self._spent.setdefault(tenant, deque())
            while spent and spent[0][0] <= now - _MINUTE_S:
                spent.popleft()
            if sum(amount for _, amount in spent) + nanousd > cap:
                return False
            spent.append((now, nanousd))
        return self._budget.take(now)

    def left(self, now: float) -> float:
        """Second attempts that are left at the moment, cost aside."""
        return self._budget.left(now)


class _Recent:
    """The last first-token times of one kind of answer."""

    __slots__ = ("_news", "_seconds", "_sorted")

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)
        self._sorted: list[float] = []
        self._news = 0

    def add(self, seconds: float) -> None:
        self._seconds.append(seconds)
        self._news += 1

    def at(self, quantile: float) -> float:
        """The time within which that share came; 0 while too few are known."""
        if len(self._seconds) < _ENOUGH:
            return 0.0
        if self._news >= _FRESH or not self._sorted:
            self._sorted = sorted(self._seconds)
            self._news = 0
        place = min(len(self._sorted) - 1, int(quantile * len(self._sorted)))
        return self._sorted[place]
