"""Watches one replica on this machine: is it ready, and does it make progress.

Ready means that a token has come out, because an engine's health page can answer before and long
after it is able to generate. It asks and remembers; what follows from it is the planner's.
"""

import asyncio
from collections.abc import Awaitable, Callable

from towplane.engines.adapter import Adapter, Answer, Ask, Vitals
from towplane.parts.clock import Now
from towplane.targets.local.ask import ask

__all__ = ["HOST", "Watch", "can_generate"]

HOST = "127.0.0.1"

READY_EVERY_S = 0.1
VITALS_EVERY_S = 5.0

ANSWER_WITHIN_S = 10.0
"""A saturated engine misses shorter deadlines (vLLM: 2 s)."""

PROOF_WITHIN_S = 60.0
"""The first token of a large model on a busy machine."""


async def can_generate(adapter: Adapter, model: str, port: int, api_key: str) -> bool:
    """Whether the model is loaded and a token comes out."""
    loaded = await ask(HOST, port, adapter.ready.ask, api_key, ANSWER_WITHIN_S)
    if loaded is None or not adapter.ready.read(loaded):
        return False
    proof = adapter.prove(model)
    token = await ask(HOST, port, proof.ask, api_key, PROOF_WITHIN_S)
    return token is not None and proof.read(token)


class Watch:
    """What is known of one replica; `run` keeps it up to date until it is cancelled."""

    def __init__(
        self,
        adapter: Adapter,
        model: str,
        port: int,
        api_key: str,
        *,
        now: Now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._adapter, self._model = adapter, model
        self._port, self._api_key = port, api_key
        self._now, self._sleep = now, sleep
        self.is_ready = False
        self.version: str | None = None
        self.vitals: Vitals | None = None
        """As last told; a replica that does not answer keeps its old ones."""
        self.progress_at = now()
        self.frozen_probes = 0

    async def run(self, on_ready: Callable[[], None], on_look: Callable[[], None]) -> None:
        """Asks for readiness, then for progress; calls `on_look` after each look at the latter."""
        while not await can_generate(self._adapter, self._model, self._port, self._api_key):
            await self._sleep(READY_EVERY_S)
        said = await self._ask(self._adapter.version.ask)
        self.version = self._adapter.version.read(said) if said is not None else None
        self.progress_at = self._now()
        self.is_ready = True
        on_ready()
        while True:
            await self._sleep(VITALS_EVERY_S)
            answer = await self._ask(self._adapter.vitals.ask)
            self.take(self._adapter.vitals.read(answer) if answer is not None else None)
            on_look()

    def take(self, vitals: Vitals | None) -> None:
        """One look: progress is a counter that moved, or nothing to do."""
        before = self.vitals
        has_moved = vitals is not None and (
            vitals.running == 0 or before is None or vitals.progress != before.progress
        )
        if vitals is not None:
            self.vitals = vitals
        if has_moved:
            self.progress_at = self._now()
            self.frozen_probes = 0
        else:
            self.frozen_probes += 1

    async def _ask(self, question: Ask) -> Answer | None:
        return await ask(HOST, self._port, question, self._api_key, ANSWER_WITHIN_S)
