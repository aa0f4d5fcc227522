"""Which service tier a request asks Bedrock for: the client's wish, else the document's default.

    client's word            Bedrock's
    (nothing), auto          what the provider's section says, or nothing
    default, standard_only   default
    flex, priority, reserved the same

Pure.
"""

from towplane.providers.adapter import Losses, Place
from towplane.providers.conversation.request import Conversation

__all__ = ["service_tier", "tier_of"]

_TIERS = {
    "default": "default",
    "standard_only": "default",  # Anthropic's
    "flex": "flex",
    "priority": "priority",
    "reserved": "reserved",
}


def service_tier(conversation: Conversation, place: Place, losses: Losses) -> str:
    """The tier, or nothing."""
    wish = conversation.service
    tier = tier_of(wish, place)
    if tier is None:
        name = conversation.params.get("service", "service_tier")
        losses.lose(name, where=f"Bedrock, which has no tier `{wish}`")
        return place.options.get("service", "")
    return tier


def tier_of(wish: str, place: Place) -> str | None:
    """The tier for a client's word; None: Bedrock has no such tier."""
    if wish in ("", "auto"):
        return place.options.get("service", "")
    return _TIERS.get(wish)
