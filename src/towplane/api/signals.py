"""What the plane process itself contributes to /metrics: samples drawn from the read model.

The page, the API and the metrics say the same because they are made from the same value. Pure; the
figures of processes come in from `api.processes`.
"""

import platform
from datetime import UTC, datetime, time

from towplane.api.views import PlaneStatus
from towplane.monitoring.catalogue import LABELS
from towplane.monitoring.series import Sample

__all__ = ["signals"]


def signals(status: PlaneStatus) -> list[Sample]:
    """Every family of the catalogue that the plane process counts, processes aside."""
    return [
        *_itself(status),
        *_document(status),
        *_workers(status),
        *_targets(status),
        *_slos(status),
        *_ledger(status),
        *_prices(status),
        *_credentials(status),
    ]


def _itself(status: PlaneStatus) -> list[Sample]:
    return [
        Sample("towplane_build_info", (status.version, platform.python_version()), 1),
        Sample("towplane_start_timestamp_seconds", (), status.started_at.timestamp()),
    ]


def _document(status: PlaneStatus) -> list[Sample]:
    document = status.document
    return [
        Sample("towplane_document_loaded_timestamp_seconds", (), document.loaded_at.timestamp()),
        Sample("towplane_document_valid", (), float(document.is_valid)),
        Sample("towplane_document_reloads_total", ("applied",), document.applied),
        Sample("towplane_document_reloads_total", ("refused",), document.refused),
    ]


def _workers(status: PlaneStatus) -> list[Sample]:
    found = []
    for worker in status.workers:
        name = (str(worker.number),)
        found.append(Sample("towplane_worker_up", name, float(worker.state == "serving")))
        found.append(Sample("towplane_worker_restarts_total", name, worker.restarts))
    return found


def _targets(status: PlaneStatus) -> list[Sample]:
    found = [
        Sample("towplane_target_state", (target.name, state), float(target.state == state))
        for target in status.targets
        for state in LABELS["state"]
    ]
    found += [
        Sample("towplane_engine_restarts_total", (engine.target,), engine.restarts)
        for engine in status.engines
    ]
    return found


def _slos(status: PlaneStatus) -> list[Sample]:
    thresholds = [
        (route.model, signal, threshold)
        for route in status.routes
        for signal, threshold in (
            ("ttft", route.slo.ttft_s),
            ("itl", route.slo.itl_s),
            ("total", route.slo.total_s),
        )
    ]
    return [
        Sample("towplane_slo_threshold_seconds", (model, signal), threshold)
        for model, signal, threshold in thresholds
        if threshold is not None
    ]


def _ledger(status: PlaneStatus) -> list[Sample]:
    ledger = status.ledger
    found = [
        Sample("towplane_ledger_folded_total", (), ledger.folded),
        Sample("towplane_ledger_bad_lines_total", (), ledger.bad_lines),
    ]
    if ledger.lag_events is not None:
        found.append(Sample("towplane_ledger_lag_events", (), ledger.lag_events))
    if ledger.last_fold is not None:
        name = "towplane_ledger_last_fold_timestamp_seconds"
        found.append(Sample(name, (), ledger.last_fold.timestamp()))
    return found


def _prices(status: PlaneStatus) -> list[Sample]:
    prices = status.prices
    lacking = {route.model: 0 for route in status.routes}
    for unpriced in prices.unpriced:
        for model in unpriced.routes:
            lacking[model] = lacking.get(model, 0) + 1
    found = [Sample("towplane_unpriced_targets", (model,), n) for model, n in lacking.items()]
    if prices.book or prices.complaint:
        found.append(Sample("towplane_price_book_good", (), float(not prices.complaint)))
    if prices.newest is not None:
        midnight = datetime.combine(prices.newest, time(), UTC)
        name = "towplane_price_book_newest_timestamp_seconds"
        found.append(Sample(name, (), midnight.timestamp()))
    return found


def _credentials(status: PlaneStatus) -> list[Sample]:
    found = []
    for provider in status.providers:
        states: list[str] = [credential.state for credential in provider.credentials]
        found += [
            Sample("towplane_credentials", (provider.name, state), states.count(state))
            for state in LABELS["credential"]
            if states
        ]
        ends = [one.expires_at for one in provider.credentials if one.expires_at is not None]
        if ends:
            name = "towplane_credential_expiry_timestamp_seconds"
            found.append(Sample(name, (provider.name,), min(ends).timestamp()))
    return found
