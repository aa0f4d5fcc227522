"""How a vendor feels at a moment, and the script that one request gets for it.

A mood is a fault and the share of requests that meet it. Every answer, good or not, says the mark
of the prompt and the id of the attempt, so that whoever reads it can tell whose it is. Knows no
socket and no clock.
"""

import random
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from towplane.testing import anthropic, bedrock, openai, provider, vertex
from towplane.testing.framing import Message

__all__ = ["CUTTING", "FAULTS", "MARK", "Asked", "Mood", "Scripts"]

MARK = re.compile("mark-[0-9a-f]{8}")
_MARK = re.compile(MARK.pattern.encode())
_STREAMS = re.compile(rb'"stream"\s*:\s*true')
_WORDS = ["plane", "wing", "rope", "lift", "field", "wind", "turn", "land"]

FAULTS = {  # with its weight
    "429": 3,  # retry-after in seconds
    "429-ms": 3,  # in milliseconds; RetryInfo in the body at Google
    "5xx": 2,
    "overloaded": 2,  # 503, 529 with its own words
    "html": 1,  # an edge that answers instead
    "reset-before-head": 2,
    "reset": 3,  # after the head, at any byte
    "close": 2,
    "stall-first": 2,  # a head, and then nothing
    "stall": 2,  # tokens, and then nothing
    "error-first": 2,  # 200, then an error before the first token
    "error": 3,  # 200, tokens, then an error
    "garbage": 1,
    "slow": 3,  # late first tokens, in time
    "too-slow": 2,  # first tokens after the plane's patience
    "expired": 3,  # some credentials are refused
    "expired-all": 1,
    "down": 2,  # nobody listens
}
CUTTING = frozenset(
    ("reset-before-head", "reset", "close", "stall-first", "stall", "error-first", "error",
     "garbage", "too-slow")
)  # fmt: skip
"""Answers that do not come to a good end."""
_FOREVER_S = 60.0
_TOO_SLOW_S = 4.0

Make = Callable[["Asked", str, random.Random], Any]


class Asked(NamedTuple):
    """One request, as far as its script depends on it."""

    id: str
    """Of the attempt."""
    said: str
    """What the answer shall say."""
    streams: bool


class Mood:
    """The mood of one vendor; used by its own thread, set by another."""

    def __init__(self, make: Make, seed: str) -> None:
        self.fault = "calm"
        self.share = 1.0
        self.faults: dict[str, str] = {}
        """What each attempt met, until its bill is collected."""
        self._make = make
        self._random = random.Random(seed)
        self._asked = Asked("", "", False)

    def meet(self, message: Message) -> str:
        """A request arrives: what it will meet."""
        number = message.get(b"x-towplane-request-id").decode("latin-1")
        if not number:
            return "calm"
        found = _MARK.search(message.body)
        mark = found[0].decode() if found else "mark-missing"
        rest = " ".join(_WORDS[: self._random.randint(1, 8)] * self._random.randint(1, 3))
        path = message.path
        streams = b"stream" in path.lower() or _STREAMS.search(message.body) is not None
        self._asked = Asked(number, f"{mark} {number} {rest}", streams)
        fault = self.fault if self._random.random() < self.share else "calm"
        self.faults[number] = fault
        return fault

    def script(self) -> Any:
        """Of the request that was met last."""
        asked = self._asked
        return self._make(asked, self.faults.get(asked.id, "calm"), self._random)


class Scripts(dict[str, Any]):
    """An emulator's scripts by model: whatever the mood says."""

    def __init__(self, mood: Mood) -> None:
        super().__init__()
        self._mood = mood

    def get(self, _model: str, _default: Any = None) -> Any:  # the only way they are read
        return self._mood.script()


def for_openai(asked: Asked, fault: str, rng: random.Random) -> openai.Script:
    """OpenAI and Azure."""
    good: dict[str, Any] = {"text": asked.said, "cached": rng.randint(0, 6)}
    trouble = {"error-first": "error", "stall-first": "stall"}.get(fault, fault)
    after = 0 if fault.endswith("-first") else rng.randint(1, 5)
    match fault:
        case "429":
            return openai.Script(status=429, headers={"retry-after": "1"})
        case "429-ms":
            return openai.Script(status=429, headers={"retry-after-ms": _some_ms(rng)})
        case "5xx":
            return openai.Script(status=rng.choice((500, 502, 503)))
        case "overloaded":
            return openai.Script(status=503, error_message="The engine is currently overloaded.")
        case "html":
            return openai.Script(status=502, error_body="<html>Bad gateway</html>")
        case "slow" | "too-slow":
            return openai.Script(**good, **_late(asked, fault, rng))
        case "error" | "error-first" if not asked.streams:
            return openai.Script(status=500)
        case "stall" | "stall-first" if not asked.streams:
            return openai.Script(head_delay_s=_FOREVER_S)
        case "reset" | "close" | "garbage" if not asked.streams or fault == "reset":
            return openai.Script(**good, cut_after_bytes=rng.randint(1, 600))
        case "error" | "error-first" | "stall" | "stall-first" | "close" | "garbage":
            how: Any = trouble
            return openai.Script(**good, trouble=openai.Trouble(how=how, after_tokens=after))
    return openai.Script(**good, obfuscation=rng.random() < 0.5)


def for_anthropic(asked: Asked, fault: str, rng: random.Random) -> anthropic.Script:
    """Anthropic. Its limits are far away, whatever it counts."""
    left = {"anthropic-ratelimit-requests-remaining": "900"}
    good: dict[str, Any] = {"text": asked.said, "headers": left}
    trouble = {"error-first": "error", "stall-first": "stall"}.get(fault, fault)
    after = 0 if fault.endswith("-first") else rng.randint(1, 12)
    match fault:
        case "429":
            return anthropic.Script(status=429, headers=left | {"retry-after": "1"})
        case "429-ms":
            return anthropic.Script(status=429, headers=left | {"retry-after-ms": _some_ms(rng)})
        case "5xx":
            return anthropic.Script(status=500, headers=left)
        case "overloaded":
            return anthropic.Script(status=529, headers=left)
        case "html":
            return anthropic.Script(status=502, headers=left, error_body="<html>Bad gateway</html>")
        case "slow" | "too-slow":
            return anthropic.Script(**good, **_late(asked, fault, rng))
        case "error" | "error-first" if not asked.streams:
            return anthropic.Script(status=500, headers=left)
        case "stall" | "stall-first" if not asked.streams:
            return anthropic.Script(head_delay_s=_FOREVER_S)
        case "reset" | "close" | "garbage" if not asked.streams or fault == "reset":
            return anthropic.Script(**good, cut_after_bytes=rng.randint(1, 600))
        case "error" | "error-first" | "stall" | "stall-first" | "close" | "garbage":
            how: Any = trouble
            return anthropic.Script(**good, trouble=anthropic.Trouble(how=how, after_tokens=after))
    usage: Any = rng.choice(("right", "repeated"))
    return anthropic.Script(**good, usage=usage, pings=rng.random() < 0.2)


def for_bedrock(asked: Asked, fault: str, rng: random.Random) -> bedrock.Script:
    """Bedrock, whatever the model."""
    good: dict[str, Any] = {"text": asked.said}
    trouble = {"error-first": "exception", "stall-first": "stall", "error": "exception"}
    after = 1 if fault.endswith("-first") else rng.randint(2, 7)
    match fault:
        case "429":
            return bedrock.Script(exception="ThrottlingException", headers={"retry-after": "1"})
        case "429-ms":
            return bedrock.Script(exception="ModelNotReadyException")
        case "5xx" | "html":
            return bedrock.Script(exception="InternalServerException")
        case "overloaded":
            return bedrock.Script(exception="ServiceUnavailableException")
        case "slow" | "too-slow":
            return bedrock.Script(**good, **_late(asked, fault, rng))
        case "error" | "error-first" if not asked.streams:
            return bedrock.Script(exception="ModelErrorException", original_status=500)
        case "stall" | "stall-first" if not asked.streams:
            return bedrock.Script(head_delay_s=_FOREVER_S)
        case "reset" | "close" | "garbage" if not asked.streams or fault == "reset":
            return bedrock.Script(**good, cut_after=rng.randint(1, 600))
        case "error" | "error-first" | "stall" | "stall-first" | "close" | "garbage":
            how: Any = trouble.get(fault, fault)
            name = rng.choice(("ModelStreamErrorException", "InternalServerException"))
            fails = bedrock.Break(how=how, after=after, exception=name)
            return bedrock.Script(**good, fails=fails)
    return bedrock.Script(**good, metrics=rng.random() < 0.5)


def for_vertex(asked: Asked, fault: str, rng: random.Random) -> vertex.Script:
    """Gemini and Claude on Vertex AI."""
    good: dict[str, Any] = {"text": asked.said}
    trouble = {"error-first": "error", "stall-first": "stall", "error": "error_event"}
    after = 0 if fault.endswith("-first") else rng.randint(1, 6)
    match fault:
        case "429":
            return vertex.Script(status=429, headers={"retry-after": "1"})
        case "429-ms":
            return vertex.Script(status=429, retry_delay=f"{rng.uniform(0.1, 0.9):.3f}s")
        case "5xx":
            return vertex.Script(status=500, in_array=rng.random() < 0.5)
        case "overloaded":
            return vertex.Script(status=503)
        case "html":
            return vertex.Script(status=502, error_body="<html>Bad gateway</html>")
        case "slow" | "too-slow":
            return vertex.Script(**good, **_late(asked, fault, rng))
        case "error" | "error-first" if not asked.streams:
            return vertex.Script(status=500)
        case "stall" | "stall-first" if not asked.streams:
            return vertex.Script(head_delay_s=_FOREVER_S)
        case "reset" | "close" | "garbage" if not asked.streams or fault == "reset":
            return vertex.Script(**good, cut_after_bytes=rng.randint(1, 600))
        case "error" | "error-first" | "stall" | "stall-first" | "close" | "garbage":
            how: Any = trouble.get(fault, fault)
            return vertex.Script(**good, trouble=vertex.Trouble(how=how, after_tokens=after))
    usage: Any = rng.choice(("last", "every"))
    return vertex.Script(**good, usage=usage, cached=rng.randint(0, 6))


def for_local(asked: Asked, fault: str, rng: random.Random) -> provider.Script:
    """A server of one's own that speaks chat, in framings that servers have."""
    good: dict[str, Any] = {"text": asked.said}
    at_token = 0 if fault.endswith("-first") else rng.randint(1, 5)
    hows = {
        "reset": rng.choice(("reset", "half_chunk_reset")),
        "close": rng.choice(("close", "half_chunk_close")),
        "stall": "stall", "stall-first": "stall", "garbage": "half_chunk_close",
        "error": "error_event", "error-first": "error_event",
    }  # fmt: skip
    match fault:
        case "429":
            return provider.Script(status=429, headers={"retry-after": "1"})
        case "429-ms":
            return provider.Script(status=429, headers={"retry-after-ms": _some_ms(rng)})
        case "5xx":
            return provider.Script(status=rng.choice((500, 502, 503)))
        case "overloaded":
            return provider.Script(status=529)
        case "html":
            return provider.Script(status=502, error_body="<html>Bad gateway</html>")
        case "slow" | "too-slow":
            return provider.Script(**good, **_late(asked, fault, rng))
        case "reset-before-head":
            how: Any = rng.choice(("reset", "close"))
            return provider.Script(failure=provider.Failure(how=how, when="before_head"))
        case "error" | "error-first" if not asked.streams:
            return provider.Script(status=500)
        case name if name in hows:
            how = hows[name]
            if not asked.streams and how.startswith("half_chunk"):
                how = "reset"  # a whole answer has no chunks
            return provider.Script(**good, failure=provider.Failure(how=how, token=at_token))
    pack: Any = rng.choice(("event", "event", "joined", "halved"))
    framing: Any = rng.choice(("chunked", "chunked", "chunked", "length", "until_close"))
    pings = framing == "chunked" and rng.random() < 0.2  # a length counts no pings
    return provider.Script(**good, pack=pack, framing=framing, pings=pings)


def _late(asked: Asked, fault: str, rng: random.Random) -> dict[str, Any]:
    """Late first tokens; answers in one piece have no first token, and are only late."""
    late_s = rng.uniform(0.2, 0.8)
    if not asked.streams:
        return {"head_delay_s": late_s}
    return {"first_token_delay_s": _TOO_SLOW_S if fault == "too-slow" else late_s}


def _some_ms(rng: random.Random) -> str:
    return str(rng.randint(100, 900))
