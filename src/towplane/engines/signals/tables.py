"""Which metric of which engine means what.

Each meaning has the names in the order in which they are believed: the current one first, then
those of older versions. A name that is on no page is unknown, never 0.
"""

from typing import NamedTuple

__all__ = ["TABLES", "Table"]


class Table(NamedTuple):
    """The metrics of one kind of engine."""

    path: str
    """Where its page is, from the root of the server."""
    running: tuple[str, ...]
    """Requests that it computes now."""
    waiting: tuple[str, ...]
    """Requests that wait inside."""
    kv_used: tuple[str, ...] = ()
    """How full its KV cache is, from 0 to 1."""
    hits: tuple[str, ...] = ()
    """Prompt tokens found in its prefix cache; with `queries`, those looked for."""
    queries: tuple[str, ...] = ()
    hit_rate: tuple[str, ...] = ()
    """Or the share of both, where it says it so."""
    heartbeat: tuple[str, ...] = ()
    """A number that moves whenever work is done."""
    adapters: tuple[str, ...] = ()
    """A metric whose labels name the LoRA adapters that run and wait."""


TABLES: dict[str, Table] = {
    # vLLM 0.33 `v1/metrics/loggers.py`; its counters gain `_total` on the wire (prometheus_client).
    # `gpu_cache_usage_perc` and `gpu_prefix_cache_*` are the names of 0.8 and before.
    "vllm": Table(
        path="/metrics",
        running=("vllm:num_requests_running",),
        waiting=("vllm:num_requests_waiting",),
        kv_used=("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
        hits=(
            "vllm:prefix_cache_hits_total",
            "vllm:prefix_cache_hits",
            "vllm:gpu_prefix_cache_hits_total",
        ),
        queries=(
            "vllm:prefix_cache_queries_total",
            "vllm:prefix_cache_queries",
            "vllm:gpu_prefix_cache_queries_total",
        ),
        heartbeat=("vllm:iteration_tokens_total_count",),
        adapters=("vllm:lora_requests_info",),
    ),
    # SGLang 0.5.23 `srt/metrics/collector.py`; only with --enable-metrics.
    "sglang": Table(
        path="/metrics",
        running=("sglang:num_running_reqs",),
        waiting=("sglang:num_queue_reqs",),
        kv_used=("sglang:token_usage",),
        hit_rate=("sglang:cache_hit_rate",),
        heartbeat=("sglang:realtime_tokens_total",),
    ),
    # TensorRT-LLM `serve/openai_server.py`: the Prometheus page is not at /metrics.
    "tensorrt-llm": Table(
        path="/prometheus/metrics",
        running=("trtllm_num_requests_running",),
        waiting=("trtllm_num_requests_waiting",),
        kv_used=("trtllm_kv_cache_utilization",),
        hit_rate=("trtllm_kv_cache_hit_rate",),
        heartbeat=("trtllm_iteration_latency_seconds_count", "trtllm_iteration_latency_seconds"),
    ),
    # LMDeploy 0.18 `metrics/loggers.py`.
    "lmdeploy": Table(
        path="/metrics",
        running=("lmdeploy:num_requests_running",),
        waiting=("lmdeploy:num_requests_waiting",),
        kv_used=("lmdeploy:gpu_cache_usage_perc",),
        hit_rate=("lmdeploy:prefix_cache_hit_rate",),
        heartbeat=("lmdeploy:iteration_tokens_total_count", "lmdeploy:iteration_tokens_total"),
    ),
    # llama.cpp b10068 `tools/server/README.md`; only with --metrics. It says nothing of its KV
    # cache since that metric was removed, and nothing of prefixes.
    "llama.cpp": Table(
        path="/metrics",
        running=("llamacpp:requests_processing",),
        waiting=("llamacpp:requests_deferred",),
        heartbeat=("llamacpp:n_decode_total",),
    ),
}
"""By the word for the engine in the document."""
