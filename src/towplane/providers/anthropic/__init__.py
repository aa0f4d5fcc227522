"""Anthropic's own API: `kind: anthropic`."""

from towplane.providers.adapter import Adapter
from towplane.providers.anthropic.errors import judge
from towplane.providers.anthropic.limits import read_allowance
from towplane.providers.anthropic.translate import (
    count_request,
    is_native,
    passthrough,
    read_count,
    render,
    response_parser,
)

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    kind="anthropic",
    is_native=is_native,
    passthrough=passthrough,
    render=render,
    make_parser=response_parser,
    judge=judge,
    read_allowance=read_allowance,
    render_count=count_request,
    read_count=read_count,
)
