"""vllm-router: the Rust router of the vLLM project, from its Python package.

As installed, where it looks each prompt up in a tree to route by prefix, with one upstream and with
four; and with round robin, where like towplane's default it does not look at the prompt.
"""

from collections.abc import Sequence
from pathlib import Path

from adapters.peer import Peer, Running, Site, launch, pip_home

__all__ = ["PEER", "REPLICAS", "ROUND_ROBIN"]

VERSION = "0.1.17"


def install() -> str:
    return pip_home("vllm-router", f"vllm-router=={VERSION}", "vllm-router")[1]


def start(site: Site) -> Running:
    return _launch(site, [site.upstream])


def start_over_replicas(site: Site) -> Running:
    return _launch(site, site.replicas)


def start_round_robin(site: Site) -> Running:
    return _launch(site, [site.upstream], "--policy", "round_robin")


def _launch(site: Site, upstreams: Sequence[str], *more: str) -> Running:
    home, _ = pip_home("vllm-router", f"vllm-router=={VERSION}", "vllm-router")
    command: list[str | Path] = [home / "bin" / "vllm-router", "--host", "127.0.0.1"]
    command += ["--port", str(site.port), "--worker-urls", *upstreams, "--log-level", "error"]
    command += ["--prometheus-port", str(site.spare_port), "--worker-startup-check-interval", "1"]
    return launch([*command, *more], site)


PEER = Peer(
    "vllm-router",
    "1 process, as installed: policy cache_aware, retries and breaker on; log level error; no keys",
    install,
    start,
)

REPLICAS = Peer(
    "vllm-router-replicas",
    "as vllm-router, over four addresses of the upstream",
    install,
    start_over_replicas,
)

ROUND_ROBIN = Peer(
    "vllm-router-rr",
    "as vllm-router, but policy round_robin, its cheapest",
    install,
    start_round_robin,
)
