"""What the routes of a document score prompts by, read before the document takes effect."""

from pathlib import Path

from towplane.document.plane import Plane
from towplane.routing.complexity.model import Trained
from towplane.routing.complexity.narrowing import complexity_of, trained_file
from towplane.routing.complexity.scorer import load_model, load_own

__all__ = ["load_scorers"]


def load_scorers(plane: Plane) -> dict[str, Trained]:
    """Trained models by their files. Raises PlaneError for one that is not there or whose embedding
    is not installed, and for a function of the vendor's own that is not installed."""
    found: dict[str, Trained] = {}
    for route in plane.routing.values():
        file = trained_file(route)
        if file and file not in found:
            found[file] = load_model(Path(file))
        spec = complexity_of(route)
        if spec is not None and spec.scorer not in ("length", "trained"):
            load_own(spec.scorer)
    return found
