"""The catalogue: every metric family of the plane, its labels from closed sets, its bucket edges.
One table, and long for that: whoever adds a family reads its neighbours.

Workers count by it, the plane process renders by it, the reference page is generated from it, and
the laws compare all of them with it. It imports nothing, so that a worker pays nothing for it. It
does not know the document: `model` and `target` are names from there, or `other`.

Laws: a tenant, a key or a client's string is never a label. Every SLO threshold in use is a bucket
edge. While a plane runs, edges are added and never taken away, so that no series ever falls.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["CATALOGUE", "LABELS", "OTHER", "Family", "edges", "rebucket"]

Kind = Literal["counter", "gauge", "histogram"]

OTHER = "other"
"""Stands for every label value outside its closed set: a model nobody configured, say."""

LABELS: dict[str, tuple[str, ...]] = {
    # An empty set: the values are names of the document or of this installation.
    "model": (),
    "target": (),
    "provider": (),
    "worker": (),
    "process": (),
    "version": (),
    "python": (),
    "outcome": ("ok", "cancelled", "refused", "rejected", "failed"),
    "slo": ("met", "missed", "none"),
    "cause": ("first", "retry", "fallback", "reconnect", "hedge", "probe", "mirror"),
    "attempt": (
        "ok",
        "cancelled",
        "refused",
        "denied",
        "rate_limited",
        "overloaded",
        "server_error",
        "unavailable",
        "protocol",
        "timeout",
        "crashed",
    ),
    "direction": ("input", "cached_input", "output"),
    "usage": ("measured", "estimated"),
    "state": ("ready", "starting", "draining", "open", "down"),
    "credential": ("ready", "parked", "missing"),
    "mirrored": ("sent", "dropped"),
    "side": ("client", "upstream"),
    "priority": ("high", "standard", "low"),
    "shed": ("at-capacity", "queue-full", "queue-timeout", "wait-too-long", "slo-out-of-reach"),
    "result": ("applied", "refused"),
    "signal": ("ttft", "itl", "total"),
    "reason": (
        # HTTP
        "http-invalid",
        "header-twice",
        "header-invalid",
        "headers-too-large",
        "body-too-large",
        "body-invalid",
        "content-encoding",
        "expectation-failed",
        "upgrade",
        "header-timeout",
        "body-timeout",
        "idle-timeout",
        "write-timeout",
        "method-not-allowed",
        "path-unknown",
        # The model and the key
        "model-missing",
        "model-unknown",
        "model-not-allowed",
        "key-missing",
        "key-unknown",
        "key-revoked",
        "key-expired",
        # Limits and budgets
        "requests-per-minute",
        "tokens-per-minute",
        "concurrency",
        "requests-per-day",
        "tokens-per-day",
        "requests-per-month",
        "tokens-per-month",
        "budget-daily",
        "budget-monthly",
        "budget-total",
        "price-unknown",
        "admission-timeout",
        "unsupported-parameter",
        "unsupported-operation",
        # The plane
        "no-target",
        "no-credential",
        "provider-limit",
        "at-capacity",
        "queue-full",
        "queue-timeout",
        "wait-too-long",
        "slo-out-of-reach",
        "connections",
        "draining",
        "fault",
        "not_ready",
        "bad_request",
        "unsupported",
    ),
}
"""Label name → its closed set. `reason` holds words of `x-towplane-reason`."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family, as operators see it."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    edges: tuple[float, ...] = ()
    """Upper edges of a histogram's buckets, without those that SLOs add and without +Inf."""
    plane: bool = False
    """Counted by the plane process; otherwise by the workers."""
    sets: tuple[tuple[str, str], ...] = ()
    """Labels whose closed set has another name than the label: (label, name in `LABELS`)."""

    def allowed(self, label: str) -> tuple[str, ...]:
        """The closed set of a label of this family; empty where the document gives the names."""
        return LABELS[dict(self.sets).get(label, label)]


# Shared shape of the spread of llm-d's and OTel's sets, without their gaps between 1 s and 2.5 s,
# where interactive SLOs live.
TTFT_S = (
    0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0,
    60.0, 120.0,
)  # fmt: skip
# The last edges catch stalls.
ITL_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0)
REQUEST_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
# The plane's own share is tens of microseconds; from 5 ms on somebody must look.
OVERHEAD_S = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
)  # fmt: skip

# Trained scores lie between 0 and 1, most of them near 0.5; a length counts characters.
SCORES = (
    0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85,
    0.9, 0.95, 1.0, 50.0, 100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0, 6400.0, 12800.0,
)  # fmt: skip

_FAMILIES = (
    # What clients asked, and what it took.
    Family(
        "towplane_requests_total",
        "counter",
        "Requests ended, by what the client got: ok; cancelled, the client went away; refused, "
        "the plane said no; rejected, a target said the request is wrong; failed, no target could "
        "answer. `slo` says whether every SLO of the route was met; none: it has none, or the "
        "request was refused, rejected or cancelled.",
        ("model", "outcome", "slo"),
    ),
    Family(
        "towplane_attempts_total",
        "counter",
        "Attempts ended: what the plane sent upstream. Attempts ÷ requests is the amplification, "
        "without those of the plane's own, `probe` and `mirror`.",
        ("model", "target", "cause", "outcome"),
        sets=(("outcome", "attempt"),),
    ),
    Family(
        "towplane_mirrored_total",
        "counter",
        "Requests drawn for mirroring: sent, or dropped because of load, budget or trouble.",
        ("model", "mirrored"),
    ),
    Family(
        "towplane_refusals_total",
        "counter",
        "Requests that the plane refused, by the word of x-towplane-reason.",
        ("reason",),
    ),
    Family(
        "towplane_ttft_seconds",
        "histogram",
        "From the last byte of a request received to its first generated token relayed, on any "
        "channel; streamed answers only.",
        ("model",),
        "seconds",
        TTFT_S,
    ),
    Family(
        "towplane_itl_seconds",
        "histogram",
        "Gap between consecutive generated tokens relayed; every gap is counted, where an SLO on "
        "ITL is held against the mean of a request.",
        ("model",),
        "seconds",
        ITL_S,
    ),
    Family(
        "towplane_request_seconds",
        "histogram",
        "From the first byte of a request to the last byte of its answer.",
        ("model",),
        "seconds",
        REQUEST_S,
    ),
    Family(
        "towplane_overhead_seconds",
        "histogram",
        "The plane's own time in a request, before its first attempt is sent.",
        (),
        "seconds",
        OVERHEAD_S,
    ),
    Family(
        "towplane_tokens_total",
        "counter",
        "Tokens of settled attempts. `input` holds every token of the prompt; `cached_input` is "
        "the part of them read from a cache: do not add the two. Absent usage is not in here.",
        ("model", "direction", "usage"),
        "",
    ),
    Family(
        "towplane_usage_absent_total",
        "counter",
        "Attempts whose usage is unknown: the target gave none and none could be estimated.",
        ("model",),
    ),
    Family(
        "towplane_cost_nanousd_total",
        "counter",
        "Cost of settled attempts with a known price, in nano-dollars. Exact sums are the "
        "ledger's; this is for rates.",
        ("model",),
        "nanousd",
    ),
    Family(
        "towplane_unpriced_attempts_total",
        "counter",
        "Attempts whose price is unknown. Unknown is not free.",
        ("model",),
    ),
    Family(
        "towplane_complexity_score",
        "histogram",
        "Score of each request of a route with strong and weak targets: from 0 to 1 of a trained "
        "scorer, characters of the length. Requests without a score are not in here.",
        ("model",),
        "",
        SCORES,
    ),
    # How each target does, whoever asked.
    Family(
        "towplane_target_ttft_seconds",
        "histogram",
        "From a request sent to a target to its first generated token; streamed answers only.",
        ("target",),
        "seconds",
        TTFT_S,
    ),
    Family(
        "towplane_target_seconds",
        "histogram",
        "From a request sent to a target to the end of its answer; whole answers only.",
        ("target",),
        "seconds",
        REQUEST_S,
    ),
    # What is going on right now.
    Family("towplane_inflight_requests", "gauge", "Requests being answered right now.", ("model",)),
    Family(
        "towplane_queue_depth",
        "gauge",
        "Requests that wait for an engine that is full, by priority.",
        ("priority",),
    ),
    Family(
        "towplane_queue_wait_seconds",
        "histogram",
        "From a request received to the end of its wait for an engine that was full, however it "
        "ended, by priority.",
        ("priority",),
        "seconds",
        REQUEST_S,
    ),
    Family(
        "towplane_shed_total",
        "counter",
        "Requests refused because engines were full, by priority and the word of "
        "x-towplane-reason.",
        ("model", "priority", "reason"),
        sets=(("reason", "shed"),),
    ),
    Family(
        "towplane_overflow_attempts_total",
        "counter",
        "Attempts at managed targets of a route that asks its own engines first.",
        ("model",),
    ),
    Family(
        "towplane_overflow_cost_nanousd_total",
        "counter",
        "What these attempts cost, as far as prices are known.",
        ("model",),
    ),
    Family("towplane_queued_requests", "gauge", "Requests admitted that wait for a target."),
    Family(
        "towplane_connections",
        "gauge",
        "Open connections: from clients, and to targets (idle ones included).",
        ("side",),
    ),
    Family("towplane_target_inflight", "gauge", "Attempts running at a target.", ("target",)),
    Family(
        "towplane_breakers_open",
        "gauge",
        "Workers whose breaker for the target is open: they leave it alone for a while.",
        ("target",),
    ),
    Family(
        "towplane_breaker_trips_total",
        "counter",
        "Times that a breaker opened, over all workers.",
        ("target",),
    ),
    Family(
        "towplane_retry_budget_retries",
        "gauge",
        "Retries that the route's budget allows right now.",
        ("model",),
    ),
    Family(
        "towplane_retries_denied_total",
        "counter",
        "Retries that would have been tried but for the retry budget.",
        ("model",),
    ),
    # The plane itself.
    Family(
        "towplane_target_state",
        "gauge",
        "1 for the state in which a target is, 0 for the others. open: a breaker keeps traffic "
        "away; down: it is not running, and nobody tries.",
        ("target", "state"),
        plane=True,
    ),
    Family(
        "towplane_engine_restarts_total",
        "counter",
        "Restarts of an engine replica after a crash.",
        ("target",),
        plane=True,
    ),
    Family(
        "towplane_worker_up",
        "gauge",
        "1: the gateway worker is serving; 0: it is not.",
        ("worker",),
        plane=True,
    ),
    Family(
        "towplane_worker_restarts_total",
        "counter",
        "Restarts of a gateway worker after it ended by itself.",
        ("worker",),
        plane=True,
    ),
    Family(
        "towplane_document_loaded_timestamp_seconds",
        "gauge",
        "When the document in force took effect.",
        (),
        "seconds",
        plane=True,
    ),
    Family(
        "towplane_document_valid",
        "gauge",
        "1: the file on disk is what is in force; 0: the newest one was refused, an older one "
        "stays.",
        plane=True,
    ),
    Family(
        "towplane_document_reloads_total",
        "counter",
        "New documents seen, by what became of them.",
        ("result",),
        plane=True,
    ),
    Family(
        "towplane_slo_threshold_seconds",
        "gauge",
        "SLO thresholds of the document in force; each is a bucket edge of its histogram.",
        ("model", "signal"),
        "seconds",
        plane=True,
    ),
    Family(
        "towplane_ledger_lag_events",
        "gauge",
        "Events in the journal that are not in the ledger yet.",
        plane=True,
    ),
    Family(
        "towplane_ledger_folded_total",
        "counter",
        "Events folded into the ledger.",
        plane=True,
    ),
    Family(
        "towplane_ledger_bad_lines_total",
        "counter",
        "Journal lines that could not be read; each is kept aside, none is dropped silently.",
        plane=True,
    ),
    Family(
        "towplane_ledger_last_fold_timestamp_seconds",
        "gauge",
        "When the journal was last folded into the ledger.",
        (),
        "seconds",
        plane=True,
    ),
    Family(
        "towplane_credentials",
        "gauge",
        "Credentials of a provider by state: ready; parked, the provider refused it in at least "
        "one worker; missing, it cannot be had. `towplane providers status` says why.",
        ("provider", "state"),
        plane=True,
        sets=(("state", "credential"),),
    ),
    Family(
        "towplane_credential_expiry_timestamp_seconds",
        "gauge",
        "When the first of a provider's credentials ends unless it is renewed, which happens well "
        "before. Absent where none says that it ends.",
        ("provider",),
        "seconds",
        plane=True,
    ),
    Family(
        "towplane_unpriced_targets",
        "gauge",
        "Targets of a model whose price nobody knows: what they cost is not counted. Unknown is "
        "not free.",
        ("model",),
        plane=True,
    ),
    Family(
        "towplane_price_book_good",
        "gauge",
        "1: the price book answers and is not old; 0: it is missing, broken or old, and `towplane "
        "status` says which. Absent where the document asks nothing of it.",
        plane=True,
    ),
    Family(
        "towplane_price_book_newest_timestamp_seconds",
        "gauge",
        "The last day on which a price in the price book changed: so new is it at least.",
        (),
        "seconds",
        plane=True,
    ),
    Family(
        "towplane_process_cpu_seconds_total",
        "counter",
        "CPU time of a process of the plane: plane, worker-N, or ENGINE/REPLICA.",
        ("process",),
        "seconds",
        plane=True,
    ),
    Family(
        "towplane_process_resident_memory_bytes",
        "gauge",
        "Resident memory of a process of the plane.",
        ("process",),
        "bytes",
        plane=True,
    ),
    Family(
        "towplane_start_timestamp_seconds",
        "gauge",
        "When this plane started.",
        (),
        "seconds",
        plane=True,
    ),
    Family(
        "towplane_build_info",
        "gauge",
        "1, with the versions of what runs.",
        ("version", "python"),
        plane=True,
    ),
)

CATALOGUE: dict[str, Family] = {family.name: family for family in _FAMILIES}
"""Every family by its name."""


def edges(family: str, slos: Iterable[float] = ()) -> tuple[float, ...]:
    """Bucket edges of a histogram: the catalogue's, and every SLO threshold in use."""
    return tuple(sorted({*CATALOGUE[family].edges, *(slo for slo in slos if slo > 0)}))


def rebucket(counts: Sequence[int], old: Sequence[float], new: Sequence[float]) -> list[int]:
    """Counts of a histogram moved to other edges; no answer looks faster than it was.

    A bucket goes to the first new edge that is not below its own upper edge. With `new` holding
    all of `old`, the cumulative count at every old edge stays what it was.
    """
    moved = [0] * (len(new) + 1)
    for index, count in enumerate(counts):
        place = bisect_left(new, old[index]) if index < len(old) else len(new)
        moved[place] += count
    return moved
