"""What engines say of themselves: pages of metrics, and how long they are believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.engines.signals import TABLES, Reading, read_page
from towplane.routing.load import Load
from towplane.routing.signals import Signals

VLLM = b"""\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="Qwen/Qwen3-8B"} 7.0
vllm:num_requests_running{engine="1",model_name="Qwen/Qwen3-8B"} 5.0
vllm:num_requests_waiting{engine="0",model_name="Qwen/Qwen3-8B"} 3.0
vllm:num_requests_waiting{engine="1",model_name="Qwen/Qwen3-8B"} 0.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 99.0
vllm:kv_cache_usage_perc{engine="0",model_name="Qwen/Qwen3-8B"} 0.5
vllm:kv_cache_usage_perc{engine="1",model_name="Qwen/Qwen3-8B"} 0.7
vllm:prefix_cache_queries_total{engine="0",model_name="Qwen/Qwen3-8B"} 1000.0
vllm:prefix_cache_queries_created{engine="0",model_name="Qwen/Qwen3-8B"} 1.7947e+09
vllm:prefix_cache_hits_total{engine="0",model_name="Qwen/Qwen3-8B"} 250.0
vllm:iteration_tokens_total_bucket{engine="0",le="1.0",model_name="Qwen/Qwen3-8B"} 4.0
vllm:iteration_tokens_total_count{engine="0",model_name="Qwen/Qwen3-8B"} 42.0
vllm:lora_requests_info{max_lora="4",running_lora_adapters="old",waiting_lora_adapters=""} 1.7e+09
vllm:lora_requests_info{max_lora="4",running_lora_adapters="law, tax",waiting_lora_adapters="x"} 2e9
"""
SGLANG = b"""\
sglang:num_running_reqs{model_name="m"} 2.0
sglang:num_queue_reqs{model_name="m"} 1.0
sglang:token_usage{model_name="m"} 0.28
sglang:cache_hit_rate{model_name="m"} 0.5
sglang:realtime_tokens_total{mode="decode",model_name="m"} 9.0
sglang:realtime_tokens_total{mode="prefill_compute",model_name="m"} 1.0
"""
TRT = b"""\
trtllm_num_requests_running{engine_type="trtllm"} 2
trtllm_num_requests_waiting{engine_type="trtllm"} 4
trtllm_kv_cache_utilization{engine_type="trtllm"} 0.25
trtllm_kv_cache_hit_rate{engine_type="trtllm"} 0.75
trtllm_iteration_latency_seconds_count{engine_type="trtllm"} 8
"""
LMDEPLOY = b"""\
lmdeploy:num_requests_running{engine="0"} 1.0
lmdeploy:num_requests_waiting{engine="0"} 0.0
lmdeploy:gpu_cache_usage_perc{engine="0"} 0.125
lmdeploy:prefix_cache_hit_rate{engine="0"} 0.0
lmdeploy:iteration_tokens_total_count{engine="0"} 5.0
"""
LLAMA = b"""\
llamacpp:requests_processing 4
llamacpp:requests_deferred 36
llamacpp:n_decode_total 42
"""


@pytest.mark.parametrize(
    ("kind", "page", "want"),
    [
        ("vllm", VLLM, Reading(12, 3, 0.6, 0.25, 42.0, ("law", "tax"), ("x",), 4)),
        ("sglang", SGLANG, Reading(2, 1, 0.28, 0.5, 10.0)),
        ("tensorrt-llm", TRT, Reading(2, 4, 0.25, 0.75, 8.0)),
        ("lmdeploy", LMDEPLOY, Reading(1, 0, 0.125, 0.0, 5.0)),
        ("llama.cpp", LLAMA, Reading(4, 36, None, None, 42.0)),
    ],
)
def test_an_engines_page_becomes_one_reading(kind: str, page: bytes, want: Reading) -> None:
    assert read_page(TABLES[kind], page) == want


def test_every_kind_has_its_case() -> None:
    assert set(TABLES) == {"vllm", "sglang", "tensorrt-llm", "lmdeploy", "llama.cpp"}


@pytest.mark.parametrize("kind", sorted(TABLES))
def test_what_no_line_says_is_unknown(kind: str) -> None:
    assert read_page(TABLES[kind], b"# nothing\nother_metric 1\n") == Reading()


@pytest.mark.parametrize("value", [b"NaN", b"+Inf", b"-Inf", b"", b"many"])
def test_a_value_that_is_no_number_is_unknown(value: bytes) -> None:
    page = b"vllm:num_requests_running " + value + b"\nvllm:kv_cache_usage_perc 0.5\n"
    assert read_page(TABLES["vllm"], page) == Reading(kv_used=0.5)


def test_no_queries_yet_is_no_hit_rate() -> None:
    page = b"vllm:prefix_cache_queries_total 0\nvllm:prefix_cache_hits_total 0\n"
    assert read_page(TABLES["vllm"], page).hit_rate is None


@given(st.sampled_from(sorted(TABLES)), st.binary(max_size=300), st.integers(0, 1200))
def test_no_page_whatever_raises(kind: str, noise: bytes, at: int) -> None:
    read_page(TABLES[kind], VLLM[:at] + noise + VLLM[at:])


def test_old_news_is_no_news() -> None:
    load = Load("t")
    assert load.known(0.0) is None
    load.told(Signals(waiting=0, read_at=10.0, fresh_s=5.0))
    assert load.known(15.0) is not None
    assert load.known(15.1) is None


def test_what_was_sent_since_counts_on_top_of_what_the_engine_said() -> None:
    load = Load("t")
    load.began()
    load.told(Signals(waiting=0))
    assert load.sent_since() == 0
    load.began()
    load.began()
    assert load.sent_since() == 2
    load.told(Signals(waiting=1))
    assert load.sent_since() == 0
    load.ended()
    assert load.sent_since() == 0
