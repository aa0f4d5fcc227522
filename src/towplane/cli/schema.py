"""`towplane schema`: the JSON Schema of plane.yaml, for editors."""

from towplane.cli.options import Json
from towplane.cli.output import Output

__all__ = ["schema"]


def schema(json: Json = False) -> None:  # noqa: ARG001 - it is JSON either way
    """Print the JSON Schema of plane.yaml."""
    from towplane.document.schema import make_schema

    Output(json=True).object(make_schema())
