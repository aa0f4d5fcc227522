"""What stands beside Gemini's words: where they come from, and how probable their tokens were.

Citations take Anthropic's form, log probabilities OpenAI's, as events have them. Rarely needed, so
nothing here is made for speed. Knows no stream.
"""

from collections.abc import Iterator

import msgspec

from towplane.providers.vertex.wire import Citation, Grounding, LogprobsResult

__all__ = ["citations", "groundings", "logprobs"]

_encode = msgspec.json.Encoder().encode


class _Location(msgspec.Struct, tag="web_search_result_location"):
    """Anthropic's citation of a page; `encrypted_index` is a secret of its own search."""

    url: str
    title: str | None
    cited_text: str
    encrypted_index: str = ""


class _TopToken(msgspec.Struct):
    token: str
    logprob: float
    bytes: list[int]


class _Token(_TopToken):
    top_logprobs: list[_TopToken]


def citations(found: list[Citation]) -> Iterator[msgspec.Raw]:
    """Of recitations: the indexes count bytes of the whole answer, so no text is told."""
    for citation in found:
        if citation.uri or citation.title:
            yield _location(citation.uri, citation.title, "")


def groundings(found: Grounding) -> Iterator[msgspec.Raw]:
    """Of a search: one for each source of each piece of the answer."""
    for support in found.grounding_supports:
        text = support.segment.text if support.segment is not None else ""
        for index in support.grounding_chunk_indices:
            if index >= len(found.grounding_chunks):
                continue
            chunk = found.grounding_chunks[index]
            page = chunk.web or chunk.retrieved_context or chunk.maps
            if page is not None:
                yield _location(page.uri, page.title, text)


def logprobs(found: LogprobsResult) -> list[msgspec.Raw]:
    """The chosen tokens, each with its rivals where they were asked for."""
    rivals = [
        [_TopToken(*_token(one.token, one.log_probability)) for one in step.candidates]
        for step in found.top_candidates
    ]
    return [
        msgspec.Raw(
            _encode(
                _Token(
                    *_token(chosen.token, chosen.log_probability),
                    rivals[place] if place < len(rivals) else [],
                )
            )
        )
        for place, chosen in enumerate(found.chosen_candidates)
    ]


def _location(url: str, title: str, text: str) -> msgspec.Raw:
    return msgspec.Raw(_encode(_Location(url, title or None, text)))


def _token(token: str, logprob: float) -> tuple[str, float, list[int]]:
    return token, logprob, list(token.encode())
