"""A fault between values of a document, before it has a line and a column.

Knows no section. The law: a finding names one thing to correct, and says what it hangs on, so that
one mistake is reported once.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from towplane.document.problems import Place, find_nearest, shorten

__all__ = ["Finding", "check_known", "say_name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault between values of a document."""

    place: Place
    what: str
    expected: str = ""
    found: str = ""
    nearest: str = ""
    at_key: bool = False
    """Whether the key at `place` is at fault, not its value."""
    needs: Place = ()
    """A place that must be sound for this to be a fault of its own."""
    severity: Literal["error", "warning"] = "error"


def check_known(
    place: Place, name: str, known: Collection[str], section: str, kind: str
) -> Iterator[Finding]:
    """A finding where `name` is not among the `known` names of a section."""
    if name in known:
        return
    nearest = find_nearest(name, known)
    listed = (
        ", ".join(map(say_name, list(known)[:8])) or f"a {kind} under {section}, which has none"
    )
    yield Finding(
        place=place,
        what=f"no such {kind}",
        expected="" if nearest else f"one of {listed}" if known else listed,
        found=say_name(name),
        nearest=say_name(nearest) if nearest else "",
        needs=(section,),
    )


def say_name(name: str) -> str:
    """A name from a document, fit to stand in a message."""
    return shorten(name) if name else '""'
