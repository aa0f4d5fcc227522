"""The pool of credentials in a worker: which is sent, which is left alone, and for how long."""

import pytest

from towplane.providers.adapter import Credential
from towplane.providers.credential_pool import CredentialPool, CredentialStanding, conceal

A, B, C = (Credential(f"p#{n}", (("authorization", f"Bearer key-{n}"),)) for n in (1, 2, 3))
NONE: dict[str, float] = {}


def pool(*credentials: Credential) -> CredentialPool:
    made = CredentialPool()
    made.update(credentials)
    return made


def test_it_stays_with_one_while_that_one_is_good() -> None:
    """A prompt cache belongs to an account."""
    found = pool(A, B)
    assert [found.pick("t", float(now), NONE) for now in range(5)] == [A] * 5


def test_a_refused_one_is_parked_longer_each_time_and_told() -> None:
    found = pool(A, B)
    assert [found.park(A, 0.0, "no such key") for _ in range(7)] == [
        2, 4, 8, 16, 32, 64, 128,
    ]  # fmt: skip
    assert found.pick("t", 1.0, NONE) == B
    assert found.standings(100.0) == [
        CredentialStanding("p#1", "parked", "no such key", 28.0),
        CredentialStanding("p#2", "ready", "", 0.0),
    ]
    assert found.standings(128.0)[0] == CredentialStanding("p#1", "parked", "no such key", 0.0)
    found.accepted(A, "t")
    assert found.standings(128.0)[0].state == "ready"
    assert found.park(A, 700.0, "again") == 2


def test_a_limited_one_gives_way_at_its_target_alone() -> None:
    found = pool(A, B)
    assert found.pick("t", 5.0, {"p#1": 10.0}) == B
    assert found.pick("t", 5.0, NONE) == B  # it stays with the one that it turned to
    assert found.standings(5.0)[0].state == "ready"


def test_when_all_are_parked_or_missing_there_is_none_and_the_wait_is_known() -> None:
    found = pool(A, B, Credential("p#3", trouble="the issuer is down"))
    found.park(A, 0.0, "")
    found.park(B, 1.0, "")
    assert found.pick("t", 1.5, NONE) is None
    assert found.is_refused("t", 1.5)
    assert found.usable_in_s("t", 1.5, NONE) == 0.5
    assert found.pick("t", 2.0, NONE) == A
    assert found.standings(1.5)[2] == CredentialStanding(
        "p#3", "missing", "the issuer is down", 0.0
    )


def test_a_renewed_one_is_not_parked_and_others_stay_so() -> None:
    found = pool(A, B)
    found.park(A, 0.0, "")
    found.park(B, 0.0, "")
    renewed = Credential("p#1", (("authorization", "Bearer new"),))
    found.update((renewed, B))
    assert found.pick("t", 1.0, NONE) == renewed
    assert found.standings(1.0)[1].state == "parked"


def test_one_that_was_taken_away_is_not_sent() -> None:
    found = pool(A, B, C)
    assert found.pick("t", 0.0, {"p#1": 9.0, "p#2": 9.0}) == C
    found.update((A,))
    assert found.pick("t", 0.0, NONE) == A
    found.update(())
    assert found.pick("t", 0.0, NONE) is None


def test_a_lone_good_one_needs_no_choice() -> None:
    assert pool(A).only == A
    assert pool(A, B).only is None
    assert pool(Credential("p#1", trouble="x")).only is None
    found = pool(A)
    found.park(A, 0.0, "")
    assert found.only is None
    found.accepted(A, "t")
    assert found.only == A


@pytest.mark.parametrize(
    ("credential", "text", "want"),
    [
        (A, "Incorrect API key provided: key-1.", "Incorrect API key provided: …."),
        (A, "Bearer key-1 is not known, key-1!", "Bearer … is not known, …!"),
        (Credential("p#1", (("x-api-key", "abc"),)), "abc", "…"),
        (Credential("p#1", aws=("AKIA", "secret", "token")), "AKIA secret token", "AKIA … …"),
        (Credential("p#1", aws=("AKIA", "secret", "")), "nothing", "nothing"),
    ],
)
def test_a_provider_that_quotes_the_key_is_not_quoted(
    credential: Credential, text: str, want: str
) -> None:
    assert conceal(credential, text) == want
    found = pool(credential)
    found.park(credential, 0.0, text)
    assert found.standings(1.0)[0].reason == want
