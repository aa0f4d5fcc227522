"""Scores of one route's requests in one worker: the scorer, and what it said lately.

What it said lately is kept so that a share of the route's own traffic can be found by it
(`towplane routing calibrate --share`); no text is kept. It knows no target and no threshold.

The laws: a request whose words cannot be read has an unknown score, NaN, never 0; a scorer that
runs others' code (the vendor's own, or a tokenizer) and takes too long or fails is left out for a
while, and never fails a request.
"""

import logging
from collections import deque
from collections.abc import Callable
from math import isfinite, nan
from time import thread_time

from towplane.gateway.counters import Histogram
from towplane.monitoring.catalogue import CATALOGUE
from towplane.monitoring.series import Sample
from towplane.providers.ask import Ask
from towplane.providers.last_text import read_last_text
from towplane.routing.complexity.model import Trained
from towplane.routing.complexity.scorer import Score, scorer_of
from towplane.routing.spec import Complexity

__all__ = ["MOST_CPU_S", "Scoring"]

MOST_CPU_S = 0.002
"""What a scorer may cost a request."""
KEPT = 1000
"""Scores that are kept: a share of them is known to within 0.03 (a binomial's 95 %)."""
_PATIENCE = 3
"""Times in a row that a scorer that runs others' code may be too slow or fail."""
_REST_S = 30.0
"""How long it is left out then."""
_FAMILY = "towplane_complexity_score"

_log = logging.getLogger("towplane.gateway")


class Scoring:
    """How a route scores."""

    __slots__ = ("_cpu", "_faults", "_fits", "_histogram", "_is_guarded", "_rests_until", "_score",
                 "name", "recent")  # fmt: skip

    def __init__(
        self,
        spec: Complexity,
        model: Trained | None,
        old: "Scoring | None" = None,
        *,
        score: Score | None = None,
        cpu: Callable[[], float] = thread_time,
    ) -> None:
        """`old` is what the route scored by before; `score` and `cpu` are for tests."""
        self.name = spec.scorer
        self._fits = _identity(spec, model)
        self._is_guarded = _runs_others_code(spec, model)
        self._score = score or _open(spec, model)
        self._cpu = cpu
        self._faults = 0
        self._rests_until = 0.0
        self._histogram: Histogram = old._histogram if old else Histogram(CATALOGUE[_FAMILY].edges)
        self.recent: deque[float] = deque(maxlen=KEPT)
        """The last scores, oldest first."""

    def fits(self, spec: Complexity, model: Trained | None) -> bool:
        """Whether a route described anew still scores like this."""
        return self._fits == _identity(spec, model)

    def score(self, ask: Ask, now: float) -> float:
        """Of this request; NaN: unknown."""
        text = read_last_text(ask).text
        if not text or self._score is None:
            return nan
        return self._guard(self._score, text, now) if self._is_guarded else self._score(text)

    def count(self, score: float) -> None:
        """A request with this score was routed."""
        if isfinite(score):
            self.recent.append(score)
            self._histogram.observe(score)

    def sample(self, model: str) -> Sample:
        """The scores as a series."""
        return self._histogram.sample(_FAMILY, (model,))

    def _guard(self, score: Score, text: str, now: float) -> float:
        if now < self._rests_until:
            return nan
        before = self._cpu()
        try:
            found = float(score(text))
            fault = "" if isfinite(found) else "its score is no number"
        except Exception as error:  # noqa: BLE001  # others' code: it must not fail a request
            found, fault = nan, f"it failed: {type(error).__name__}"
        spent = self._cpu() - before
        if spent > MOST_CPU_S:
            fault = fault or f"it took {spent * 1000:.1f} ms"
        self._note(fault, now)
        return found if isfinite(found) else nan

    def _note(self, fault: str, now: float) -> None:
        self._faults = self._faults + 1 if fault else 0
        if self._faults >= _PATIENCE:
            self._rests_until = now + _REST_S
            self._faults = 0
            _log.warning("the scorer %s is left out for %d s: %s", self.name, _REST_S, fault)


def _identity(spec: Complexity, model: Trained | None) -> tuple[str, str]:
    return spec.scorer, model.digest if model is not None else ""


def _runs_others_code(spec: Complexity, model: Trained | None) -> bool:
    if spec.scorer == "trained":
        return model is not None and model.kind == "embedded"
    return spec.scorer != "length"


def _open(spec: Complexity, model: Trained | None) -> Score | None:
    try:
        return scorer_of(spec.scorer, model)
    except Exception as error:  # noqa: BLE001  # the vendor's package: the route goes on without
        _log.error("the scorer %s cannot be had: %s", spec.scorer, error)
        return None
