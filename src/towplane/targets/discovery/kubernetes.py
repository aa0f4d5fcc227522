"""Addresses from Kubernetes: the EndpointSlices of a Service, or the pods of an InferencePool.

Both are mirrors of a part of the cluster (`targets.kubernetes`), read by the pure functions of
`routing.discovery.cluster`. When the pool's selector changes, other pods are watched; until the
first list of those has come, the addresses stay as they were.
"""

import asyncio
import random
from collections.abc import Callable, Iterable

from towplane.parts.errors import PlaneError
from towplane.parts.threads import run_aside
from towplane.providers.discover import KubernetesSource
from towplane.routing.discovery.address import Address
from towplane.routing.discovery.cluster import (
    EndpointSlice,
    InferencePool,
    Pod,
    addresses_of_pods,
    addresses_of_slices,
)
from towplane.targets.discovery.source import Listener, pause_s
from towplane.targets.kubernetes.connect import Cluster, connect
from towplane.targets.kubernetes.mirror import Mirror
from towplane.targets.kubernetes.watch import RELIST_S, Resource, Watch

__all__ = ["PoolPods", "ServiceEndpoints", "source_of"]

Connect = Callable[[], Cluster]


def source_of(spec: KubernetesSource) -> "ServiceEndpoints | PoolPods":
    """The source that a section means."""

    def reach() -> Cluster:
        return connect(spec.kubeconfig, spec.context)

    if spec.inference_pool is not None:
        return PoolPods(spec.inference_pool, spec.namespace, reach)
    return ServiceEndpoints(spec.service or "", spec.namespace, spec.port, reach)


class _InCluster:
    """What both have: a connection, made again while it fails."""

    def __init__(
        self, namespace: str | None, reach: Connect, relist_s: float, draw: Callable[[], float]
    ) -> None:
        self._namespace, self._reach = namespace, reach
        self._relist_s, self._draw = relist_s, draw

    def _pause_s(self, failures: int) -> float:
        return pause_s(failures, self._draw)

    async def follow(self, listener: Listener) -> None:
        """Connect, then watch; without end."""
        failures = 0
        while True:
            try:
                cluster = await run_aside(self._reach)
                break
            except PlaneError as error:
                failures += 1
                listener.failed(
                    f"{error.say} ({error.next_step})" if error.next_step else error.say
                )
                await asyncio.sleep(self._pause_s(failures))
        async with cluster.client:
            await self._watch(cluster, self._namespace or cluster.namespace, listener)

    async def _watch(self, cluster: Cluster, namespace: str, listener: Listener) -> None:
        raise NotImplementedError


class ServiceEndpoints(_InCluster):
    """The endpoints of one Service."""

    def __init__(
        self,
        service: str,
        namespace: str | None,
        port: str | None,
        reach: Connect,
        *,
        relist_s: float = RELIST_S,
        draw: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(namespace, reach, relist_s, draw)
        self.name = f"Kubernetes service {service}"
        self._service, self._port = service, port

    async def _watch(self, cluster: Cluster, namespace: str, listener: Listener) -> None:
        mirror = Mirror(EndpointSlice)

        def changed() -> None:
            listener.heard(addresses_of_slices(mirror.objects(), self._port))

        await Watch(
            cluster.client,
            Resource(
                "discovery.k8s.io", "v1", "endpointslices", namespace,
                {"kubernetes.io/service-name": self._service},
            ),
            mirror,
            changed=changed, failed=listener.failed,
            pause_s=self._pause_s, relist_s=self._relist_s, draw=self._draw,
        ).run()  # fmt: skip


class PoolPods(_InCluster):
    """The pods of one InferencePool."""

    def __init__(
        self,
        pool: str,
        namespace: str | None,
        reach: Connect,
        *,
        relist_s: float = RELIST_S,
        draw: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(namespace, reach, relist_s, draw)
        self.name = f"Kubernetes InferencePool {pool}"
        self._pool = pool

    async def _watch(self, cluster: Cluster, namespace: str, listener: Listener) -> None:
        pools: Mirror[InferencePool] = Mirror(InferencePool)
        is_other = asyncio.Event()
        watch = Watch(
            cluster.client,
            Resource(
                "inference.networking.k8s.io", "v1", "inferencepools", namespace, name=self._pool
            ),
            pools,
            changed=is_other.set, failed=listener.failed,
            pause_s=self._pause_s, relist_s=self._relist_s, draw=self._draw,
        )  # fmt: skip
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(watch.run())
            await self._follow_pods(cluster, namespace, listener, pools, is_other, tasks)

    async def _follow_pods(
        self,
        cluster: Cluster,
        namespace: str,
        listener: Listener,
        pools: Mirror[InferencePool],
        is_other: asyncio.Event,
        tasks: asyncio.TaskGroup,
    ) -> None:
        """The pods that the pool selects now, each time that it says something else."""
        following: asyncio.Task[None] | None = None
        selector: dict[str, str] = {}
        pods: Mirror[Pod] = Mirror(Pod)
        while True:
            await is_other.wait()
            is_other.clear()
            pool = next(iter(pools.objects()), None)
            wanted = pool.selector if pool is not None else {}
            if wanted == selector and following is not None:
                if pods.version or pods.objects():  # its ports may be others
                    listener.heard(_of(pods, pools))
                continue
            if following is not None:
                following.cancel()
                following = None
            selector = wanted
            if not wanted:
                listener.heard(())
                continue
            pods = Mirror(Pod)
            following = tasks.create_task(
                self._pods(cluster, namespace, wanted, pods, pools, listener)
            )

    async def _pods(
        self,
        cluster: Cluster,
        namespace: str,
        selector: dict[str, str],
        pods: Mirror[Pod],
        pools: Mirror[InferencePool],
        listener: Listener,
    ) -> None:
        await Watch(
            cluster.client,
            Resource("", "v1", "pods", namespace, selector),
            pods,
            changed=lambda: listener.heard(_of(pods, pools)), failed=listener.failed,
            pause_s=self._pause_s, relist_s=self._relist_s, draw=self._draw,
        ).run()  # fmt: skip


def _of(pods: Mirror[Pod], pools: Mirror[InferencePool]) -> Iterable[Address]:
    ports = [port for pool in pools.objects() for port in pool.ports]
    return addresses_of_pods(pods.objects(), ports)
