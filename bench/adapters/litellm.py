"""LiteLLM's proxy, from its Python package, in a virtual environment of its own."""

from pathlib import Path

from adapters.peer import Peer, Running, Site, Way, launch, pip_home

__all__ = ["PEER"]

VERSION = "1.106.0"

KEY = "sk-bench-4f1c9a7e2d8b6035a1c7e9f24b8d6a0c"  # it refuses to start without a strong one

CONFIGURATION = """\
model_list:
  - model_name: m
    litellm_params: {{model: openai/m, api_base: "{upstream}/v1", api_key: bench}}
{more}litellm_settings: {{telemetry: false, set_verbose: false, num_retries: 0, callbacks: []}}
general_settings: {{master_key: {key}, disable_spend_logs: true, disable_error_logs: true}}
"""

# Gemini as in Google AI Studio: for Vertex AI it would ask Google for a token first.
MORE = """\
  - model_name: m-bedrock
    litellm_params:
      model: bedrock/converse/anthropic.claude-sonnet-4-5-20250929-v1:0
      aws_bedrock_runtime_endpoint: "{upstream}"
      aws_region_name: us-east-1
      aws_access_key_id: bench
      aws_secret_access_key: bench
  - model_name: m-gemini
    litellm_params:
      {{model: gemini/gemini-2.5-flash, api_base: "{upstream}/v1beta", api_key: bench}}
  - model_name: m-anthropic
    litellm_params: {{model: anthropic/claude-sonnet-4-5, api_base: "{upstream}", api_key: bench}}
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
    more = MORE.format(upstream=site.upstream) if site.translates else ""
    file.write_text(CONFIGURATION.format(upstream=site.upstream, key=KEY, more=more))
    command: list[str | Path] = [home / "bin" / "litellm", "--config", file, "--host", "127.0.0.1"]
    command += ["--port", str(site.port), "--num_workers", "1"]
    headers = (f"Authorization: Bearer {KEY}",)
    ways = {name: Way(f"m-{name}", headers) for name in ("bedrock", "gemini", "anthropic")}
    return launch(command, site, headers=headers, environment=ENVIRONMENT, ways=ways)


PEER = Peer(
    "litellm",
    "1 worker, no database, the master key only, no callbacks, log level error, no retries",
    install,
    start,
    translates=True,
)
