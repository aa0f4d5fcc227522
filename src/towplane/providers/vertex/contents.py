"""The messages of a conversation as Gemini's `contents` and `systemInstruction`.

System and developer messages are the instruction, in their order, wherever they stand: Gemini
knows no system inside a conversation. Neighbours of one role share a content. The results of one
turn's tools stand in one content before everything else of that turn, as Gemini counts them
against the calls.

Signatures: a call takes its own back. A thought's signature belongs, at Gemini, to the part after
the thought; with nothing after it, it stands on an empty text, as Gemini itself sends it. Thoughts
that another provider signed keep their words alone: Gemini refuses what it did not sign, which is
why Gemini's are marked (`OWN`) on their way out. Where a Gemini 3 model would refuse the first call
of a turn for lack of a signature (another model made the turn), Google's word for that stands.

Left out, because they say nothing to Gemini: cache marks (it caches by itself), the citations of
earlier answers, and thoughts that only another provider can read.
"""

from collections.abc import Iterable

import msgspec

from towplane.parts.errors import BadRequest
from towplane.providers.adapter import Losses
from towplane.providers.conversation.request import (
    Audio,
    Conversation,
    Document,
    Foreign,
    Image,
    Message,
    Part,
    Redacted,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from towplane.providers.vertex.wire import Content, FunctionResponse, Media, SentCall, SentPart

__all__ = ["OWN", "UNSIGNED", "contents_of"]

OWN = "towplane.gemini:"
"""How the signature of a thought begins that Gemini made, between the plane and its clients."""
UNSIGNED = "skip_thought_signature_validator"
"""Google's documented signature for calls that no Gemini model made (Google AI for Developers,
"Thought signatures", questions and answers)."""
_GEMINI_3 = (3, 0)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TYPES = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp",
    "heic": "image/heic", "heif": "image/heif", "gif": "image/gif",
    "pdf": "application/pdf", "txt": "text/plain", "md": "text/plain", "html": "text/html",
    "csv": "text/csv", "xml": "text/xml",
    "mp3": "audio/mp3", "wav": "audio/wav", "flac": "audio/flac", "ogg": "audio/ogg",
    "m4a": "audio/m4a", "aac": "audio/aac",
    "mp4": "video/mp4", "mov": "video/quicktime", "webm": "video/webm", "mpeg": "video/mpeg",
}  # fmt: skip
"""By the end of an address: what Gemini takes (Google Cloud, supported MIME types, 2026-11)."""
_RESOLUTIONS = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}


def contents_of(
    conversation: Conversation, generation: tuple[int, int] | None, losses: Losses, where: str
) -> tuple[list[Content], Content | None]:
    """The contents and the instruction. Raises BadRequest."""
    turns = _Turns(generation, losses, where)
    instruction: list[SentPart] = []
    for message in conversation.messages:
        if message.role in ("system", "developer"):
            instruction += turns.instruct(message)
        else:
            turns.add(message)
    contents = turns.finish()
    if not contents:
        raise BadRequest(
            "The conversation has no message of a user.",
            param=conversation.params.get("messages", "messages"),
            next_step="Add one: a system message alone asks for nothing.",
            reason="body-invalid",
        )
    return contents, Content(instruction) if instruction else None


class _Turns:
    """Puts contents together, one role's run after the other."""

    def __init__(self, generation: tuple[int, int] | None, losses: Losses, where: str) -> None:
        self._is_new = generation is not None and generation >= _GEMINI_3
        self._losses = losses
        self._where = where
        self._names: dict[str, str] = {}
        """Of the tools, by the id of their call."""
        self._contents: list[Content] = []
        self._role = ""
        self._parts: list[SentPart] = []
        self._results: list[SentPart] = []

    def instruct(self, message: Message) -> list[SentPart]:
        """The parts of a system or developer message."""
        texts = [part for part in message.parts if isinstance(part, Text)]
        if len(texts) < len(message.parts):
            self._lose("messages.system")
        return [SentPart(text=part.text) for part in texts]

    def add(self, message: Message) -> None:
        """A message of the conversation itself."""
        role = "model" if message.role == "assistant" else "user"
        if role != self._role:
            self._end_turn()
            self._role = role
        if message.name:
            self._lose("messages.name")
        if role == "model":
            self._parts += self._said(message.parts)
        else:
            self._told(message.parts)

    def finish(self) -> list[Content]:
        """All contents."""
        self._end_turn()
        return self._contents

    def _end_turn(self) -> None:
        for parts in (self._results, self._parts):
            if parts:
                self._contents.append(Content(parts, self._role))
        self._results, self._parts = [], []

    def _told(self, parts: Iterable[Part]) -> None:
        for part in parts:
            if isinstance(part, ToolResult):
                self._results.append(self._result(part))
            else:
                self._parts += self._render(part)

    def _said(self, parts: list[Part]) -> list[SentPart]:
        """An answer of an earlier turn, with the signatures on their parts."""
        said: list[SentPart] = []
        owed = ""
        is_first_call = True
        for part in parts:
            if isinstance(part, Thinking):
                if part.text:
                    said.append(SentPart(text=part.text, thought=True))
                if part.signature.startswith(OWN):
                    owed = part.signature.removeprefix(OWN)
                continue
            rendered = self._render(part)
            if owed and rendered and not rendered[0].thought_signature:
                rendered[0].thought_signature, owed = owed, ""
            if isinstance(part, ToolCall):
                if is_first_call and self._is_new and not rendered[0].thought_signature:
                    rendered[0].thought_signature = UNSIGNED
                is_first_call = False
            said += rendered
        if owed:
            said.append(SentPart(text="", thought_signature=owed))
        return said

    def _render(self, part: Part) -> list[SentPart]:
        match part:
            case Text(text=text) | Refusal(text=text):
                return [SentPart(text=text)] if text else []
            case Image():
                return [self._image(part)]
            case Document():
                return self._document(part)
            case Audio(data=data, format=form):
                return [SentPart(inline_data=Media(f"audio/{form}", data))]
            case ToolCall():
                return [self._call(part)]
            case Redacted():
                pass
            case Foreign(param=param):
                self._lose(param)
            case ToolResult() | Thinking():  # of the other role, which no dialect reads
                self._lose("messages.role")
        return []

    def _call(self, part: ToolCall) -> SentPart:
        self._names[part.id] = part.name
        try:
            _object.decode(part.arguments)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise BadRequest(
                f"The arguments of the call {part.id} are not a JSON object.",
                param="messages",
                reason="body-invalid",
            ) from None
        args = msgspec.Raw(part.arguments.encode())
        call = SentCall(part.name, args, part.id if self._is_new else "")
        return SentPart(function_call=call, thought_signature=part.signature.removeprefix(OWN))

    def _result(self, part: ToolResult) -> SentPart:
        name = self._names.get(part.call_id)
        if name is None:
            raise BadRequest(
                f"The result for {part.call_id} answers no call of the conversation.",
                param="messages",
                next_step="Send the message with the call before it.",
                reason="body-invalid",
            )
        texts = [one.text for one in part.parts if isinstance(one, Text)]
        texts += [one.text for one in part.parts if isinstance(one, Document) and one.text]
        media: list[SentPart] = []
        for one in part.parts:
            if isinstance(one, Text) or (isinstance(one, Document) and one.text):
                continue
            if self._is_new:
                media += self._render(one)
            else:  # before Gemini 3 a function's response is an object and nothing else
                self._lose("messages.tool_result.media")
        # A number in an object would become a double; text keeps every digit and every order.
        response = {"error" if part.is_error else "output": "\n".join(texts)}
        call_id = part.call_id if self._is_new else ""
        return SentPart(function_response=FunctionResponse(name, response, call_id, media))

    def _image(self, part: Image) -> SentPart:
        sent = self._media(part.media_type, part.data, part.url, "image/", "image_url")
        resolution = _RESOLUTIONS.get(part.detail, "")
        if resolution and self._is_new:
            sent.media_resolution = {"level": resolution}
        elif resolution:
            self._lose("image_url.detail")
        return sent

    def _document(self, part: Document) -> list[SentPart]:
        if part.cites:
            self._lose("citations")
        about = "\n".join(word for word in (part.name, part.context) if word)
        sent = [SentPart(text=f"Document: {about}")] if about else []
        if part.text:
            return [*sent, SentPart(text=part.text)]
        return [*sent, self._media(part.media_type, part.data, part.url, "", "file")]

    def _media(self, kind: str, data: str, url: str, head: str, param: str) -> SentPart:
        if not url:
            return SentPart(inline_data=Media(kind, data))
        path = url.partition("?")[0]
        kind = kind or _TYPES.get(path.rpartition(".")[2].lower(), "")
        if not kind.startswith(head) or not kind:
            raise BadRequest(
                f"The type of {path[:200]} cannot be told from its name.",
                param=param,
                next_step="Use an address that ends with the type, as `.png`, or send the data.",
                reason="body-invalid",
            )
        return SentPart(file_data=Media(kind, file_uri=url))

    def _lose(self, param: str) -> None:
        self._losses.lose(param, where=self._where)
