"""Keys: nothing opens the door but a whole, living token."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.parts.errors import Platform, Unauthorised
from towplane.tenants.keys import (
    KeyRecord,
    KeyRing,
    RetiredSecret,
    TenantRecord,
    digest_of,
    load_pepper,
    mint,
)

PEPPER = bytes(range(32))
NOW = 1_000.0
MINTED = mint()
TOKEN = MINTED.token.encode()
KEY = KeyRecord(id=MINTED.id, tenant="acme", digest=digest_of(TOKEN, PEPPER))


def ring_of(*keys: KeyRecord) -> KeyRing:
    return KeyRing(keys, [TenantRecord(name="acme")], PEPPER)


def reason_of(ring: KeyRing, token: bytes, now: float = NOW) -> str:
    with pytest.raises(Unauthorised) as caught:
        ring.identify(token, now)
    assert caught.value.next_step
    return caught.value.reason


def changed(**changes: object) -> KeyRecord:
    fields = {name: getattr(KEY, name) for name in KEY.__struct_fields__}
    return KeyRecord(**{**fields, **changes})


def test_the_whole_token_opens_the_door() -> None:
    assert ring_of(KEY).identify(TOKEN, NOW) is KEY


def test_keys_are_long_legible_and_never_alike() -> None:
    tokens = [mint().token for _ in range(200)]
    assert len(set(tokens)) == 200
    assert all(len(token) == 66 and not set("01ilo") & set(token) for token in tokens)


@pytest.mark.parametrize(
    ("token", "want"),
    [
        (b"", "key-missing"),
        (KEY.digest, "key-unknown"),
        (KEY.digest.hex().encode(), "key-unknown"),
        (f"tp-{KEY.id}-{KEY.digest.hex()}".encode(), "key-unknown"),
        (f"tp-{KEY.id}-".encode() + KEY.digest, "key-unknown"),
        (TOKEN[:20], "key-unknown"),
        (TOKEN[:-1], "key-unknown"),
        (TOKEN + b"a", "key-unknown"),
        (TOKEN + b" ", "key-unknown"),
        (b" " + TOKEN, "key-unknown"),
        (TOKEN.upper(), "key-unknown"),
        (TOKEN.replace(b"tp-", b"TP-"), "key-unknown"),
        (TOKEN + b"\0", "key-unknown"),
        (TOKEN.replace(b"-", "\u2010".encode()), "key-unknown"),
        (b"\xff\xfe" * 33, "key-unknown"),
        (b"tp-", "key-unknown"),
        (b"' OR 1=1 --", "key-unknown"),
        (b"x" * 10_000_000, "key-unknown"),
        (TOKEN * 100_000, "key-unknown"),
        (mint(KEY.id).token.encode(), "key-unknown"),
        (mint().token.encode(), "key-unknown"),
    ],
    ids=range(21),
)
def test_nothing_else_opens_it(token: bytes, want: str) -> None:
    assert reason_of(ring_of(KEY), token) == want


@given(st.binary(max_size=300))
def test_no_string_of_a_stranger_opens_it(token: bytes) -> None:
    assert reason_of(ring_of(KEY), token) in ("key-unknown", "key-missing")


@given(st.integers(0, len(TOKEN) - 1), st.integers(1, 255))
def test_every_byte_of_a_token_counts(place: int, change: int) -> None:
    forged = bytearray(TOKEN)
    forged[place] ^= change
    assert reason_of(ring_of(KEY), bytes(forged)) == "key-unknown"


def test_a_revoked_key_says_so_to_its_holder_and_to_nobody_else() -> None:
    ring = ring_of(changed(revoked_at=NOW - 1))
    assert reason_of(ring, TOKEN) == "key-revoked"
    assert reason_of(ring, TOKEN[:-1]) == "key-unknown"


def test_a_key_lives_until_the_moment_it_expires() -> None:
    ring = ring_of(changed(expires_at=NOW))
    assert ring.identify(TOKEN, NOW - 0.001).id == KEY.id
    assert reason_of(ring, TOKEN, NOW) == "key-expired"


def test_a_retired_secret_works_until_its_overlap_is_over() -> None:
    fresh = mint(KEY.id).token.encode()
    retired = [RetiredSecret(digest=KEY.digest, expires_at=NOW + 10)]
    ring = ring_of(changed(digest=digest_of(fresh, PEPPER), retired=retired))
    assert ring.identify(fresh, NOW + 99).id == KEY.id
    assert ring.identify(TOKEN, NOW + 9).id == KEY.id
    assert reason_of(ring, TOKEN, NOW + 10) == "key-expired"
    assert reason_of(ring, KEY.digest, NOW) == "key-unknown"


def test_revoking_shuts_out_the_retired_secret_too() -> None:
    fresh = mint(KEY.id).token.encode()
    retired = [RetiredSecret(digest=KEY.digest, expires_at=NOW + 10)]
    ring = ring_of(changed(digest=digest_of(fresh, PEPPER), retired=retired, revoked_at=NOW))
    assert [reason_of(ring, token) for token in (fresh, TOKEN)] == ["key-revoked", "key-revoked"]


def test_a_key_whose_tenant_is_gone_is_unknown() -> None:
    assert reason_of(KeyRing([KEY], [TenantRecord(name="other")], PEPPER), TOKEN) == "key-unknown"


def test_another_pepper_knows_no_key() -> None:
    ring = KeyRing([KEY], [TenantRecord(name="acme")], bytes(32))
    assert reason_of(ring, TOKEN) == "key-unknown"


def test_a_record_does_not_show_its_digest() -> None:
    assert repr(KEY) == f"KeyRecord({KEY.id}, acme)"


def test_the_pepper_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "keys.pepper"
    pepper = load_pepper(path)
    assert load_pepper(path) == pepper
    assert len(pepper) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["keys.pepper"]


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_damaged_pepper_is_an_error_and_not_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys.pepper"
    path.write_bytes(content)
    with pytest.raises(Platform, match="damaged"):
        load_pepper(path)
    assert path.read_bytes() == content
