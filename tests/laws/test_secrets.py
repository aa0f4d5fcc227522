"""Secrets: references in the document, sealed values in memory, nothing in a message."""

import copy
import os
import pickle
from pathlib import Path

import pytest

from towplane.parts.secrets import Sealed, SecretMissing, resolve_secret

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


def test_a_literal_is_not_resolved_and_not_repeated() -> None:
    with pytest.raises(SecretMissing) as caught:
        resolve_secret(VALUE, {})
    assert VALUE not in str(caught.value)
    assert "env:NAME" in caught.value.say
