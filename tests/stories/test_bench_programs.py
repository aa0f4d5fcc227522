"""The benchmark's own programs: the load generator counts what the upstream sent."""

import shutil
from collections.abc import Iterator

import pytest

from programs import Load, Upstream, build, upstream

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


@pytest.fixture(scope="module")
def engine() -> Iterator[Upstream]:
    build()
    with upstream() as running:
        yield running


def test_every_event_of_every_stream_arrives(engine: Upstream) -> None:
    before = engine.stats()
    load = Load(connections=8, count=40, duration_s=20, stream=True, max_tokens=50)
    outcome = load.run(engine.port)
    after = engine.stats()
    assert (outcome.good, outcome.failed) == (40, 0)
    assert outcome.events == 40 * (50 + 3)  # the role, the finish and [DONE] come on top
    assert after["chunks"] - before["chunks"] == 40 * 50
    assert after["finished"] - before["finished"] == 40


def test_a_paced_stream_takes_its_time(engine: Upstream) -> None:
    load = Load(connections=4, count=4, duration_s=20, stream=True, max_tokens=20, pace=100)
    outcome = load.run(engine.port)
    assert outcome.latency_us is not None
    assert 190_000 <= outcome.latency_us.p50 < 2_000_000


@pytest.mark.parametrize("body_bytes", [300, 1024, 128 * 1024])
def test_requests_of_any_size_are_answered(engine: Upstream, body_bytes: int) -> None:
    outcome = Load(connections=4, count=50, duration_s=20, body_bytes=body_bytes).run(engine.port)
    assert (outcome.good, outcome.failed, outcome.unfinished) == (50, 0, 0)


def test_an_open_loop_sends_what_was_asked(engine: Upstream) -> None:
    outcome = Load(connections=8, rate=200, duration_s=0.5).run(engine.port)
    assert (outcome.sent, outcome.good) == (100, 100)


def test_a_stream_left_behind_is_counted_as_cancelled(engine: Upstream) -> None:
    before = engine.stats()["cancelled"]
    Load(connections=3, duration_s=0.3, stream=True, max_tokens=1000, pace=10).run(engine.port)
    assert engine.stats()["cancelled"] - before == 3


def test_a_refusing_server_is_an_error_with_its_words(engine: Upstream) -> None:
    load = Load(connections=1, count=1, duration_s=5, path="/nowhere")
    outcome = load.run(engine.port)
    assert (outcome.good, outcome.errors["status"]) == (0, 1)
    assert "not here" in outcome.first_error
