"""SMG, the Shepherd Model Gateway (formerly the SGLang router), from its Python package."""

from pathlib import Path

from adapters.peer import Peer, Running, Site, launch, pip_home

__all__ = ["PEER"]

VERSION = "1.13.0"


def install() -> str:
    return pip_home("smg", f"smg=={VERSION}", "smg")[1]


def start(site: Site) -> Running:
    home, _ = pip_home("smg", f"smg=={VERSION}", "smg")
    command: list[str | Path] = [
        home / "bin" / "smg",
        "launch",
        "--host",
        "127.0.0.1",
        "--port",
        str(site.port),
    ]
    command += ["--worker-urls", site.upstream, "--backend", "vllm"]
    command += ["--log-level", "error", "--disable-tokenizer-autoload"]
    command += ["--prometheus-port", str(site.spare_port), "--worker-startup-check-interval", "1"]
    return launch(command, site)


PEER = Peer(
    "smg",
    "1 process, as installed: policy cache_aware, retries and breaker on; log level error; no keys",
    install,
    start,
)
