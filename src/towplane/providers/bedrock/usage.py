"""Bedrock's usage in normal form: cached input stands beside its input, and is put inside here.

Converse, InvokeModel's metrics and the price classes of the service tiers. Pure.
"""

from towplane.parts.usage import Detail, ServiceClass, Usage
from towplane.providers.bedrock.wire import Performance, ServiceTier, TokenUsage

__all__ = ["CLASS_OF_TIER", "normal_usage", "service_class"]

CLASS_OF_TIER: dict[str, ServiceClass] = {
    "default": "standard",
    "priority": "priority",
    "flex": "flex",
    "reserved": "provisioned",
}


def normal_usage(
    usage: TokenUsage, tier: ServiceTier | None = None, performance: Performance | None = None
) -> Usage:
    """The usage of an answer. Writes to a cache whose lifetime nobody tells count as five
    minutes' ones."""
    cached = usage.cache_read_input_tokens or 0
    written = usage.cache_write_input_tokens or 0
    total = usage.input_tokens + cached + written
    service = service_class(tier, performance)
    if not written and service == "standard":
        return Usage(total, usage.output_tokens, cached)
    details = usage.cache_details or ()
    an_hour = min(sum(d.input_tokens for d in details if d.ttl == "1h"), written)
    detail = Detail(cache_write=written - an_hour, cache_write_1h=an_hour, service=service)
    return Usage(total, usage.output_tokens, cached, detail)


def service_class(tier: ServiceTier | None, performance: Performance | None) -> ServiceClass:
    """The price class that answered; the latency-optimised one has prices of its own."""
    if performance is not None and performance.latency == "optimized":
        return "fast"
    return CLASS_OF_TIER.get(tier.type, "standard") if tier is not None else "standard"
