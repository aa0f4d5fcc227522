"""Converse's citations in Anthropic's form, which is the normal one. Pure.

Source: botocore 1.44.5 `CitationLocation`; anthropic 2.12.0 `types/*_location.py`.
"""

import msgspec

from towplane.providers.bedrock.wire import Citation, Span

__all__ = ["normal_citation"]

_encode = msgspec.json.Encoder().encode


def normal_citation(citation: Citation) -> msgspec.Raw | None:
    """The citation; None where it has no place that Anthropic's form knows."""
    cited = "".join(source.text for source in citation.source_content)
    for kind, span in citation.location.items():
        place = _place(kind, span, citation)
        if place is not None:
            return msgspec.Raw(_encode({"cited_text": cited, **place}))
    return None


def _place(kind: str, span: Span, citation: Citation) -> dict[str, object] | None:
    document = {"document_index": span.document_index, "document_title": citation.title}
    match kind:
        case "documentChar":
            bounds = {"start_char_index": span.start, "end_char_index": span.end}
            return {"type": "char_location", **document, **bounds}
        case "documentPage":
            bounds = {"start_page_number": span.start, "end_page_number": span.end}
            return {"type": "page_location", **document, **bounds}
        case "documentChunk":
            bounds = {"start_block_index": span.start, "end_block_index": span.end}
            return {"type": "content_block_location", **document, **bounds}
        case "searchResultLocation":
            return {
                "type": "search_result_location",
                "search_result_index": span.search_result_index,
                "source": citation.source or "",
                "title": citation.title,
                "start_block_index": span.start,
                "end_block_index": span.end,
            }
        case "web":
            title = citation.title or span.domain or None
            return {"type": "web_search_result_location", "url": span.url, "title": title}
    return None
