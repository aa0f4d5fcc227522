"""Success, latency and TTFT per target and provider, from what the plane counted."""

from towplane.monitoring.health import Health, look_at_targets, sum_up
from towplane.monitoring.series import Sample
from towplane.monitoring.snapshot import Snapshot, snap


def attempts(target: str, outcome: str, count: float) -> Sample:
    return Sample("towplane_attempts_total", ("m", target, "first", outcome), count)


def seconds(target: str, counts: dict[int, int]) -> Sample:
    buckets = [counts.get(place, 0) for place in range(15)]
    return Sample("towplane_target_seconds", (target,), buckets=buckets, total=1.0)


def two(*later: Sample) -> list[Snapshot]:
    return [snap(0.0, 0.0, [attempts("a", "ok", 5.0)]), snap(300.0, 300.0, later)]


def test_success_is_a_share_of_the_attempts_with_a_verdict() -> None:
    """A caller's own mistake and a client that left are no failures."""
    shots = two(
        attempts("a", "ok", 5.0 + 6.0),
        attempts("a", "refused", 1.0),
        attempts("a", "cancelled", 9.0),
        attempts("a", "server_error", 2.0),
        attempts("a", "rate_limited", 1.0),
    )
    found = look_at_targets(shots)["a"]
    assert (found.attempts, found.success, found.limited) == (19, 0.7, 0.1)
    assert found.failures == {"rate_limited": 1, "server_error": 2}
    assert found.window_s == 300.0


def test_what_was_not_measured_is_unknown() -> None:
    assert look_at_targets([]) == {}
    found = look_at_targets(two(attempts("a", "ok", 5.0)))["a"]
    assert found == Health(window_s=300.0)
    assert found.success is None
    assert found.ttft_p95 is None


def test_a_provider_is_its_targets_together() -> None:
    shots = two(
        attempts("a", "ok", 5.0 + 1.0),
        attempts("b", "timeout", 3.0),
        seconds("a", {0: 1}),
        seconds("b", {5: 3}),
    )
    found = sum_up(shots, {"p": ["a", "b"], "q": ["c"]})
    assert (found["p"].attempts, found["p"].success) == (4, 0.25)
    assert found["p"].seconds_p50 is not None
    assert 1.0 < found["p"].seconds_p50.value_s <= 2.0
    assert found["q"].success is None
