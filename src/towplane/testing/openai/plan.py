"""What the emulator answers to one request, before it is put into the words of an API.

The same for chat completions and Responses: thoughts, text or calls, in pieces that are a token
each, so that everybody can count them by hand. Pure; the same request has the same answer.
"""

import json
from dataclasses import dataclass, replace
from typing import Any, Literal

from towplane.testing.openai.script import Script
from towplane.testing.provider.tokens import word

__all__ = ["Finish", "Part", "Plan", "Wish", "instance_of", "make_plan"]

Finish = Literal["stop", "length", "tool_calls", "content_filter"]
_REFUSAL = "I cannot help with that."
_LONG = 10_000
"""Words of an answer that only the limit ends."""


@dataclass(slots=True, frozen=True)
class Wish:
    """What a request asks for, as far as the answer depends on it."""

    prompt: str
    """The last text of the user."""
    prompt_tokens: int
    most: int | None = None
    """Output tokens at most."""
    tools: tuple[tuple[str, Any], ...] = ()
    """Names and schemas."""
    forced: tuple[str, ...] = ()
    """Tools that must be called."""
    schema: Any = None
    """Of the answer's text; True: any JSON."""
    thinks: bool = False
    shows_thoughts: bool = False
    may_filter: bool = False
    stops: tuple[str, ...] = ()
    samples: int = 1
    is_single: bool = False
    """One call at a time."""


@dataclass(slots=True)
class Part:
    """One thing in the answer."""

    kind: Literal["thought", "text", "refusal", "call"]
    pieces: list[str]
    name: str = ""
    is_hidden: bool = False
    """Nobody sees its words: they are billed all the same."""


@dataclass(slots=True)
class Plan:
    """A whole answer."""

    parts: list[Part]
    finish: Finish
    input: int
    script: Script
    samples: int = 1
    """How many like it."""
    output: int = 0
    """Of all of them."""
    thoughts: int = 0


def make_plan(wish: Wish, script: Script) -> Plan:
    """The answer to a request."""
    parts = _thoughts(wish, script)
    finish: Finish = "stop"
    names = _called(wish)
    schemas = dict(wish.tools)
    if names:
        finish = "tool_calls"
        for name in names:
            pieces = _split(json.dumps(instance_of(schemas.get(name) or {}), ensure_ascii=False))
            parts.append(Part("call", pieces, name))
    elif "[refuse]" in wish.prompt:
        parts.append(Part("refusal", _words(_REFUSAL)))
    elif script.text is not None:
        parts.append(Part("text", _words(script.text)))
    elif wish.schema is not None:
        value = {"answer": word(0).strip()} if wish.schema is True else instance_of(wish.schema)
        parts.append(Part("text", _split(json.dumps(value, ensure_ascii=False))))
    else:
        count = _LONG if "[long]" in wish.prompt and wish.most else script.tokens
        parts.append(Part("text", [word(index) for index in range(count)]))
    _stop(parts[-1], wish.stops)
    if wish.may_filter and "[filter-answer]" in wish.prompt:
        finish = "content_filter"
        parts[-1] = replace(parts[-1], pieces=parts[-1].pieces[: len(parts[-1].pieces) // 2])
    total = sum(len(part.pieces) for part in parts)
    if wish.most is not None and total > wish.most:
        finish = "length"
        parts = _cut(parts, wish.most)
    plan = Plan(parts, finish, wish.prompt_tokens, script, wish.samples)
    plan.output = wish.samples * sum(len(part.pieces) for part in parts)
    thoughts = sum(len(part.pieces) for part in parts if part.kind == "thought")
    plan.thoughts = wish.samples * thoughts
    return plan


def instance_of(schema: Any, root: Any = None) -> Any:
    """A value that fits a JSON Schema; of its choices always the first."""
    root = schema if root is None else root
    if not isinstance(schema, dict):
        return None
    if "$ref" in schema:
        found = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found.get(step, {})
        return instance_of(found, root)
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return instance_of(schema[key][0], root)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "object" if "properties" in schema else None)
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        properties = schema.get("properties") or {}
        return {name: instance_of(inner, root) for name, inner in properties.items()}
    if kind == "array":
        return [instance_of(schema.get("items"), root)]
    simple: dict[Any, Any] = {"string": "plane", "integer": 7, "number": 1.5, "boolean": True}
    return simple.get(kind)


def _thoughts(wish: Wish, script: Script) -> list[Part]:
    if not wish.thinks or not script.thinking:
        return []
    pieces = [word(index) for index in range(script.thinking)]
    return [Part("thought", pieces, is_hidden=not wish.shows_thoughts)]


def _called(wish: Wish) -> tuple[str, ...]:
    if wish.forced:
        return wish.forced
    names = tuple(name for name, _ in wish.tools)
    if "[tools]" in wish.prompt and not wish.is_single:
        return names
    return names[:1] if "[tool" in wish.prompt else ()


def _stop(part: Part, stops: tuple[str, ...]) -> None:
    """End a text before the first of these."""
    text = "".join(part.pieces)
    found = [text.find(stop) for stop in stops if part.kind == "text" and stop in text]
    if found:
        part.pieces = [piece for piece in _words(text[: min(found)]) if piece]


def _cut(parts: list[Part], most: int) -> list[Part]:
    kept = []
    for part in parts:
        if most <= 0:
            break
        kept.append(replace(part, pieces=part.pieces[:most]))
        most -= len(part.pieces)
    return kept


def _words(text: str) -> list[str]:
    """A text as words, each with the space behind it."""
    pieces = text.split(" ")
    return [piece + " " for piece in pieces[:-1]] + [pieces[-1]] if text else []


def _split(text: str) -> list[str]:
    """JSON in pieces of four characters, as a token is on average."""
    return [text[start : start + 4] for start in range(0, len(text), 4)]
