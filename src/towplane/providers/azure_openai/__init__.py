"""Azure OpenAI and Foundry: `kind: azure-openai`. The models are the names of deployments."""

from towplane.providers.adapter import Adapter
from towplane.providers.azure_openai.errors import is_spilled, judge
from towplane.providers.azure_openai.limits import read_allowance
from towplane.providers.azure_openai.translate import is_native, make_parser, passthrough, render

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    kind="azure-openai",
    is_native=is_native,
    passthrough=passthrough,
    render=render,
    make_parser=make_parser,
    judge=judge,
    read_allowance=read_allowance,
    is_spilled=is_spilled,
)
