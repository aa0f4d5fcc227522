"""A connection to a cluster's API: whose it is and how it is proven, by lightkube.

lightkube reads kubeconfigs and service accounts, runs exec plugins, checks certificates, and reads
a token's file anew when the server refuses the old one. Its own `watch` is not used: lightkube 1.0
cannot ask for bookmarks, asks again with the refused version after a 410 as HTTP status, and waits
without end on a connection that has died.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from towplane.parts.errors import Platform
from towplane.parts.extras import load_extra

if TYPE_CHECKING:
    from httpx2 import AsyncClient

__all__ = ["Cluster", "NoCluster", "connect"]

TIMEOUT_S = 15.0
"""Of a list, and of the head of a watch."""


class NoCluster(Platform):
    """Nothing says where the cluster is, or who asks."""

    code = "not_ready"


class Cluster(NamedTuple):
    """A way to the API."""

    client: "AsyncClient"
    """With the API's origin, the credentials and the authorities."""
    namespace: str
    """Where the plane itself is, or what the context says."""


def connect(kubeconfig: str | None = None, context: str | None = None) -> Cluster:
    """From a kubeconfig; without one from the service account, else as kubectl finds it. Reads
    files. Raises NoCluster, or Unsupported without lightkube."""
    kube = load_extra("lightkube", "kubernetes")
    adapter = load_extra("lightkube.config.client_adapter", "kubernetes")
    models = load_extra("lightkube.config.models", "kubernetes")
    try:
        if kubeconfig is not None:
            found = kube.KubeConfig.from_file(Path(kubeconfig))
        elif context is not None:
            found = kube.KubeConfig.from_file(_default_file())
        else:
            found = kube.KubeConfig.from_env()
        config = found.get(context)
        if config.user is None:
            config = config._replace(user=models.User())  # lightkube 1.0 asks for one
        params = adapter.ConnectionParams(timeout=_timeout(), trust_env=True)
        return Cluster(adapter.AsyncClient(config, params), config.namespace)
    except (OSError, KeyError, ValueError, TypeError, kube.ConfigError) as error:
        raise NoCluster(
            f"no way to the cluster: {type(error).__name__}: {error}",
            next_step="set kubernetes.kubeconfig, or run the plane in a pod with a service account",
        ) from None


def _default_file() -> str:
    import os

    return os.environ.get("KUBECONFIG", "~/.kube/config")


def _timeout() -> object:
    return load_extra("httpx2", "kubernetes").Timeout(TIMEOUT_S)
