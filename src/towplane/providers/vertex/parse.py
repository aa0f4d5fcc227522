"""Gemini's answers as events: a stream of GenerateContentResponse, or one of them.

A stream has no word for its end: it ends with its body, after a finish reason. That reason is held
back until then, because some models repeat it in every chunk and some send it before the last
words. Usage is cumulative: the last counters replace the earlier ones, and are told as soon as they
count an output, so that a stream that breaks has been measured up to there.

A call comes whole in one part. Where Gemini gives it no id, it gets one made of the response's id
and its place, so that the same answer always has the same ids. What no event can carry (pictures,
files, code that the provider ran) is a failure with its name: it is never left out in silence.
"""

from datetime import datetime
from zlib import crc32

import msgspec

from towplane.parts.errors import ProtocolError, Upstream
from towplane.providers.adapter import Parser, Place
from towplane.providers.conversation.answer import (
    CallBegins,
    CallGrows,
    Cited,
    Ended,
    Event,
    Failed,
    Finish,
    LogProbs,
    Signed,
    Started,
    TextGrows,
    ThoughtGrows,
    Used,
)
from towplane.providers.vertex import sources
from towplane.providers.vertex.contents import OWN
from towplane.providers.vertex.errors import failure_inside
from towplane.providers.vertex.frames import Frames
from towplane.providers.vertex.models import generation_of
from towplane.providers.vertex.usage import normal
from towplane.providers.vertex.wire import (
    Candidate,
    FunctionCall,
    Part,
    Response,
    UsageMetadata,
    is_there,
)

__all__ = ["FINISH", "GeminiParser"]

FINISH: dict[str, Finish] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MALFORMED_FUNCTION_CALL": "malformed",
    "MALFORMED_RESPONSE": "malformed",
    "UNEXPECTED_TOOL_CALL": "malformed",
    "TOO_MANY_TOOL_CALLS": "malformed",
    "CONTINUATION": "pause",
}
"""google-genai 3.4.0 `FinishReason`; LANGUAGE, OTHER, NO_IMAGE, IMAGE_OTHER, ESCALATION,
MISSING_THOUGHT_SIGNATURE and whatever is new are `other`."""
_UNSPECIFIED, _UNBLOCKED = "FINISH_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED"

_response = msgspec.json.Decoder(Response)


class GeminiParser(Parser):
    """Parses one answer."""

    __slots__ = ("_blocked", "_calls", "_finish", "_frames", "_has_failed", "_is_begun", "_place",
                 "_response_id", "_searches", "_usage")  # fmt: skip

    def __init__(self, place: Place) -> None:
        self._place = place
        self._frames = Frames()
        self._is_begun = False
        self._has_failed = False
        self._response_id = ""
        self._finish: dict[int, str | None] = {}
        """By choice: Google's word, None while it runs."""
        self._blocked = ""
        """Why the prompt was blocked, in Google's word."""
        self._calls: dict[int, int] = {}
        self._usage: UsageMetadata | None = None
        self._searches = 0

    def feed(self, payload: bytes) -> list[Event]:
        events: list[Event] = []
        for document in self._frames.feed(payload):
            self._read(document, events)
            if self._has_failed:
                break
        return events

    def close(self) -> list[Event]:
        events: list[Event] = []
        try:
            rest = self._frames.close()
        except ProtocolError as cut:
            raise self._truncated() from cut
        for document in rest:
            try:
                self._read(document, events)
            except ProtocolError as cut:  # an event without its end
                raise self._truncated() from cut
        if not self._has_failed:
            self._finish_all(events)
        return events

    def whole(self, body: bytes) -> list[Event]:
        if body.lstrip()[:1] == b"[":  # an error, or all chunks of a stream
            return self.feed(body) + self.close()
        events: list[Event] = []
        self._read(body, events)
        if not self._has_failed:
            self._finish_all(events)
        return events

    def _read(self, document: bytes, events: list[Event]) -> None:
        try:
            response = _response.decode(document)
        except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
            raise ProtocolError(
                f"{self._place.target} answered with something that is no answer of Gemini's.",
                reason="upstream-protocol",
            ) from wrong
        if response.error and is_there(response.error):
            self._fail(failure_inside(bytes(response.error), self._place.target), events)
            return
        if not self._is_begun:
            self._begin(response, events)
        if response.usage_metadata is not None:
            self._count(response.usage_metadata, events)
        feedback = response.prompt_feedback
        if feedback is not None and feedback.block_reason not in ("", _UNBLOCKED):
            self._blocked = feedback.block_reason
        for candidate in response.candidates or ():
            self._read_candidate(candidate, events)
            if self._has_failed:
                return

    def _begin(self, response: Response, events: list[Event]) -> None:
        self._is_begun = True
        self._response_id = response.response_id
        events.append(
            Started(response.response_id, response.model_version, _seconds(response.create_time))
        )

    def _count(self, counted: UsageMetadata, events: list[Event]) -> None:
        if counted.prompt_token_count is None:
            return  # `trafficType` alone
        is_first = self._usage is None
        self._usage = counted
        if counted.candidates_token_count is not None:
            self._tell_usage(events)
        elif is_first:
            self._tell_usage(events, is_final=False)

    def _tell_usage(self, events: list[Event], *, is_final: bool = True) -> None:
        usage = normal(self._usage, self._searches) if self._usage is not None else None
        if usage is not None:
            events.append(Used(usage, is_final))

    def _read_candidate(self, candidate: Candidate, events: list[Event]) -> None:
        choice = candidate.index
        content = candidate.content
        if candidate.logprobs_result is not None:  # before the text, which other parts may follow
            events.append(LogProbs(sources.logprobs(candidate.logprobs_result), choice))
        if content is not None:
            for part in content.parts or ():
                self._read_part(part, choice, events)
                if self._has_failed:
                    return
        if candidate.citation_metadata is not None:
            cited = candidate.citation_metadata.citations
            events += [Cited(raw, choice) for raw in sources.citations(cited)]
        if candidate.grounding_metadata is not None:
            self._ground(candidate, events)
        reason = candidate.finish_reason
        if reason is not None and reason != _UNSPECIFIED:
            self._finish[choice] = reason
        elif choice not in self._finish:
            self._finish[choice] = None

    def _ground(self, candidate: Candidate, events: list[Event]) -> None:
        assert candidate.grounding_metadata is not None
        grounding = candidate.grounding_metadata
        events += [Cited(raw, candidate.index) for raw in sources.groundings(grounding)]
        queries = len(grounding.web_search_queries)
        if queries:  # until Gemini 2.5 a prompt is billed, from 3 on each query
            is_old = (generation_of(self._place.model) or (0, 0)) < (3, 0)
            self._searches = 1 if is_old else queries

    def _read_part(self, part: Part, choice: int, events: list[Event]) -> None:
        signature = part.thought_signature
        if part.text is not None:
            if part.thought:
                if part.text:
                    events.append(ThoughtGrows(part.text, choice))
                if signature:
                    events.append(Signed(OWN + signature, choice))
                return
            if signature:  # it belongs to the thought before these words
                events.append(Signed(OWN + signature, choice))
            if part.text:
                events.append(TextGrows(part.text, choice))
        elif part.function_call is not None:
            self._call(part.function_call, signature or "", choice, events)
        elif (what := _unspeakable(part)) is not None:
            error = ProtocolError(
                f"{self._place.target} answered with {what}, which cannot be passed on here.",
                next_step="Ask a model that answers in words.",
                reason="upstream-protocol",
            )
            error.retry = "never"  # another attempt would cost as much and end the same
            self._fail(error, events)
        elif signature:
            events.append(Signed(OWN + signature, choice))

    def _call(self, said: FunctionCall, signature: str, choice: int, events: list[Event]) -> None:
        if is_there(said.partial_args) or said.will_continue:
            raise ProtocolError(
                f"{self._place.target} streams a call in pieces, which nobody asked for.",
                reason="upstream-protocol",
            )
        call = self._calls.get(choice, 0)
        self._calls[choice] = call + 1
        arguments = bytes(said.args) if is_there(said.args) else b"{}"
        if b"\n" in arguments:  # answers in one piece are indented
            arguments = msgspec.json.format(arguments, indent=-1)
        call_id = said.id or self._id_of(choice, call, arguments)
        events.append(CallBegins(call, call_id, said.name, signature, choice))
        events.append(CallGrows(call, arguments.decode(), choice))

    def _id_of(self, choice: int, call: int, arguments: bytes) -> str:
        """OpenAI allows 40 characters, Anthropic letters, digits, `_` and `-`."""
        stem = self._response_id or f"{crc32(arguments):08x}"
        return f"call_{stem[:28]}_{choice}_{call}"

    def _finish_all(self, events: list[Event]) -> None:
        """The end: what each choice ended with, then the last counters."""
        if self._blocked:
            events.append(Ended("content_filter", said=self._blocked))
        elif not self._finish or None in self._finish.values():
            raise self._truncated()
        for choice, said in self._finish.items():
            assert said is not None
            events.append(Ended(self._finish_of(said, choice), said=said, choice=choice))
        self._tell_usage(events)

    def _finish_of(self, said: str, choice: int) -> Finish:
        reason = FINISH.get(said, "other")
        if reason == "stop" and self._calls.get(choice):
            return "tool_calls"
        return reason

    def _fail(self, error: Upstream, events: list[Event]) -> None:
        self._has_failed = True
        if self._usage is not None and self._usage.candidates_token_count is not None:
            self._tell_usage(events)
        events.append(Failed(error))

    def _truncated(self) -> ProtocolError:
        return ProtocolError(
            f"{self._place.target} ended its answer without a finish reason.",
            reason="upstream-truncated",
        )


def _unspeakable(part: Part) -> str | None:
    """What a part holds that has no event."""
    if is_there(part.inline_data) or is_there(part.file_data):
        return "a picture or a file"
    if is_there(part.executable_code) or is_there(part.code_execution_result):
        return "code that it ran itself"
    return None


def _seconds(moment: str) -> int:
    """Unix time of an RFC 3339 moment; 0 where there is none."""
    if not moment:
        return 0
    try:
        return int(datetime.fromisoformat(moment).timestamp())
    except ValueError:
        return 0
