"""The translated part: an OpenAI client, and behind each gateway another provider's wire.

Beside the same-dialect passthrough, asked in the same pass with the same requests, so that both
figures share their noise. Before anything is measured, each gateway must bring every token of each
provider's answer, whole and streamed; where it does not, there is no figure but the reason.
"""

import http.client
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from adapters.peer import Way
from measurements import Effort, Live, Measurement, Reading, cost
from programs import Load
from table import WIRES

__all__ = [
    "STREAMED_TOKENS",
    "TRANSLATED",
    "WHOLE_TOKENS",
    "check_stream",
    "check_ways",
    "check_whole",
]

WHOLE_TOKENS = 160
"""Of an answer in one piece; c/wires.c has the same number."""
STREAMED_TOKENS = 20


def check_ways(live: Live) -> dict[str, str]:
    """Keeps in `live.ways` the providers whose answers come through; why the others do not."""
    wrong = {}
    for name in WIRES:
        way = live.running.ways.get(name)
        reason = _check(live.running.port, way) if way is not None else "no way to this provider"
        if way is None or reason:
            wrong[name] = reason
        else:
            live.ways[name] = way
    return wrong


def check_whole(body: str) -> str:
    """What is wrong with an answer in one piece; empty: nothing."""
    choice = json.loads(body)["choices"][0]
    said, finish = choice["message"]["content"], choice["finish_reason"]
    if said.split() != ["tok"] * WHOLE_TOKENS or finish != "stop":
        return f"answers {said[:40]!r}, {len(said.split())} tokens, finish reason {finish}"
    return ""


def check_stream(body: str, *, needs_done: bool) -> str:
    """What is wrong with a stream; empty: nothing. Each token must come in an event of its own, so
    that a chunk is the same for everybody."""
    frames = [line[5:].strip() for line in body.splitlines() if line.startswith("data:")]
    is_done = frames[-1:] == ["[DONE]"]
    if needs_done and not is_done:
        return f"its stream does not end with [DONE]: {body[-80:]!r}"
    choices: list[dict[str, Any]] = []
    for frame in frames[: -1 if is_done else None]:
        choices += json.loads(frame)["choices"]
    said = [choice["delta"].get("content") for choice in choices]
    texts = [text for text in said if text]
    if texts != [" tok"] * STREAMED_TOKENS:
        return f"streams {len(texts)} texts, not {STREAMED_TOKENS} tokens: {texts[:3]}"
    if "stop" not in [choice.get("finish_reason") for choice in choices]:
        return "its stream has no finish reason"
    return ""


def _requests(effort: Effort) -> Load:
    return Load(connections=16, duration_s=effort.window_s)


def _saturated(effort: Effort) -> Load:
    return Load(connections=100, duration_s=effort.window_s, stream=True, max_tokens=1024)


def _paced(effort: Effort) -> Load:
    return Load(
        connections=100, count=100, duration_s=effort.paced_s + 4, stream=True,
        max_tokens=64 * effort.paced_s, pace=64, says_pace=True,
    )  # fmt: skip


def _measurement(title: str, column: str, load: Callable[[Effort], Load], wire: str) -> Measurement:
    def take(live: Live, effort: Effort) -> list[Reading]:
        if not wire:
            return [cost(live, column, load(effort))]
        way = live.ways.get(wire)
        if way is None:
            return []
        wanted = replace(load(effort), model=way.model, needs_done=way.says_done)
        return [cost(live, f"{wire}_{column}", wanted, way.headers)]

    def seconds(effort: Effort) -> float:
        return load(effort).duration_s - (2 if load is _paced else 0) + 2

    return Measurement(f"{title}, {WIRES.get(wire, 'passed through')}", seconds, take)


TRANSLATED = tuple(
    _measurement(title, column, load, wire)
    for title, column, load in (
        ("1 KB requests", "request_us", _requests),
        ("chunks at saturation", "chunk_us", _saturated),
        ("paced chunks", "paced_us", _paced),
    )
    for wire in ("", *WIRES)
)


def _check(port: int, way: Way) -> str:
    try:
        return check_whole(_ask(port, way, stream=False)) or check_stream(
            _ask(port, way, stream=True), needs_done=way.says_done
        )
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as wrong:
        return f"{type(wrong).__name__}: {wrong}"[:300]


def _ask(port: int, way: Way, *, stream: bool) -> str:
    body = {
        "messages": [{"role": "user", "content": "hi"}],
        "model": way.model,
        "max_tokens": STREAMED_TOKENS,
        "stream": stream,
    }
    headers = dict(header.split(": ", 1) for header in way.headers)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(
            "POST",
            "/v1/chat/completions",
            json.dumps(body),
            {**headers, "Content-Type": "application/json"},
        )
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise ValueError(f"status {answer.status}: {text[:200]}")
        return text
    finally:
        connection.close()
