"""What a route's prompts scored lately, as the admin port says it; no text is in it."""

from msgspec import Struct

__all__ = ["RouteScores"]


class RouteScores(Struct, kw_only=True):
    """Scores of a model's last requests, over all workers."""

    model: str
    scorer: str
    """`length`, `trained` or the name of the vendor's own."""
    digest: str = ""
    """Of a trained scorer: which one it is."""
    threshold: float
    scores: list[float]
    """At most a thousand of each worker, the last ones."""
