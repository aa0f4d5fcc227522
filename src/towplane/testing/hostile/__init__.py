"""Hostile bytes as data: requests that a stranger sends, and answers that an upstream gives."""

from towplane.testing.hostile.answers import ANSWERS, Answer, Sees
from towplane.testing.hostile.bodies import FIELDS, JSON
from towplane.testing.hostile.case import LIMITS, MAYBE, TAG, Act, Case, Want
from towplane.testing.hostile.framing import CHUNKS, CODINGS, LENGTHS
from towplane.testing.hostile.heads import HEADERS, KEYS
from towplane.testing.hostile.request_lines import LINES
from towplane.testing.hostile.walks import METHODS, PIPELINES, SILENCES

__all__ = [
    "ANSWERS",
    "LIMITS",
    "MAYBE",
    "REQUESTS",
    "TAG",
    "Act",
    "Answer",
    "Case",
    "Sees",
    "Want",
]

REQUESTS: tuple[Case, ...] = (
    *LENGTHS,
    *CODINGS,
    *CHUNKS,
    *LINES,
    *HEADERS,
    *KEYS,
    *PIPELINES,
    *METHODS,
    *SILENCES,
    *JSON,
    *FIELDS,
)
"""Every request case, from the framing up."""
