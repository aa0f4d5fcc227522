"""What every engine adapter gives: values and pure functions, nothing that acts.

An adapter says how its engine's program is found, how a wish becomes a command line, what to ask
the running engine and how to read its answers. It opens no socket and starts no process: `targets`
do, with what it says. The law: the same wish renders the same command.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from towplane.engines.binary import Binary
from towplane.engines.spec import EngineSpec
from towplane.engines.weights import Weights
from towplane.parts.process import Exit

__all__ = ["Adapter", "Answer", "Ask", "Command", "Endpoint", "Launch", "Probe", "Vitals"]

T = TypeVar("T")

Endpoint = Literal["chat/completions", "completions", "embeddings"]
"""A path below `/v1/` of the serving port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Everything that a command line is made of."""

    name: str
    """The engine's name in the document; clients of the replica ask for this model."""
    spec: EngineSpec
    binary: Binary
    weights: Weights
    port: int
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to start. The environment is added to what every engine inherits."""

    argv: tuple[str, ...]
    env: dict[str, str] = field(repr=False)
    """Holds the secret, because anybody can read the arguments of a process."""


@dataclass(frozen=True, slots=True)
class Ask:
    """An HTTP request to the replica; `body` is JSON."""

    method: Literal["GET", "POST"]
    path: str
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the replica said."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Probe(Generic[T]):
    """A question and how its answer reads."""

    ask: Ask
    read: Callable[[Answer], T]


@dataclass(frozen=True, slots=True)
class Vitals:
    """Forward progress: what runs, what waits, and a counter that moves whenever work is done."""

    running: int
    waiting: int
    progress: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """One engine."""

    kind: str
    endpoints: tuple[Endpoint, ...]
    find: Callable[[EngineSpec], Binary]
    """The program of this engine on this machine; raises `Unsupported` with the next step."""
    inspect: Callable[[Weights], Weights]
    """The weights with what the file says about itself; raises `Unsupported` for a file that this
    engine can never load."""
    render: Callable[[Launch], Command]
    ready: Probe[bool]
    """Whether the model is loaded."""
    prove: Callable[[str], Probe[bool]]
    """Whether a token comes out, for a replica that serves this model name."""
    version: Probe[str | None]
    vitals: Probe[Vitals | None]
    """Forward progress; None: the answer does not tell."""
    final: Callable[[Exit, Sequence[str]], str]
    """Why an end at the start cannot be cured by trying again, from how it ended and its log's
    last lines; empty: it may be."""
