"""LiteLLM's proxy, from its Python package, in a virtual environment of its own."""

from pathlib import Path

from adapters.peer import Peer, Running, Site, launch, pip_home

__all__ = ["PEER"]

VERSION = "1.106.0"

KEY = "sk-bench-4f1c9a7e2d8b6035a1c7e9f24b8d6a0c"  # it refuses to start without a strong one

CONFIGURATION = """\
model_list:
  - model_name: m
    litellm_params: {{model: openai/m, api_base: "{upstream}/v1", api_key: bench}}
litellm_settings: {{telemetry: false, set_verbose: false, num_retries: 0, callbacks: []}}
general_settings: {{master_key: {key}, disable_spend_logs: true, disable_error_logs: true}}
"""

ENVIRONMENT = {
    "LITELLM_LOG": "ERROR",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it fetches its price table at start
    "LITELLM_TELEMETRY": "False",
    "NO_DOCS": "True",
}


def install() -> str:
    return pip_home("litellm", f"litellm[proxy]=={VERSION}", "litellm")[1]


def start(site: Site) -> Running:
    home, _ = pip_home("litellm", f"litellm[proxy]=={VERSION}", "litellm")
    file = site.folder / "config.yaml"
    file.write_text(CONFIGURATION.format(upstream=site.upstream, key=KEY))
    command: list[str | Path] = [home / "bin" / "litellm", "--config", file, "--host", "127.0.0.1"]
    command += ["--port", str(site.port), "--num_workers", "1"]
    headers = (f"Authorization: Bearer {KEY}",)
    return launch(command, site, headers=headers, environment=ENVIRONMENT)


PEER = Peer(
    "litellm",
    "1 worker, no database, the master key only, no callbacks, log level error, no retries",
    install,
    start,
)
