"""llama.cpp: is it loaded, does a token come out, which build is it, is its end final.

`/health` answers 503 while the model loads and 200 after, without a key. It does not prove that
anything can be generated; `prove` does, with one token.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from signal import SIGILL

import msgspec

from towplane.engines.adapter import Answer, Ask, Probe
from towplane.engines.llama_cpp.gguf import is_gguf, read_licence
from towplane.engines.weights import Weights
from towplane.parts.errors import Unsupported
from towplane.parts.process import NOT_FOUND, NOT_RUNNABLE, Exit

__all__ = ["READY", "VERSION", "final", "inspect", "prove"]

READY = Probe(Ask("GET", "/health"), lambda answer: answer.status == 200)


class _Usage(msgspec.Struct):
    completion_tokens: int = 0


class _Completion(msgspec.Struct):
    usage: _Usage


class _Props(msgspec.Struct):
    build_info: str | None = None


def prove(model: str) -> Probe[bool]:
    """Asks for one token."""
    body = json.dumps({"model": model, "prompt": "1 2 3", "max_tokens": 1}).encode()
    return Probe(Ask("POST", "/v1/completions", body), _is_token)


def _is_token(answer: Answer) -> bool:
    if answer.status != 200:
        return False
    try:
        said = msgspec.json.decode(answer.body, type=_Completion)
    except msgspec.DecodeError:
        return False
    return said.usage.completion_tokens > 0


def _read_build(answer: Answer) -> str | None:
    try:
        return msgspec.json.decode(answer.body, type=_Props).build_info
    except msgspec.DecodeError:
        return None


VERSION = Probe(Ask("GET", "/props"), _read_build)

# What the server says before it ends with exit 1 and would say again; its other ends with exit 1
# (a port taken, not enough memory) may pass.
_FINAL_LINES = {
    "error: invalid argument": "it does not know a flag of ours: another version of the program",
    "error while handling argument": "it refuses the value of a flag",
    "invalid magic characters": "the weights are not a GGUF file",
    "unknown model architecture": "it is too old for these weights",
    "failed to read key-value pairs": "the weights are broken",
    "data is not within the file bounds": "the weights are broken: the file was cut",
    "error while loading shared libraries": "a library of it is missing",
}


def final(end: Exit, lines: Sequence[str]) -> str:
    """Why starting again cannot help; empty where it may."""
    if end.signal == SIGILL:
        return "the program was built for another CPU (illegal instruction)"
    for sign, words in _FINAL_LINES.items():
        if any(sign in line for line in lines):
            return words
    if end.code in (NOT_RUNNABLE, NOT_FOUND):
        return end.words
    return ""


def inspect(weights: Weights) -> Weights:
    """Refuses what is no GGUF file, before a server is started on it. A package's word on the
    licence goes before the file's own."""
    if not is_gguf(weights.path):
        raise Unsupported(
            f"{weights.path} is not a GGUF file, which is what llama.cpp loads",
            next_step="name a file in GGUF format in `weights` of the engine",
        )
    return replace(weights, licence=weights.licence or read_licence(weights.path))
