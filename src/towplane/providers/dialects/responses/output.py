"""The output of a response as it grows: items, the parts of a message, and the events that say so.

    item added ─▶ part added ─▶ delta … ─▶ done ─▶ part done ─▶ item done

At most one item and one part of it are open. A call and a summary are items with one part. Bytes
are appended to the list that is passed in; what is whole is kept for the object of the answer.
"""

import msgspec

__all__ = ["Item", "Output"]

_encode = msgspec.json.Encoder().encode
_PARTS = {
    # what is open: the event of its growth, the field that holds it whole, where it stands
    "text": (b"output_text", b"text", b',"content_index":%d'),
    "refusal": (b"refusal", b"refusal", b',"content_index":%d'),
    "summary": (b"reasoning_summary_text", b"text", b',"summary_index":%d'),
    "arguments": (b"function_call_arguments", b"arguments", b""),
}
_NO_PROBS = b',"logprobs":[]'


class Item:
    """One item of the output."""

    __slots__ = ("at", "call_id", "id", "kind", "name", "parts", "place", "sealed")

    def __init__(self, kind: str, item_id: str, place: int) -> None:
        self.kind = kind
        self.id = item_id
        self.place = place
        self.at = b'"item_id":%b,"output_index":%d' % (_encode(item_id), place)
        """How every event of it says where it belongs."""
        self.parts: list[bytes] = []
        """Content that is whole."""
        self.sealed = ""
        """What only the provider can read."""
        self.call_id = self.name = ""

    def json(self, status: bytes, arguments: str = "") -> bytes:
        """The item as it is."""
        parts = b"[%b]" % b",".join(self.parts)
        head = b'{"id":%b,"type":"%b"' % (_encode(self.id), self.kind.encode())
        if self.kind == "reasoning":
            sealed = _encode(self.sealed or None)
            return b'%b,"summary":%b,"encrypted_content":%b}' % (head, parts, sealed)
        if self.kind == "message":
            return b'%b,"status":"%b","role":"assistant","content":%b}' % (head, status, parts)
        return b'%b,"status":"%b","call_id":%b,"name":%b,"arguments":%b}' % (
            head,
            status,
            _encode(self.call_id),
            _encode(self.name),
            _encode(arguments),
        )


class Output:
    """The items of one answer; `name` is what their ids are made of."""

    __slots__ = ("_annotations", "_count", "_delta", "_logprobs", "_name", "_text",
                 "item", "items", "part")  # fmt: skip

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0
        """Events written."""
        self.items: list[bytes] = []
        """Those that are whole."""
        self.item: Item | None = None
        self.part = ""
        """What is open in it: a key of `_PARTS`, or empty."""
        self._delta = (b"", b"")
        """What stands before and behind the number of a delta of the open part."""
        self._text: list[str] = []
        self._annotations: list[bytes] = []
        self._logprobs: list[msgspec.Raw] = []

    def emit(self, out: list[bytes], kind: bytes, fields: bytes) -> None:
        """One event; `fields` are those besides its type and number."""
        out.append(
            b'event: response.%b\ndata: {"type":"response.%b","sequence_number":%d,%b}\n\n'
            % (kind, kind, self._count, fields)
        )
        self._count += 1

    def open_item(self, out: list[bytes], kind: str, call_id: str = "", name: str = "") -> Item:
        """Close what is open and add an item of this kind."""
        self.close_item(out)
        prefix = {"message": "msg", "reasoning": "rs"}.get(kind, "fc")
        place = len(self.items)
        self.item = item = Item(kind, f"{prefix}_{self._name}_{place}", place)
        item.call_id, item.name = call_id, name
        fields = b'"output_index":%d,"item":%b' % (place, item.json(b"in_progress"))
        self.emit(out, b"output_item.added", fields)
        return item

    def open_part(self, out: list[bytes], part: str) -> None:
        """Open a part of the item that is open."""
        item = self.item
        assert item is not None
        self.part = part
        word, _, index = _PARTS[part]
        at = item.at + (index % len(item.parts) if index else b"")
        if part == "summary":
            self.emit(out, b"reasoning_summary_part.added", b'%b,"part":%b' % (at, self._whole()))
        elif part != "arguments":
            self.emit(out, b"content_part.added", b'%b,"part":%b' % (at, self._whole()))
        head = b'event: response.%b.delta\ndata: {"type":"response.%b.delta","sequence_number":'
        self._delta = (head % (word, word), b',%b,"delta":' % at)

    def grow(self, out: list[bytes], text: str, probs: list[msgspec.Raw] | None = None) -> None:
        """The open part grows."""
        self._text.append(text)
        tail = b""
        if self.part == "text":
            tail = _NO_PROBS
            if probs:
                self._logprobs += probs
                tail = b',"logprobs":%b' % _encode(probs)
        before, behind = self._delta
        out.append(b"%b%d%b%b%b}\n\n" % (before, self._count, behind, _encode(text), tail))
        self._count += 1

    def annotate(self, out: list[bytes], annotation: bytes) -> None:
        """A source of the open text."""
        assert self.item is not None
        at = b'%b,"content_index":%d,"annotation_index":%d' % (
            self.item.at,
            len(self.item.parts),
            len(self._annotations),
        )
        self._annotations.append(annotation)
        self.emit(out, b"output_text.annotation.added", b'%b,"annotation":%b' % (at, annotation))

    @property
    def written(self) -> int:
        """Characters of the open part."""
        return sum(map(len, self._text))

    def close_part(self, out: list[bytes], status: bytes = b"completed") -> str:
        """Close the part that is open; what it holds."""
        item = self.item
        if not self.part or item is None:
            return ""
        if self.part == "arguments" and not self._text and status == b"completed":
            self.grow(out, "{}")  # a call without arguments; theirs are always an object
        part, text = self.part, "".join(self._text)
        word, field, index = _PARTS[part]
        at = item.at + (index % len(item.parts) if index else b"")
        fields = b'%b,"%b":%b' % (at, field, _encode(text))
        if part == "text":
            fields += b',"logprobs":%b' % _encode(self._logprobs)
        elif part == "arguments":
            fields += b',"name":%b' % _encode(item.name)
        self.emit(out, word + b".done", fields)
        if part != "arguments":
            whole = self._whole()
            kind = b"reasoning_summary_part.done" if part == "summary" else b"content_part.done"
            self.emit(out, kind, b'%b,"part":%b' % (at, whole))
            item.parts.append(whole)
        self.part = ""
        self._text, self._annotations, self._logprobs = [], [], []
        return text

    def close_item(self, out: list[bytes], status: bytes = b"completed") -> None:
        """Close the item that is open, with its part."""
        item = self.item
        if item is None:
            return
        whole = item.json(status, self.close_part(out, status))
        self.items.append(whole)
        self.item = None
        fields = b'"output_index":%d,"item":%b' % (item.place, whole)
        self.emit(out, b"output_item.done", fields)

    def _whole(self) -> bytes:
        """The open part as the object that it is by now."""
        text = _encode("".join(self._text))
        if self.part == "refusal":
            return b'{"type":"refusal","refusal":%b}' % text
        if self.part == "summary":
            return b'{"type":"summary_text","text":%b}' % text
        return b'{"type":"output_text","text":%b,"annotations":[%b],"logprobs":%b}' % (
            text,
            b",".join(self._annotations),
            _encode(self._logprobs),
        )
