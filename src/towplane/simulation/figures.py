"""The constants of engine models: how long a step takes and how much fits, each with its origin.

A step of an engine takes `step_s + seq_s·n + kv_s·tokens held + token_s·tokens prefilled +
attend_s·(pairs of tokens attended)`. Where measurements are of a closed loop of c users with
prompts of i and answers of o tokens, time per output token is about `step_s + c·(seq_s +
kv_s·(i + o/2) + token_s·i/o)`: each slot also prefills i tokens every o steps. The constants below
solve that for two or three of the measured points; the laws check the others (within 15 %).
"""

from dataclasses import dataclass

__all__ = ["FIGURES", "EngineFigures"]


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """One engine with one model on one machine."""

    step_s: float
    """What a step costs however little is in it: the weights are read once."""
    seq_s: float
    """More for each sequence that decodes."""
    kv_s: float
    """More for each token of context that those hold: their keys and values are read."""
    token_s: float
    """More for each token prefilled."""
    attend_s: float = 0.0
    """More for each pair of a prefilled token and one before it."""
    kv_tokens: int = 400_000
    """Tokens that the KV memory holds, running and cached together."""
    sequences: int = 256
    """`--max-num-seqs`."""
    batched: int = 2048
    """`--max-num-batched-tokens`: prefilled and decoded in one step."""
    queued: int = 0
    """`--max-num-queued-reqs`: 503 above; 0: without limit, as vLLM is by default."""
    apart: bool = False
    """Prompts are computed in steps of their own, before more is decoded, as vLLM V0 does without
    chunked prefill; such a step takes `step_s` or more. Otherwise both share steps (V1)."""
    overhead_s: float = 0.0
    """Between the gateway and the first step: HTTP, tokenisation."""
    origin: str = ""


# Bytes of KV per token of Llama-3.1-8B in bf16: 2 · 32 layers · 8 heads · 128 · 2 = 131,072.
# Attention while prefilling one pair: 4 FLOP · 32 layers · 4,096 = 0.52 MFLOP.
FIGURES: dict[str, EngineFigures] = {
    # TensorRT-LLM 1.0rc3, bf16, TP1, 1024/512 (InferenceX): TPOT ms c8 7.42, c16 8.35, c32 9.88,
    # c64 13.10, c128 19.26: 6.63 ms + 98.7 µs per user. Of these 2·22 µs prefill (75 % of 989
    # TFLOPS, 16.06 GFLOP a token) and 1280·42.5 ns KV (92 % of 3.35 TB/s).
    "llama-3.1-8b@h100": EngineFigures(
        step_s=6.63e-3, seq_s=0.3e-6, kv_s=42.5e-9, token_s=22e-6, attend_s=0.7e-9,
        kv_tokens=432_000,  # computed: 80 GB · 0.92 less weights, activations and overhead
        sequences=1024, batched=8192,  # vLLM 0.33 defaults at 70 GiB and more
        overhead_s=3e-3, origin="TensorRT-LLM 1.0rc3 on H100, InferenceX",
    ),
    # vLLM 0.23, bf16, A100-40GB, 1024/128: 75 tok/s for one user, 6.6 times that for eight
    # (johnmusgrave.com). 12.3 ms for the weights; prefill at 70 % of 312 TFLOPS: 73 µs; KV at 95 %
    # of 1.555 TB/s. The point for eight leaves no more than that for prefill.
    "llama-3.1-8b@a100-40gb": EngineFigures(
        step_s=12.3e-3, seq_s=0.0, kv_s=88e-9, token_s=73e-6, attend_s=2.4e-9,
        kv_tokens=140_000,  # computed: 40 GB · 0.92 less 16.1 GB and 2.5 GB
        sequences=256, batched=2048, overhead_s=3e-3, origin="vLLM 0.23 on A100-40GB",
    ),
    # vLLM 0.7 (V0) on L4, FP8 weights, KV in bf16, as KubeAI ran it (substratusai/kubeai,
    # benchmarks/multi-turn-chat-go/runs/llama-3.1-8x-l4/run.ipynb). Computed: 9.1 GB at 300 GB/s:
    # 31 ms a step; 242 TFLOPS (FP8) at 50 %: 133 µs a token; 131,072 B of KV at 255 GB/s: 510 ns.
    # Fitted: 460 µs a sequence (V0 schedules and samples in Python), to the ITL of PrefixHash
    # alone, 72, 101, 151 ms at 300, 600, 1200 threads; what other policies do is not fitted to.
    "llama-3.1-8b@l4": EngineFigures(
        step_s=31e-3, seq_s=460e-6, kv_s=510e-9, token_s=133e-6, attend_s=4e-9,
        # computed: 22.05 GiB · 0.90 less 8.5 of weights and 2.0 for a step of 16,384 tokens
        kv_tokens=76_000, sequences=256, batched=16_384, apart=True, overhead_s=5e-3,
        origin="computed from the L4's figures; time per sequence from KubeAI's benchmark",
    ),
    # vLLM 0.12, bf16, TP2, 4096/512 (InferenceX): TPOT ms c8 19.14, c16 24.60, c32 35.75, c64 61.0;
    # c128 has TTFT 33 s and 64.3 ms: KV is full. 13.5 ms + 0.7 ms per user: 8·73 µs prefill (45 %
    # of 2·989 TFLOPS, 65.5 GFLOP a token) and 4352·26 ns KV.
    "qwen3-32b@h100x2": EngineFigures(
        step_s=13.5e-3, seq_s=0.0, kv_s=26e-9, token_s=73e-6, attend_s=2.4e-9,
        kv_tokens=301_000,  # computed; the measured knee between 64 and 128 users agrees
        sequences=1024, batched=8192, overhead_s=10e-3, origin="vLLM 0.12 on 2 × H100, InferenceX",
    ),
    # vLLM, FP8, TP2, 1024/1024 (InferenceX): TPOT ms c4 17.41, c8 18.22, c16 19.74, c32 23.54,
    # c64 28.77. TTFT of c4 (121 ms) gives 93 µs a token; the rest is KV at 61 ns, which is also
    # what 327,680 B at 80 % of 2·3.35 TB/s take.
    "llama-3.1-70b@h100x2": EngineFigures(
        step_s=16.9e-3, seq_s=0.0, kv_s=61e-9, token_s=93e-6, attend_s=3e-9,
        kv_tokens=219_000, sequences=1024, batched=8192, overhead_s=5e-3,
        origin="vLLM FP8 on 2 × H100, InferenceX",
    ),
}  # fmt: skip
"""By name; a scenario may change each of them."""
