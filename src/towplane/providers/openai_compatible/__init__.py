"""Servers that speak OpenAI's API: `kind: openai-compatible`, and the engines that speak it too."""

from towplane.providers.adapter import Adapter
from towplane.providers.openai_compatible.errors import judge
from towplane.providers.openai_compatible.limits import read_allowance
from towplane.providers.openai_compatible.translate import (
    is_native,
    make_parser,
    passthrough,
    render,
)

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    kind="openai-compatible",
    is_native=is_native,
    passthrough=passthrough,
    render=render,
    make_parser=make_parser,
    judge=judge,
    read_allowance=read_allowance,
)
