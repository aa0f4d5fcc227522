"""Where each number of the console comes from: its meaning, its PromQL, its command.

Plain values; the page `/sources` lists them and every figure links to its own. Law: each metric
named here is in the catalogue.
"""

from typing import NamedTuple

__all__ = ["SOURCES", "Source"]


class Source(NamedTuple):
    """One figure."""

    title: str
    meaning: str
    promql: str
    command: str


_NOW = "towplane status"
_PROVIDERS = "towplane providers status"


def _quantile(share: float, family: str) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate({family}_bucket[1m])))"


SOURCES: dict[str, Source] = {
    "requests": Source(
        "Requests",
        "What clients asked, per second; each once, however often it was tried.",
        "sum(rate(towplane_requests_total[1m]))",
        _NOW,
    ),
    "attempts": Source(
        "Attempts",
        "What the plane sent upstream for them, per second: first tries, retries, fallbacks and "
        "hedges.",
        'sum(rate(towplane_attempts_total{cause!~"probe|mirror"}[1m]))',
        _NOW,
    ),
    "amplification": Source(
        "Amplification",
        "Attempts ÷ requests that the plane did not refuse. Above 1.2 and rising, retries feed "
        "the overload that they flee from.",
        'sum(rate(towplane_attempts_total{cause!~"probe|mirror"}[1m]))'
        ' / sum(rate(towplane_requests_total{outcome!="refused"}[1m]))',
        _NOW,
    ),
    "tokens": Source(
        "Output tokens",
        "Tokens generated, per second, of attempts that have ended.",
        'sum(rate(towplane_tokens_total{direction="output"}[1m]))',
        _NOW,
    ),
    "input-tokens": Source(
        "Input tokens",
        "Tokens of prompts, per second, those read from a cache included.",
        'sum(rate(towplane_tokens_total{direction="input"}[1m]))',
        _NOW,
    ),
    "ttft": Source(
        "TTFT",
        "From the last byte of a request received to its first generated token relayed, on any "
        "channel. Streamed answers only.",
        f"{_quantile(0.95, 'towplane_ttft_seconds')}",
        _NOW,
    ),
    "itl": Source(
        "ITL",
        "Gap between consecutive generated tokens relayed; every gap counts.",
        f"{_quantile(0.95, 'towplane_itl_seconds')}",
        _NOW,
    ),
    "goodput": Source(
        "Goodput",
        "Share of the requests that met every SLO of their route, of those that had one.",
        'sum(rate(towplane_requests_total{slo="met"}[1m]))'
        ' / sum(rate(towplane_requests_total{slo=~"met|missed"}[1m]))',
        _NOW,
    ),
    "errors": Source(
        "Errors",
        "Share of the requests that no target could answer; refused and cancelled ones stand "
        "aside.",
        'sum(rate(towplane_requests_total{outcome="failed"}[1m]))'
        ' / sum(rate(towplane_requests_total{outcome!~"refused|cancelled"}[1m]))',
        _NOW,
    ),
    "refusals": Source(
        "Refusals",
        "Requests per second that the plane refused: no key, no budget, over a limit, bad HTTP.",
        "sum by (reason) (rate(towplane_refusals_total[1m]))",
        _NOW,
    ),
    "in-flight": Source(
        "In flight",
        "Requests being answered right now.",
        "sum(towplane_inflight_requests)",
        _NOW,
    ),
    "targets": Source(
        "Targets",
        "State of each place that can answer: ready, starting, draining, open (a breaker keeps "
        "traffic away) or down.",
        "towplane_target_state == 1",
        "towplane status",
    ),
    "provider-attempts": Source(
        "Attempts at a provider",
        "What the plane sent to a provider or one of its models and that has ended, in the window "
        "of the table.",
        "sum by (target) (increase(towplane_attempts_total[5m]))",
        _PROVIDERS,
    ),
    "provider-success": Source(
        "Success of a provider",
        "Share of the attempts with a verdict that went well. Answers that say what is wrong with "
        "a request went well; those that the client gave up have no verdict.",
        'sum by (target) (rate(towplane_attempts_total{outcome=~"ok|refused"}[5m]))'
        ' / sum by (target) (rate(towplane_attempts_total{outcome!~"cancelled|crashed"}[5m]))',
        _PROVIDERS,
    ),
    "provider-limited": Source(
        "Told to slow down",
        "Share of the attempts with a verdict that the provider answered with 429.",
        'sum by (target) (rate(towplane_attempts_total{outcome="rate_limited"}[5m]))'
        ' / sum by (target) (rate(towplane_attempts_total{outcome!~"cancelled|crashed"}[5m]))',
        _PROVIDERS,
    ),
    "provider-ttft": Source(
        "TTFT of a provider",
        "From a request sent to a target to its first generated token. Streamed answers only.",
        "histogram_quantile(0.95, "
        "sum by (le, target) (rate(towplane_target_ttft_seconds_bucket[5m])))",
        _PROVIDERS,
    ),
    "provider-latency": Source(
        "Latency of a provider",
        "From a request sent to a target to the end of its answer. Whole answers only.",
        "histogram_quantile(0.95, sum by (le, target) (rate(towplane_target_seconds_bucket[5m])))",
        _PROVIDERS,
    ),
    "credentials": Source(
        "Credentials",
        "How many credentials of a provider are ready, parked (it refused them) or missing.",
        "towplane_credentials",
        _PROVIDERS,
    ),
    "engines": Source(
        "Engines",
        "Replicas of self-hosted engines; restarts count crashes.",
        "towplane_engine_restarts_total",
        "towplane engines list",
    ),
    "workers": Source(
        "Workers",
        "Gateway processes that share the serving port.",
        "towplane_worker_up",
        "towplane status",
    ),
    "spend": Source(
        "Spend",
        "Cost of settled attempts, exact, from the ledger. Attempts without a known price are "
        "counted apart: unknown is not free.",
        "sum(increase(towplane_cost_nanousd_total[1d])) / 1e9",
        "towplane tenants usage --by tenant",
    ),
    "document": Source(
        "Document",
        "Whether the file on disk is what is in force.",
        "towplane_document_valid",
        "towplane check",
    ),
    "ledger": Source(
        "Ledger",
        "Events of the journal that are not in the ledger yet.",
        "towplane_ledger_lag_events",
        "towplane status",
    ),
}
