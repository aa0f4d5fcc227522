"""The adapter of llama.cpp's server."""

from towplane.engines.adapter import Adapter
from towplane.engines.binary import find
from towplane.engines.llama_cpp.defaults import ENDPOINTS, PACKAGES, PROGRAM
from towplane.engines.llama_cpp.metrics import VITALS
from towplane.engines.llama_cpp.probe import READY, VERSION, final, inspect, prove
from towplane.engines.llama_cpp.render import render

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    kind="llama.cpp",
    endpoints=ENDPOINTS,
    find=lambda spec: find(spec.binary, PACKAGES, PROGRAM),
    inspect=inspect,
    render=render,
    ready=READY,
    prove=prove,
    version=VERSION,
    vitals=VITALS,
    final=final,
)
