"""Citations of the normal form as annotations of Responses: a URL, or a place in a document."""

import msgspec

__all__ = ["annotation_of"]


class _Citation(msgspec.Struct):
    """Anthropic's, of every kind (anthropic 2.12.0 `types/text_citation.py`)."""

    type: str = ""
    url: str | None = None
    source: str | None = None
    title: str | None = None
    document_title: str | None = None
    document_index: int | None = None
    file_id: str | None = None


class _OfUrl(msgspec.Struct, tag_field="type", tag="url_citation"):
    url: str
    title: str
    start_index: int
    end_index: int


class _OfFile(msgspec.Struct, tag_field="type", tag="file_citation"):
    file_id: str
    filename: str
    index: int


_citation = msgspec.json.Decoder(_Citation)


def annotation_of(raw: msgspec.Raw, written: int) -> bytes | None:
    """The annotation of a text of which so many characters stand there; None if nobody knows it.

    A citation belongs to the whole text of its part: it begins where the part begins.
    """
    try:
        found = _citation.decode(raw)
    except msgspec.DecodeError:
        return None
    url = found.url or found.source
    if url:
        return msgspec.json.encode(_OfUrl(url, found.title or "", 0, written))
    name = found.document_title or found.title or ""
    return msgspec.json.encode(_OfFile(found.file_id or "", name, found.document_index or 0))
