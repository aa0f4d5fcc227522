"""Anthropic's books and the normal form, in both directions: the one place that knows them.

Anthropic counts cached input *beside* `input_tokens`, in `cache_read_input_tokens` and
`cache_creation_input_tokens` (split by lifetime in `cache_creation`); the normal form counts it
inside. `output_tokens` is the billed total in both, thinking included (anthropic 2.12.0
`types/usage.py`). Of a stream, `message_start` has the input and a placeholder for the output;
`message_delta` replaces, field by field, what it repeats. Law: `normal(wire(usage)) == usage` for
every usage that Anthropic's books can hold.
"""

import msgspec

from towplane.parts.usage import Detail, ServiceClass, Usage

__all__ = ["WireUsage", "normal_usage", "wire_usage"]


class _CacheCreation(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class _ServerToolUse(msgspec.Struct, gc=False, omit_defaults=True):
    web_search_requests: int | None = None
    web_fetch_requests: int | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    thinking_tokens: int | None = None


class WireUsage(msgspec.Struct, omit_defaults=True):
    """Usage as Anthropic writes it; None: not said here."""

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None
    server_tool_use: _ServerToolUse | None = None
    service_tier: str | None = None
    speed: str | None = None

    def replaced_by(self, later: "WireUsage") -> "WireUsage":
        """What is known once a later event has said more."""
        told = {name: getattr(later, name) for name in _NAMES}
        return msgspec.structs.replace(
            self, **{name: value for name, value in told.items() if value is not None}
        )


_NAMES = WireUsage.__struct_fields__
_NO_DETAIL = Detail()
_TIERS = frozenset(("standard", "priority", "batch"))
_CLASSES: dict[str, ServiceClass] = {"priority": "priority", "batch": "batch"}
"""By `service_tier`; what else there may be costs as standard does."""


def normal_usage(wire: WireUsage) -> Usage | None:
    """The normal form; None where the wire does not say what both directions used."""
    if wire.input_tokens is None or wire.output_tokens is None:
        return None
    cached = wire.cache_read_input_tokens or 0
    written, written_1h = _cache_writes(wire)
    details, tools = wire.output_tokens_details, wire.server_tool_use
    detail = Detail(
        cache_write=written,
        cache_write_1h=written_1h,
        reasoning=(details.thinking_tokens or 0) if details is not None else 0,
        # Of the server's tools only searches are billed by call; fetches cost their tokens alone.
        searches=(tools.web_search_requests or 0) if tools is not None else 0,
        service=_class_of(wire),
    )
    return Usage(
        wire.input_tokens + cached + written + written_1h,
        wire.output_tokens,
        cached,
        detail if detail != _NO_DETAIL else None,
    )


def wire_usage(usage: Usage) -> WireUsage:
    """Anthropic's books of a usage in normal form. Audio, images and the prompts of tools lie
    inside input and output there, too, without a name of their own."""
    detail = usage.detail or _NO_DETAIL
    written = detail.cache_write + detail.cache_write_1h
    return WireUsage(
        input_tokens=max(usage.input - usage.cached - written, 0),
        cache_creation_input_tokens=written,
        cache_read_input_tokens=usage.cached,
        cache_creation=_CacheCreation(detail.cache_write, detail.cache_write_1h),
        output_tokens=usage.output,
        output_tokens_details=_OutputDetails(detail.reasoning) if detail.reasoning else None,
        server_tool_use=_ServerToolUse(detail.searches) if detail.searches else None,
        service_tier=detail.service if usage.detail and detail.service in _TIERS else None,
        speed="fast" if detail.service == "fast" else None,
    )


def _cache_writes(wire: WireUsage) -> tuple[int, int]:
    """Written for five minutes and for an hour. The total is the newer figure where a stream's end
    repeats it without the split; what the split does not explain lives for five minutes, which is
    the default lifetime."""
    split = wire.cache_creation
    hour = (split.ephemeral_1h_input_tokens or 0) if split is not None else 0
    minutes = (split.ephemeral_5m_input_tokens or 0) if split is not None else 0
    total = wire.cache_creation_input_tokens
    if total is None:
        return minutes, hour
    hour = min(hour, total)
    return total - hour, hour


def _class_of(wire: WireUsage) -> ServiceClass:
    if wire.speed == "fast":
        return "fast"
    return _CLASSES.get(wire.service_tier or "", "standard")
