"""Every hostile request, in memory and in virtual time: as written, in bits, and byte by byte."""

from collections.abc import Iterator

import pytest

from towplane.document.plane import HttpLimits
from towplane.testing.hostile import LIMITS, REQUESTS
from towplane.testing.hostile.play import judge, play_in_memory, tag_of
from towplane.testing.memory import MemoryPlane, answer_well

_LIMITS = HttpLimits(
    headers=int(LIMITS["headers"]),
    header_bytes=int(LIMITS["header_bytes"]),
    body_bytes=int(LIMITS["body"]),
    header_timeout_s=LIMITS["header_timeout"],
    body_timeout_s=LIMITS["body_timeout"],
    idle_timeout_s=LIMITS["idle_timeout"],
)


@pytest.fixture(scope="module")
def plane() -> Iterator[MemoryPlane]:
    found = MemoryPlane(answer_well, limits=_LIMITS)
    yield found
    found.close()


@pytest.mark.parametrize("cut", [0, 7, 1], ids=["as written", "in bits", "byte by byte"])
@pytest.mark.parametrize("number", range(len(REQUESTS)), ids=[case.name for case in REQUESTS])
def test_a_hostile_request_comes_to_its_end(plane: MemoryPlane, number: int, cut: int) -> None:
    """Refused with the right status or closed, and upstream sees it once or not at all, however
    its bytes are cut into packets."""
    case, tag = REQUESTS[number], tag_of(number)
    plane.upstream_saw.clear()
    outcome = play_in_memory(case, plane, tag=tag, cut=cut)
    bodies = [bytes(message.body) for message in plane.upstream_saw]
    wrong = judge(case, outcome, len(bodies))
    assert wrong == []
    assert [body for body in bodies if b"smuggled" in body] == []
    assert (plane.errors, plane.malformed, plane.journal.twice) == ([], [], [])
    assert (plane.journal.open, plane.hall.exchanges) == ({}, {})
    assert plane.hall.connections == {}
