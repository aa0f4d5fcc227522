"""The replicas of engines drawn as the structs of `api.views`. Pure: values in, values out."""

from datetime import UTC, datetime

from towplane.api.views import EngineView
from towplane.controller.status import ReplicaStatus

__all__ = ["engine_view"]


def engine_view(replica: ReplicaStatus) -> EngineView:
    """One replica, of a plane that runs or of one that does not."""
    return EngineView(
        engine=replica.engine,
        replica=replica.replica,
        target=replica.target,
        kind=replica.kind,
        state=replica.state,
        reason=replica.reason,
        pid=replica.pid,
        port=replica.port,
        version=replica.version,
        weights=replica.weights,
        licence=replica.weights_licence,
        restarts=replica.restarts,
        since=datetime.fromtimestamp(replica.since, UTC) if replica.since else None,
    )
