"""AnthropicEmulator: `api.anthropic.com` on a real socket, with scripts, checks and books."""

from towplane.testing.anthropic.models import MODELS
from towplane.testing.anthropic.script import GOOD, Script, Trouble
from towplane.testing.anthropic.server import KEY, AnthropicEmulator, Billed

__all__ = ["GOOD", "KEY", "MODELS", "AnthropicEmulator", "Billed", "Script", "Trouble"]
