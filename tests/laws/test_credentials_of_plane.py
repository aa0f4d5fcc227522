"""The credentials of a running plane as documents come and go: what workers are given."""

import pytest

from towplane.cli.credentials import PlaneCredentials
from towplane.document.load import parse_document
from towplane.document.plane import Plane
from towplane.parts.clock import Clock
from towplane.parts.secrets import Sealed
from towplane.providers.adapter import Credential

TEXT = """\
plane: acme
providers:
  a: {kind: openai, credentials: [{api_key: env:ONE}, {api_key: env:TWO}]}
  b: {kind: openai-compatible, endpoint: "http://127.0.0.1:1/v1"}
  c: {kind: azure-openai, endpoint: "https://c.test", credentials: [{managed_identity: true}]}
"""


def plane(text: str = TEXT) -> Plane:
    return parse_document(text.encode()).plane


def sealed(**values: str) -> dict[str, Sealed]:
    return {f"env:{name}": Sealed(value) for name, value in values.items()}


def bearer(name: str, key: str) -> Credential:
    return Credential(name, (("authorization", f"Bearer {key}"),))


@pytest.fixture
def credentials() -> PlaneCredentials:
    return PlaneCredentials(plane(), sealed(ONE="k1", TWO="k2"), lambda: None, Clock())


def test_keys_are_there_at_once_and_tokens_are_said_to_be_missing(
    credentials: PlaneCredentials,
) -> None:
    """A provider without credentials has no pool: it asks for none."""
    found = credentials.current()
    assert found["a"] == (bearer("a#1", "k1"), bearer("a#2", "k2"))
    assert found["c"] == (Credential("c#1", trouble="not asked for yet"),)
    assert "b" not in found


def test_a_new_document_brings_new_keys_and_takes_others_away(
    credentials: PlaneCredentials,
) -> None:
    credentials.hold(plane(), sealed(ONE="k1", TWO="new"))
    assert credentials.current()["a"] == (bearer("a#1", "k1"), bearer("a#2", "new"))
    less = TEXT.replace(", {api_key: env:TWO}", "").replace("  c:", "  d:")
    credentials.hold(plane(less), sealed(ONE="k1"))
    assert credentials.current()["a"] == (bearer("a#1", "k1"),)
    assert credentials.current().keys() == {"a", "d"}
    assert [state.name for state in credentials.states("d")] == ["d#1"]
    assert credentials.states("c") == []
    assert credentials.reveal("env:ONE") == "k1"


def test_who_is_refused_is_known_by_name_and_strangers_harm_nobody(
    credentials: PlaneCredentials,
) -> None:
    before = credentials.current()
    credentials.refused({"a#1", "c#1", "nobody#7"})
    credentials.refused(())
    assert credentials.current() == before
