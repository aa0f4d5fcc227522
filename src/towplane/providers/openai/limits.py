"""What OpenAI's headers say of its limits: as all do who have them from OpenAI."""

from towplane.providers.openai_compatible.limits import read_allowance

__all__ = ["read_allowance"]
