"""OpenAI's own API: `kind: openai`."""

from towplane.providers.adapter import Adapter
from towplane.providers.openai.errors import judge
from towplane.providers.openai.limits import read_allowance
from towplane.providers.openai.translate import is_native, make_parser, passthrough, render

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    kind="openai",
    is_native=is_native,
    passthrough=passthrough,
    render=render,
    make_parser=make_parser,
    judge=judge,
    read_allowance=read_allowance,
)
