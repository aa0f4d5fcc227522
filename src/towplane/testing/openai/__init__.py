"""OpenAIEmulator: api.openai.com, or a resource of Azure OpenAI, on a real socket."""

from towplane.testing.openai.azure import Azure
from towplane.testing.openai.limits import Limit, Provisioned
from towplane.testing.openai.script import GOOD, Script, Trouble
from towplane.testing.openai.server import OpenAIEmulator

__all__ = ["GOOD", "Azure", "Limit", "OpenAIEmulator", "Provisioned", "Script", "Trouble"]
