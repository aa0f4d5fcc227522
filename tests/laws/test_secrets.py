"""Secrets: references in the document, sealed values in memory, nothing in a message."""

import copy
import json
import os
import pickle
from pathlib import Path

import pytest

from towplane.parts.secret_watch import ASK_S, HURRY_S, SecretWatch
from towplane.parts.secrets import Sealed, SecretMissing, resolve_secret
from towplane.parts.stores import command

VALUE = "sk-proj-0123456789"


def test_a_reference_to_the_environment_is_resolved() -> None:
    assert resolve_secret("env:KEY", {"KEY": VALUE}).reveal() == VALUE


def test_a_reference_to_a_file_is_resolved_without_its_line_end(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(VALUE + "\n")
    assert resolve_secret(f"file:{path}", {}).reveal() == VALUE


def test_a_sealed_value_does_not_show_itself() -> None:
    sealed = Sealed(VALUE)
    for shown in (repr(sealed), str(sealed), f"{sealed}", f"{[sealed]!r}"):
        assert VALUE not in shown
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            leave(sealed)
    assert not hasattr(sealed, "__dict__")


def test_sealed_values_compare_by_value() -> None:
    assert Sealed(VALUE) == Sealed(VALUE)
    assert Sealed(VALUE) != Sealed("other")
    assert Sealed(VALUE) != VALUE
    assert len({Sealed(VALUE), Sealed(VALUE)}) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe", "not UTF-8"),
        (b"two\nlines", "line breaks"),
        (b"x" * 70_000, "larger than"),
    ],
)
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(SecretMissing, match=says):
        resolve_secret(f"file:{path}", {})


def test_what_is_not_a_file_does_not_hold_the_plane_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, says in (
        ("pipe", "not a file"),
        ("", "cannot be read|not a file"),
        ("no", "No such"),
    ):
        with pytest.raises(SecretMissing, match=says):
            resolve_secret(f"file:{tmp_path / name}", {})


def test_a_missing_variable_is_named_and_an_empty_one_too() -> None:
    with pytest.raises(SecretMissing, match="KEY is not set"):
        resolve_secret("env:KEY", {})
    with pytest.raises(SecretMissing, match="env:KEY is empty"):
        resolve_secret("env:KEY", {"KEY": ""})


@pytest.mark.parametrize("text", ['{\n  "type": "x",\n  "key": "a\\nb"\n}\n', "{}"])
def test_a_json_object_may_be_written_in_lines(tmp_path: Path, text: str) -> None:
    """The key of a service account; it arrives on one line, as fit for a header as any other."""
    path = tmp_path / "key"
    path.write_text(text)
    found = resolve_secret(f"file:{path}", {}).reveal()
    assert json.loads(found) == json.loads(text)
    assert found.isprintable()


def test_a_program_prints_a_secret(tmp_path: Path) -> None:
    script = tmp_path / "give me"
    script.write_text('#!/bin/sh\necho "$GIVEN-$1-$2"\n')
    script.chmod(0o700)
    reference = f"command:'{script}' 'a  b' $HOME"
    assert resolve_secret(reference, {"GIVEN": "x"}).reveal() == "x-a  b-$HOME"  # no shell


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("sh -c 'echo s3cret; echo s3cret >&2; exit 7'", "sh ended with 7"),
        ("true", "command:true is empty"),
        ("none-such-program s3cret", "none-such-program cannot be run: No such file"),
        ("printf 's3cret\\nmore'", "line breaks"),
        ("'unclosed", "cannot be read"),
        ("''", "cannot be run"),
    ],
)
def test_a_program_that_prints_none_is_named_and_not_quoted(words: str, says: str) -> None:
    with pytest.raises(SecretMissing, match=says) as caught:
        resolve_secret(f"command:{words}", dict(os.environ))
    if "ended" in says or "No such" in says:
        assert "s3cret" not in f"{caught.value.say}{caught.value.next_step}"


def test_a_program_that_waits_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "WITHIN_S", 0.1)
    with pytest.raises(SecretMissing, match="did not answer within"):
        resolve_secret("command:sleep 60", dict(os.environ))


class Watched:
    """A watch over values that the test sets, as `read` finds them."""

    def __init__(self, **values: str) -> None:
        self.values = values
        self.reads: list[str] = []
        self.watch = SecretWatch(self.read)
        self.watch.hold({name: Sealed(value) for name, value in self.values.items()}, 0.0)

    def read(self, reference: str) -> Sealed:
        self.reads.append(reference)
        if reference not in self.values:
            raise SecretMissing(f"{reference} is gone")
        return Sealed(self.values[reference])


def test_a_store_is_asked_again_after_a_while() -> None:
    watched = Watched(**{"vault:a#b": "old", "env:A": "fixed"})
    watched.values["vault:a#b"] = "new"
    assert watched.watch.look(ASK_S - 1) == set()
    assert watched.watch.reveal("vault:a#b") == "old"
    assert watched.watch.look(ASK_S) == {"vault:a#b"}
    assert watched.watch.reveal("vault:a#b") == "new"
    assert watched.watch.look(ASK_S + 1) == set()
    assert watched.watch.look(2 * ASK_S) == set()  # asked, and the same
    assert watched.reads == ["vault:a#b", "vault:a#b"]


def test_a_secret_that_was_refused_is_asked_for_at_once() -> None:
    watched = Watched(**{"vault:a#b": "old", "env:A": "fixed"})
    watched.values["vault:a#b"] = "new"
    watched.watch.hurry({"vault:a#b", "env:A", "file:nobody"}, HURRY_S)
    assert watched.watch.look(HURRY_S) == {"vault:a#b"}
    watched.values["vault:a#b"] = "newer"
    watched.watch.hurry({"vault:a#b"}, HURRY_S + 1)  # a moment ago
    assert watched.watch.look(HURRY_S + 1) == set()


def test_what_cannot_be_read_any_more_stays_as_it_was() -> None:
    watched = Watched(**{"vault:a#b": "old"})
    del watched.values["vault:a#b"]
    assert watched.watch.look(ASK_S) == set()
    assert watched.watch.reveal("vault:a#b") == "old"
    assert watched.watch.troubles() == {"vault:a#b": "vault:a#b is gone"}
    watched.values["vault:a#b"] = "new"
    assert watched.watch.look(2 * ASK_S) == {"vault:a#b"}
    assert watched.watch.troubles() == {}


def test_a_file_is_read_when_it_is_written_replaced_or_linked_anew(tmp_path: Path) -> None:
    """In place, by rename, and as Kubernetes swaps the link to a folder of secrets."""
    key = tmp_path / "key"
    key.write_text("one")
    reference = f"file:{key}"
    watch = SecretWatch(lambda name: resolve_secret(name, {}))
    watch.hold({reference: resolve_secret(reference, {})}, 0.0)
    assert watch.look(1.0) == set()
    key.write_text("three")
    assert watch.look(2.0) == {reference}
    (tmp_path / "next").write_text("four!")
    (tmp_path / "next").rename(key)
    assert watch.look(3.0) == {reference}
    assert watch.reveal(reference) == "four!"
    key.unlink()
    assert watch.look(4.0) == set()
    assert "No such file" in watch.troubles()[reference]
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "key").write_text("five")
    key.symlink_to(tmp_path / "folder" / "key")
    assert watch.look(5.0) == {reference}
    assert watch.troubles() == {}


def test_a_literal_is_not_resolved_and_not_repeated() -> None:
    with pytest.raises(SecretMissing) as caught:
        resolve_secret(VALUE, {})
    assert VALUE not in str(caught.value)
    assert "env:NAME" in caught.value.say
