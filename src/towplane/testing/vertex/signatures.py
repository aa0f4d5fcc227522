"""Thought signatures of the emulator: made with an answer, verified when they come back.

One belongs to a call (its name and its arguments) or to words. Google's own are opaque; these say
inside what they are for, behind a seal.
"""

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any

__all__ = ["UNSIGNED", "is_ours", "seal", "seal_call"]

UNSIGNED = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
"""What Google takes for calls that no Gemini made (Google AI for Developers, "Thought
signatures")."""
_SECRET = b"vertex-emulator"


def seal(what: str) -> str:
    """A signature for these words."""
    digest = hashlib.sha256(what.encode()).digest()[:12]
    return base64.b64encode(digest + hmac.digest(_SECRET, digest, "sha256")[:20]).decode()


def seal_call(name: str, args: dict[str, Any]) -> str:
    """A signature for this call."""
    return seal(f"{name} {json.dumps(args, sort_keys=True)}")


def is_ours(signature: str) -> bool:
    """Whether it was made here, for whatever."""
    try:
        raw = base64.b64decode(signature, validate=True)
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(raw[12:], hmac.digest(_SECRET, raw[:12], "sha256")[:20])
