"""What is Anthropic's own around the Messages dialect: paths, headers, the answer to a count."""

import msgspec

__all__ = ["COUNT_PATH", "DEFAULT_VERSION", "MESSAGES_PATH", "VERSION_HEADERS", "Count"]

MESSAGES_PATH = "/v1/messages"
COUNT_PATH = "/v1/messages/count_tokens"

DEFAULT_VERSION = "2023-06-01"
"""Of requests whose client says none, and of translated ones: this version takes all that the next
one, 2026-10-21, takes, and besides the sampling parameters that other dialects' clients send
(Claude docs "API versioning")."""

VERSION_HEADERS = (b"anthropic-version", b"anthropic-beta")
"""Passed on as the client sent them."""


class Count(msgspec.Struct):
    """The answer of `count_tokens`."""

    input_tokens: int
