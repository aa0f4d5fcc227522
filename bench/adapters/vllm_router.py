"""vllm-router: the Rust router of the vLLM project, from its Python package."""

from pathlib import Path

from adapters.peer import Peer, Running, Site, launch, pip_home

__all__ = ["PEER"]

VERSION = "0.1.17"


def install() -> str:
    return pip_home("vllm-router", f"vllm-router=={VERSION}", "vllm-router")[1]


def start(site: Site) -> Running:
    home, _ = pip_home("vllm-router", f"vllm-router=={VERSION}", "vllm-router")
    command: list[str | Path] = [
        home / "bin" / "vllm-router",
        "--host",
        "127.0.0.1",
        "--port",
        str(site.port),
    ]
    command += ["--worker-urls", site.upstream, "--policy", "round_robin", "--log-level", "error"]
    command += ["--prometheus-port", str(site.spare_port), "--worker-startup-check-interval", "1"]
    return launch(command, site)


PEER = Peer(
    "vllm-router",
    "1 process, policy round_robin, retries and breaker on (defaults), log level error; no keys",
    install,
    start,
)
