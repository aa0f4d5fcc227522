"""VertexEmulator: Vertex AI's prediction service and Google's token endpoint, on a real socket."""

from towplane.testing.vertex.book import Billed
from towplane.testing.vertex.script import GOOD, Script, Trouble
from towplane.testing.vertex.server import VertexEmulator

__all__ = ["GOOD", "Billed", "Script", "Trouble", "VertexEmulator"]
