"""Credentials that are keys: sent as they are, changed only when their secret changes."""

from towplane.providers.credentials.source import Issued, Reveal, Source

__all__ = ["header_source"]

STARS = "****"


def header_source(
    name: str, reference: str, reveal: Reveal, *, header: str, scheme: str = ""
) -> Source:
    """A key that is sent in one header, after a scheme such as `Bearer ` or as it is."""
    return Source(
        name=name,
        how=f"key {reference}" if reference.startswith(("env:", "file:")) else "key",
        issue=lambda: Issued(((header, scheme + reveal(reference)),)),
        sample=Issued(((header, scheme + STARS),)),
        made_of=(reference, header),
        references=frozenset((reference,)),
        is_instant=True,
    )
