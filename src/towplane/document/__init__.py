"""`plane.yaml`: its types, its loading with all errors at once, its schema and its watch."""

from towplane.document.load import Document, load_file, parse_document
from towplane.document.plane import Plane
from towplane.document.problems import DocumentError, Problem

__all__ = ["Document", "DocumentError", "Plane", "Problem", "load_file", "parse_document"]
