"""From YAML nodes to typed sections: walks the types, not the file, and reports all that is wrong.

Where a value is wrong, a placeholder of the right type stands in, so that the walk goes on and the
names around it stay known to the checks that follow. What is built is only used when there is no
problem. This module knows msgspec's description of types and no section by name.

The law: the work is bounded by the types' depth and by `MOST_VISITS`, whatever aliases say.
"""

import os
import re
import shlex
from typing import TypeVar, cast

from msgspec import inspect

from towplane.document.kinds import describe, expectation, is_optional, placeholder, unit_of
from towplane.document.nodes import Mapping, Mark, Node, Scalar, Sequence
from towplane.document.problems import Place, Problem, find_nearest, shorten, show_place
from towplane.parts.units import PARSERS, TEXTUAL, UnitError

__all__ = ["Shape", "anchor", "is_null"]

T = TypeVar("T")

MOST_VISITS = 200_000
"""More nodes than `nodes.MOST_BYTES` can hold without aliases in any sensible document."""

_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_NOT_TEXT = re.compile(
    # What YAML 1.1 or 1.2 reads as null, true, false or a number: no reader agrees on all of them.
    r"(?i:null|true|false|yes|no|on|off|y|n)|~|"
    r"[-+]?(0[bxo][0-9a-fA-F_]+|[0-9][0-9_]*(:[0-5]?[0-9])*(\.[0-9_]*)?([eE][-+]?[0-9]+)?"
    r"|\.[0-9_]+([eE][-+]?[0-9]+)?|\.(inf|Inf|INF))|\.(nan|NaN|NAN)|"
)


class Shape:
    """One walk over one document."""

    def __init__(self, file: str, folder: str) -> None:
        self.problems: list[Problem] = []
        self.marks: dict[Place, Mark] = {}
        """Where each value stands."""
        self.key_marks: dict[Place, Mark] = {}
        """Where the key of each value stands."""
        self.broken: set[Place] = set()
        """Places of which something wrong was reported."""
        self._file = file
        self._folder = folder
        self._visits = 0

    def build(self, node: Node, root: type[T]) -> T:
        """The value of type `root` that `node` means, with placeholders where it is wrong."""
        return cast(T, self._value(node, describe(root), ()))

    def report(
        self,
        place: Place,
        mark: Mark,
        what: str,
        *,
        expected: str = "",
        found: str = "",
        nearest: str = "",
        at_key: bool = False,
    ) -> None:
        """Adds a problem; one `at_key` leaves what stands under the key to be judged."""
        if not at_key:
            self.broken.add(place)
        self.problems.append(
            Problem(
                file=self._file,
                line=mark[0],
                column=mark[1],
                path=show_place(place),
                what=what,
                expected=expected,
                found=found,
                nearest=shorten(nearest),
            )
        )

    def _value(self, node: Node, kind: inspect.Type, place: Place) -> object:
        self.marks[place] = node.mark
        self._visits += 1
        if self._visits > MOST_VISITS:
            if self._visits == MOST_VISITS + 1:
                self.report(
                    place, node.mark, f"more than {MOST_VISITS} values; aliases repeat them"
                )
            return placeholder(kind)
        match kind:
            case inspect.UnionType():
                return self._union(node, kind, place)
            case inspect.StructType():
                return self._record(node, kind, place)
            case inspect.DictType():
                return self._table(node, kind, place)
            case inspect.ListType():
                return self._list(node, kind, place)
        if not isinstance(node, Scalar):
            return self._wrong(node, kind, place)
        match kind:
            case inspect.Metadata(extra={"unit": str(unit)}):
                return self._unit(node, kind, unit, place)
            case inspect.LiteralType():
                return self._choice(node, kind, place)
            case inspect.BoolType():
                return self._bool(node, kind, place)
            case inspect.StrType():
                return self._text(node, kind, place)
            case _:
                raise TypeError(f"{show_place(place)}: no document can hold a {kind}")

    def _union(self, node: Node, kind: inspect.UnionType, place: Place) -> object:
        members = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
        if is_optional(kind) and is_null(node):
            return None
        kinds = [each for each in members if isinstance(each, inspect.StructType) and each.tag]
        if kinds and isinstance(node, Mapping):
            return self._tagged(node, kinds, place)
        wanted = inspect.StructType if isinstance(node, Mapping) else object
        fitting = [each for each in members if isinstance(each, wanted)]
        return self._value(node, (fitting or members)[0], place)

    def _tagged(self, node: Mapping, kinds: list[inspect.StructType], place: Place) -> object:
        """A record of one of several kinds; its tag says which."""
        tag = kinds[0].tag_field or ""
        given = [value for key, value in node.pairs if isinstance(key, Scalar) and key.text == tag]
        by_tag = {str(each.tag): each for each in kinds}
        wanted = f"one of {', '.join(by_tag)}"
        if not given:
            self.report((*place, tag), node.mark, "missing key", expected=wanted)
            return placeholder(kinds[0])
        word = given[0].text if isinstance(given[0], Scalar) else ""
        if word in by_tag:
            return self._record(node, by_tag[word], place)
        nearest = find_nearest(word, list(by_tag))
        self.report(
            (*place, tag),
            given[0].mark,
            "wrong value",
            expected=wanted,
            found=_show(given[0], is_open=True),
            nearest=nearest,
        )
        return placeholder(by_tag[nearest] if nearest else kinds[0])

    def _record(self, node: Node, kind: inspect.StructType, place: Place) -> object:
        if not isinstance(node, Mapping):
            return self._wrong(node, kind, place)
        given = self._entries(node, place)
        known = [field.encode_name for field in kind.fields]
        if kind.tag:
            known.append(kind.tag_field or "")
        for name in given.keys() - set(known):
            self._unknown_key(name, known, place)
        values: dict[str, object] = {}
        for field in kind.fields:
            here = (*place, field.encode_name)
            if field.encode_name in given:
                values[field.name] = self._value(given[field.encode_name], field.type, here)
            elif field.required:
                self.report(here, node.mark, "missing key", expected=expectation(field.type))
                values[field.name] = placeholder(field.type)
            elif isinstance(field.default, str):
                values[field.name] = anchor(unit_of(field.type), field.default, self._folder)
        return kind.cls(**values)

    def _unknown_key(self, name: str, known: list[str], place: Place) -> None:
        nearest = find_nearest(name, known)
        if nearest:
            # What hangs on the key that was meant is not to be reported as missing.
            self.broken.add((*place, nearest))
        here = (*place, name)
        expected = "" if nearest else f"one of {', '.join(known)}"
        self.report(here, self.key_marks[here], "unknown key", expected=expected, nearest=nearest)

    def _table(self, node: Node, kind: inspect.DictType, place: Place) -> object:
        if not isinstance(node, Mapping):
            return self._wrong(node, kind, place)
        entries = self._entries(node, place)
        for name in entries:
            self._check_key(name, kind.key_type, (*place, name))
        return {
            name: self._value(value, kind.value_type, (*place, name))
            for name, value in entries.items()
        }

    def _check_key(self, name: str, kind: inspect.Type, place: Place) -> None:
        expected = nearest = ""
        if isinstance(kind, inspect.LiteralType) and name not in kind.values:
            expected = expectation(kind)
            nearest = find_nearest(name, [str(value) for value in kind.values])
        elif unit := unit_of(kind):
            try:
                PARSERS[unit](name)
            except UnitError as error:
                expected = error.expected
        if expected:
            found = shorten(name) or "nothing"
            mark = self.key_marks[place]
            what = "not a legal name"
            self.report(
                place, mark, what, expected=expected, found=found, nearest=nearest, at_key=True
            )

    def _entries(self, node: Mapping, place: Place) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        for key, value in node.pairs:
            if not isinstance(key, Scalar):
                self.report(place, key.mark, "wrong key", expected="text", found=_show(key))
            elif key.text in entries:
                first = self.key_marks[(*place, key.text)][0]
                what = f"duplicate key; the first one is in line {first}"
                self.report((*place, key.text), key.mark, what, at_key=True)
            elif not (key.is_plain and key.text == "<<"):  # merge keys are reported by the reader
                entries[key.text] = value
                self.key_marks[(*place, key.text)] = key.mark
        return entries

    def _list(self, node: Node, kind: inspect.ListType, place: Place) -> object:
        if not isinstance(node, Sequence):
            return self._wrong(node, kind, place)
        return [
            self._value(item, kind.item_type, (*place, index))
            for index, item in enumerate(node.items)
        ]

    def _unit(self, node: Scalar, kind: inspect.Type, unit: str, place: Place) -> object:
        if is_null(node):
            return self._wrong(node, kind, place)
        if unit in TEXTUAL and _is_other_than_text(node):
            return self._wrong(node, kind, place, "put it in quotes")
        try:
            value = PARSERS[unit](node.text)
        except UnitError as error:
            return self._wrong(node, kind, place, error.why)
        return anchor(unit, value, self._folder) if isinstance(value, str) else value

    def _choice(self, node: Scalar, kind: inspect.LiteralType, place: Place) -> object:
        known = [str(value) for value in kind.values]
        if node.text in known:
            return node.text
        nearest = find_nearest(node.text, known)
        return self._wrong(node, kind, place, nearest=nearest)

    def _bool(self, node: Scalar, kind: inspect.Type, place: Place) -> object:
        if node.is_plain and _TRUE.fullmatch(node.text):
            return True
        if node.is_plain and _FALSE.fullmatch(node.text):
            return False
        return self._wrong(node, kind, place)

    def _text(self, node: Scalar, kind: inspect.Type, place: Place) -> object:
        if _is_other_than_text(node):
            hint = "" if is_null(node) else "YAML may read it as something else: put it in quotes"
            return self._wrong(node, kind, place, hint)
        return node.text

    def _wrong(
        self, node: Node, kind: inspect.Type, place: Place, why: str = "", nearest: str = ""
    ) -> object:
        shown = _show(node, is_open=_may_show(node, kind))
        if is_null(node) and isinstance(kind, inspect.StructType):
            why = "write {} for its defaults"
        found = f"{shown} ({why})" if why else shown
        expected = expectation(kind)
        self.report(
            place, node.mark, "wrong value", expected=expected, found=found, nearest=nearest
        )
        return placeholder(kind)


def anchor(unit: str, value: str, folder: str) -> str:
    """`value` with its path, if its unit has one, taken from `folder`; `~` is the user's home."""
    if unit == "path":
        return os.path.normpath(os.path.join(folder, os.path.expanduser(value)))
    if unit in ("secret", "weights") and value.startswith("file:"):
        return "file:" + anchor("path", value.removeprefix("file:"), folder)
    if unit == "secret" and value.startswith("command:"):
        return f"command:{_anchor_command(value.removeprefix('command:'), folder)}"
    return value


def _anchor_command(command: str, folder: str) -> str:
    try:
        program, *arguments = shlex.split(command)
    except ValueError:
        return command  # whoever runs it says what is wrong
    if "/" not in program:
        return command  # it is looked for on PATH
    return shlex.join([anchor("path", program, folder), *arguments])


def is_null(node: Node) -> bool:
    """Whether nothing was written."""
    return isinstance(node, Scalar) and node.is_plain and bool(_NULL.fullmatch(node.text))


def _is_other_than_text(node: Scalar) -> bool:
    return node.is_plain and bool(_NOT_TEXT.fullmatch(node.text))


def _may_show(node: Node, kind: inspect.Type) -> bool:
    # What should be a collection, a reference or a URL could be a key or a password.
    if isinstance(kind, inspect.StructType | inspect.DictType | inspect.ListType):
        return False
    return unit_of(kind) != "secret" and not (isinstance(node, Scalar) and "@" in node.text)


def _show(node: Node, *, is_open: bool = False) -> str:
    match node:
        case Mapping():
            return "a mapping"
        case Sequence():
            return "a list"
        case Scalar() if is_null(node):
            return "nothing"
        case Scalar(text=text, is_plain=is_plain):
            if not is_open:
                return "other text, not shown here"
            return shorten(text) if is_plain else f'"{shorten(text)}"'
