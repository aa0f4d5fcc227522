"""Success, latency and TTFT per target and provider, from what the plane counted."""

from typing import Literal

import pytest

from towplane.api.health import HealthBy, health_rows, with_health
from towplane.api.pulse import Pulse
from towplane.api.views import PlaneStatus
from towplane.console.verdict import verdict
from towplane.monitoring.health import Health, look_at_targets, sum_up
from towplane.monitoring.series import Sample
from towplane.monitoring.snapshot import Snapshot, snap
from towplane.parts.clock import Clock
from towplane.testing.clock import FakeClock
from towplane.testing.views import START, FakePlaneView, a_status

CredentialState = Literal["ready", "parked", "missing"]


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


# ---- as the doors show it


async def _looked(view: FakePlaneView) -> Pulse:
    time = FakeClock(wall_s=START.timestamp())
    pulse = Pulse(view, Clock(time.monotonic, time.wall))
    for beat in range(150):
        view.serve_traffic(beat)
        await pulse.look()
        time.advance(2.0)
    return pulse


async def test_the_read_model_says_how_providers_and_their_models_do() -> None:
    view = FakePlaneView()
    pulse = await _looked(view)
    found = with_health(view.status(), pulse)
    spare, idle = found.providers
    assert spare.health is not None
    assert spare.health.success is not None
    assert 0.98 < spare.health.success < 1.0
    assert list(spare.health.failures) == ["rate_limited"]
    assert spare.health.ttft_p95 is not None
    assert idle.health == Health(window_s=spare.health.window_s)
    assert {one.name for one in found.targets if one.health} == {"embedded/0", "spare/gpt-large"}
    assert view.status().providers[0].health is None


async def test_before_the_first_look_nothing_is_known() -> None:
    view = FakePlaneView()
    found = with_health(view.status(), Pulse(view))
    assert [one.health for one in found.providers] == [None, None]


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("provider", ["eu", "spare"]),
        ("region", ["bedrock, eu-central-1", "openai, region unknown"]),
        ("model", ["anthropic.claude-large", "gpt-large"]),
        ("target", ["eu/anthropic.claude-large", "spare/gpt-large"]),
    ],
)
async def test_rows_are_grouped_by(by: HealthBy, names: list[str]) -> None:
    view = FakePlaneView()
    rows = health_rows(view.status(), await _looked(view), by)
    assert [row.name for row in rows] == names
    assert [row.health is not None and row.health.success is not None for row in rows] == [
        False,
        True,
    ]


def _provider(health: Health | None = None, *states: CredentialState) -> PlaneStatus:
    status = a_status()
    one = status.providers[0]
    one.health = health
    for credential, state in zip(one.credentials, states, strict=False):
        credential.state, credential.reason = state, "refused"
    return status


@pytest.mark.parametrize(
    ("status", "want"),
    [
        (_provider(), []),
        (_provider(Health(window_s=300.0, attempts=19, success=0.1)), []),
        (_provider(Health(window_s=300.0, attempts=400, success=0.96)), []),
        (
            _provider(
                Health(
                    window_s=300.0,
                    attempts=400,
                    success=0.9,
                    failures={"rate_limited": 30, "timeout": 10},
                )
            ),
            [("look", "spare: 90.0 % of 400 attempts in 5 min went well "
                      "(30 rate_limited, 10 timeout).")],
        ),
        (_provider(None, "parked"), [("look", "spare: spare#1 is parked: refused.")]),
        (_provider(None, "parked", "missing"), [("act", "spare: spare#1 is parked: refused.")]),
        (
            _provider(Health(window_s=300.0, attempts=40, success=0.25), "ready", "missing"),
            [("act", "spare: spare#2 is missing: refused; "
                     "25.0 % of 40 attempts in 5 min went well.")],
        ),
    ],
)  # fmt: skip
def test_an_unwell_provider_has_one_line(status: PlaneStatus, want: list[tuple[str, str]]) -> None:
    assert [(one.level, one.say) for one in verdict(status, None, START)] == want
