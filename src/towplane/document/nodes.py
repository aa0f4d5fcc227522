"""YAML as nodes with positions, and nothing of YAML that could surprise.

Made from the parser's events, not by its composer: the composer recurses in C and dies on a file of
brackets, and YAML 1.1 would read the key `on` as true. A scalar stays the text that was written.
Aliases lead to the node they name; merge keys, tags and second documents are refused. This module
knows no section.

The law: whatever the bytes are, reading ends in a tree of bounded depth or in problems.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from towplane.document.problems import Problem, shorten

__all__ = ["Mapping", "Mark", "Node", "Scalar", "Sequence", "read_nodes"]

MOST_BYTES = 4 * 1024 * 1024
MOST_DEPTH = 32
"""The deepest legal document needs 8."""

_LOADER: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# YAML 1.2, production 1: c-printable; what remains of Unicode is refused.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Mark = tuple[int, int]
"""Line and column, both from 1."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """One text; `is_plain` when it was written without quotes."""

    text: str
    is_plain: bool
    mark: Mark


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    mark: Mark
    items: list["Node"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values in the order of the file, duplicates included."""

    mark: Mark
    pairs: list[tuple["Node", "Node"]] = field(default_factory=list)


Node = Scalar | Sequence | Mapping


class _Unreadable(Exception):
    """Reading cannot go on."""

    def __init__(self, what: str, mark: Mark) -> None:
        self.what = what
        self.mark = mark


def read_nodes(data: bytes, file: str) -> tuple[Node | None, list[Problem]]:
    """The document's one node, and what is wrong with the YAML; no node where it is unreadable."""
    reader = _Reader(file)
    try:
        text = _decode(data)
        return reader.read(text), reader.problems
    except _Unreadable as error:
        reader.report(error.what, error.mark)
        return None, reader.problems


def _decode(data: bytes) -> str:
    if len(data) > MOST_BYTES:
        raise _Unreadable(f"larger than {MOST_BYTES >> 20} MiB", (0, 0))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        raise _Unreadable("not UTF-8 text", _position(before)) from None
    bad = _UNPRINTABLE.search(text)
    if bad:
        code = f"U+{ord(bad.group()):04X}"
        at = _position(text[: bad.start()])
        raise _Unreadable(f"the control character {code} is not allowed", at)
    return text


def _position(before: str) -> Mark:
    return before.count("\n") + 1, len(before) - before.rfind("\n")


class _Reader:
    """Builds nodes from events; keeps a stack instead of recursing."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._anchors: dict[str, Node] = {}

    def report(self, what: str, mark: Mark) -> None:
        line, column = mark
        self.problems.append(Problem(file=self.file, line=line, column=column, path="", what=what))

    def read(self, text: str) -> Node | None:
        try:
            return self._build(yaml.parse(text, Loader=_LOADER))
        except yaml.MarkedYAMLError as error:
            raise _Unreadable(*_explain(error, text)) from None
        except yaml.YAMLError as error:
            raise _Unreadable(f"not YAML: {shorten(str(error))}", (1, 1)) from None

    def _build(self, events: Iterator[yaml.Event]) -> Node | None:
        root: Node | None = None
        stack: list[_Open] = []
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                raise _Unreadable("a second document begins; one file holds one", _mark(event))
            if isinstance(event, yaml.CollectionEndEvent):
                self._close(stack.pop())
            elif isinstance(event, yaml.NodeEvent):
                node = self._node(event, stack)
                if stack:
                    stack[-1].add(node)
                else:
                    root = node
                if isinstance(event, yaml.CollectionStartEvent):
                    if len(stack) == MOST_DEPTH:
                        raise _Unreadable(f"nested deeper than {MOST_DEPTH} levels", _mark(event))
                    stack.append(_Open(node, event.anchor))
        return root

    def _node(self, event: yaml.NodeEvent, stack: list["_Open"]) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, stack)
        mark = _mark(event)
        tag = getattr(event, "tag", None)
        if tag not in (None, "!"):
            self.report(f"the tag {shorten(str(tag))} is not used here; remove it", mark)
        if isinstance(event, yaml.SequenceStartEvent):
            return Sequence(mark)
        if isinstance(event, yaml.MappingStartEvent):
            return Mapping(mark)
        assert isinstance(event, yaml.ScalarEvent)
        scalar = Scalar(event.value, not event.style, mark)
        if event.anchor:
            self._anchors[event.anchor] = scalar
        return scalar

    def _alias(self, event: yaml.AliasEvent, stack: list["_Open"]) -> Node:
        mark = _mark(event)
        name = shorten(event.anchor or "")
        if any(event.anchor == each.anchor for each in stack):
            self.report(f"the alias *{name} stands inside what it names", mark)
        elif event.anchor in self._anchors:
            return self._anchors[event.anchor]
        else:
            self.report(f"the alias *{name} names no anchor before it", mark)
        return Scalar("", True, mark)

    def _close(self, closed: "_Open") -> None:
        if closed.anchor:
            self._anchors[closed.anchor] = closed.node
        if isinstance(closed.node, Mapping):
            for key, _ in closed.node.pairs:
                if isinstance(key, Scalar) and key.is_plain and key.text == "<<":
                    self.report("merge keys (<<) are not used here; write the keys out", key.mark)


class _Open:
    """A collection that is being read."""

    __slots__ = ("_key", "anchor", "node")

    def __init__(self, node: Node, anchor: str | None) -> None:
        self.node = node
        self.anchor = anchor
        self._key: Node | None = None

    def add(self, child: Node) -> None:
        if isinstance(self.node, Sequence):
            self.node.items.append(child)
        elif isinstance(self.node, Mapping):
            if self._key is None:
                self._key = child
            else:
                self.node.pairs.append((self._key, child))
                self._key = None


def _mark(event: yaml.Event) -> Mark:
    assert event.start_mark is not None
    return event.start_mark.line + 1, event.start_mark.column + 1


def _explain(error: yaml.MarkedYAMLError, text: str) -> tuple[str, Mark]:
    at = error.problem_mark or error.context_mark
    mark = (at.line + 1, at.column + 1) if at else (1, 1)
    if "tab" in str(error.problem) or _character(text, mark) == "\t":
        return "a tab; YAML is indented with spaces", mark
    context = f" {error.context}" if error.context else ""
    return f"not YAML: {error.problem}{context}", mark


def _character(text: str, mark: Mark) -> str:
    lines = text.split("\n", mark[0])
    line = lines[mark[0] - 1] if len(lines) >= mark[0] else ""
    return line[mark[1] - 1 : mark[1]]
