"""What an answer says of Vertex's limits: nothing.

Gemini on Vertex shares its capacity among all customers (dynamic shared quota), so there is no
count of what is left; no `x-ratelimit-*` header is documented for any of its endpoints, and none
for Claude through rawPredict. When to come back stands in the body of a 429: see `errors.py`.
"""

from towplane.providers.adapter import Allowance, Fields

__all__ = ["read_allowance"]


def read_allowance(fields: Fields) -> Allowance | None:  # noqa: ARG001  # no header says anything
    """Always None."""
    return None
