"""The replicas of engines: what is done about them, in tables and in virtual time."""

import asyncio
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.controller.loop import LOOK_AGAIN_S, Controller
from towplane.controller.status import ReplicaStatus
from towplane.document.plane import Plane
from towplane.engines.plan import SETTLE_S, backoff, due, plan, plan_stale, strikes
from towplane.engines.replica import Crash, Replica, Stale, State, Wanted
from towplane.engines.spec import EngineSpec, RestartSpec
from towplane.parts.clock import Clock
from towplane.targets.replicas import Key
from towplane.testing.clock import FakeClock
from towplane.testing.replicas import FakeTarget

NOW = 1000.0


def _spec(**changes: object) -> EngineSpec:
    fields: dict[str, object] = {"engine": "llama.cpp", "weights": "file:w.gguf", **changes}
    return EngineSpec(**fields)  # type: ignore[arg-type]  # a test's shorthand


def _wanted(**changes: object) -> Wanted:
    return Wanted(engine="e", spec=_spec(**changes), digest="new")


def _replica(index: int = 0, state: State = "ready", **changes: object) -> Replica:
    plain = Replica(
        engine="e",
        index=index,
        digest="new",
        state=state,
        since=NOW - 100,
        drain_s=20.0,
        progress_at=NOW,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # a test's shorthand


def _crashes(*ats: float, was_ready: bool = True) -> tuple[Crash, ...]:
    return tuple(Crash(at, was_ready, "exit 1") for at in ats)


@dataclass(frozen=True)
class Case:
    name: str
    wanted: Wanted | None
    observed: tuple[Replica, ...]
    want: tuple[str, ...]


NEVER_READY = _crashes(100, 400, 700, 900, 995, was_ready=False)

CASES = (
    Case("nothing wanted, nothing there", None, (), ()),
    Case("a wanted replica is started", _wanted(), (), ("start e/0: wanted",)),
    Case(
        "all missing ones start at once",
        _wanted(replicas=2),
        (),
        ("start e/0: wanted", "start e/1: wanted"),
    ),
    Case("what is as wanted is left alone", _wanted(), (_replica(),), ()),
    Case("one that starts is given time", _wanted(), (_replica(state="starting"),), ()),
    Case(
        "one that does not get ready is killed",
        _wanted(ready_within_s=99.0),
        (_replica(state="starting"),),
        ("kill e/0: it was not ready within 99 s",),
    ),
    Case(
        "but only once",
        _wanted(ready_within_s=99.0),
        (_replica(state="starting", doomed="slow"),),
        (),
    ),
    Case(
        "one that makes no progress is killed",
        _wanted(),
        (_replica(progress_at=NOW - 120, frozen_probes=3),),
        ("kill e/0: it made no progress for 120 s",),
    ),
    Case(
        "two silent probes are no stall, however long ago the last progress was",
        _wanted(),
        (_replica(progress_at=NOW - 500, frozen_probes=2),),
        (),
    ),
    Case(
        "a crashed one waits",
        _wanted(),
        (_replica(state="backing-off", crashes=_crashes(NOW - 0.4)),),
        (),
    ),
    Case(
        "and starts again",
        _wanted(),
        (_replica(state="backing-off", crashes=_crashes(NOW - 0.5)),),
        ("start e/0: again after crash 1",),
    ),
    Case(
        "too many crashes within the window are a crash loop",
        _wanted(),
        (_replica(state="backing-off", crashes=_crashes(900, 920, 940, 960, 980)),),
        ("give up e/0: 5 crashes, the last: exit 1",),
    ),
    Case(
        "crashes before the window do not count",
        _wanted(),
        (_replica(state="backing-off", crashes=_crashes(500, 920, 940, 960, 980)),),
        ("start e/0: again after crash 4",),
    ),
    Case(
        "starts that never became ready count, however long each took",
        _wanted(),
        (_replica(state="backing-off", crashes=NEVER_READY),),
        ("give up e/0: 5 crashes, the last: exit 1",),
    ),
    Case(
        "a final end is not tried again",
        _wanted(),
        (_replica(state="backing-off", crashes=_crashes(NOW), final="another CPU"),),
        ("give up e/0: another CPU; exit 1",),
    ),
    Case("what was given up stays down", _wanted(), (_replica(state="crash-loop"),), ()),
    Case(
        "what cannot start is given up with the reason",
        replace(_wanted(), problem="no weights"),
        (),
        ("give up e/0: no weights",),
    ),
    Case(
        "a changed engine starts beside the old one",
        _wanted(),
        (_replica(digest="old"),),
        ("start e/1: the document has changed",),
    ),
    Case(
        "the old one stays until the new one is ready",
        _wanted(),
        (_replica(digest="old"), _replica(1, "starting")),
        (),
    ),
    Case(
        "and goes then",
        _wanted(),
        (_replica(digest="old"), _replica(1)),
        ("drain e/0: the document has changed",),
    ),
    Case(
        "one at a time: no more than one process above what is wanted",
        _wanted(replicas=2),
        (_replica(digest="old"), _replica(1, digest="old")),
        ("start e/2: the document has changed",),
    ),
    Case(
        "one that backs off will have a process again, so it counts",
        _wanted(replicas=2),
        (
            _replica(digest="old"),
            _replica(1, digest="old"),
            _replica(2, "backing-off", crashes=_crashes(NOW)),
        ),
        (),
    ),
    Case(
        "the next one waits for the drained one",
        _wanted(replicas=2),
        (
            _replica(state="draining", digest="old", since=NOW),
            _replica(1, digest="old"),
            _replica(2),
        ),
        (),
    ),
    Case(
        "an old one that does not answer is not worth waiting for",
        _wanted(),
        (_replica(state="crash-loop", digest="old"),),
        ("forget e/0", "start e/1: wanted"),
    ),
    Case(
        "the old one stays when the new one cannot start",
        replace(_wanted(), problem="no weights"),
        (_replica(digest="old"),),
        ("give up e/1: no weights",),
    ),
    Case(
        "and when the new one is in a crash loop",
        _wanted(),
        (_replica(digest="old"), _replica(1, "crash-loop")),
        (),
    ),
    Case(
        "fewer replicas: the ready ones are kept",
        _wanted(replicas=1),
        (_replica(0, "starting"), _replica(1), _replica(2)),
        ("stop e/0: 1 wanted", "drain e/2: 1 wanted"),
    ),
    Case(
        "an engine that the document no longer has is drained",
        None,
        (_replica(),),
        ("drain e/0: the document no longer has it",),
    ),
    Case(
        "a drain lasts while requests run",
        _wanted(),
        (_replica(), _replica(1, "draining", since=NOW - 19, in_flight=2)),
        (),
    ),
    Case(
        "no longer than its time",
        _wanted(),
        (_replica(), _replica(1, "draining", since=NOW - 20, in_flight=2)),
        ("stop e/1: its drain of 20 s is over, 2 requests are cut",),
    ),
    Case(
        "an idle one is stopped as soon as everybody must have heard of the drain",
        _wanted(),
        (_replica(), _replica(1, "draining", since=NOW - SETTLE_S)),
        ("stop e/1: its requests are done",),
    ),
    Case(
        "not before",
        _wanted(),
        (_replica(), _replica(1, "draining", since=NOW - SETTLE_S / 2)),
        (),
    ),
    Case(
        "it is asked to stop once",
        _wanted(),
        (_replica(), _replica(1, "draining", is_stopping=True)),
        (),
    ),
    Case(
        "a stopped one is forgotten",
        _wanted(),
        (_replica(), _replica(1, "stopped")),
        ("forget e/1",),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_planner_does_just_what_is_due(case: Case) -> None:
    wanted = () if case.wanted is None else (case.wanted,)
    actions = plan(wanted, case.observed, NOW)
    assert tuple(str(action) for action in actions) == case.want


def test_engines_do_not_touch_each_other() -> None:
    other = replace(_wanted(), engine="f")
    actions = plan((_wanted(), other), (_replica(),), NOW)
    assert [str(action) for action in actions] == ["start f/0: wanted"]


STALE = Stale(engine="e", index=0, digest="new", pid=7, is_healthy=True)


@pytest.mark.parametrize(
    ("stale", "want"),
    [
        (STALE, "adopt e/0: process 7 of an earlier plane is as wanted"),
        (
            replace(STALE, digest="old"),
            "kill stale e/0: process 7 of an earlier plane, which is not as the document says",
        ),
        (
            replace(STALE, is_healthy=False),
            "kill stale e/0: process 7 of an earlier plane, which does not answer",
        ),
        (
            replace(STALE, engine="gone"),
            "kill stale gone/0: process 7 of an earlier plane, which the document no longer has",
        ),
    ],
)
def test_only_what_is_just_as_wanted_is_adopted(stale: Stale, want: str) -> None:
    assert [str(action) for action in plan_stale((_wanted(),), (stale,))] == [want]


# --- waiting and giving up


@given(
    first_s=st.floats(0.001, 10.0),
    longest_s=st.floats(0.001, 600.0),
    strike=st.integers(1, 10_000),
)
def test_waits_grow_up_to_the_longest(first_s: float, longest_s: float, strike: int) -> None:
    restart = RestartSpec(first_s=first_s, longest_s=longest_s)
    assert backoff(restart, strike) <= backoff(restart, strike + 1) <= longest_s
    assert backoff(restart, 1) == min(first_s, longest_s)


def _sum_gaps(gaps: list[tuple[float, bool]]) -> tuple[Crash, ...]:
    at, crashes = 0.0, []
    for gap, was_ready in gaps:
        at += gap
        crashes.append(Crash(at, was_ready, "exit 1"))
    return tuple(crashes)


_HISTORY = st.lists(st.tuples(st.floats(0.0, 100.0), st.booleans()), min_size=1, max_size=20).map(
    _sum_gaps
)


@given(crashes=_HISTORY, limit=st.integers(1, 8))
def test_it_gives_up_exactly_when_it_should(crashes: tuple[Crash, ...], limit: int) -> None:
    """At N crashes within the window, or N starts in a row without readiness; not before, and
    whenever it is asked."""
    restart = RestartSpec(give_up_after=limit)
    last = crashes[-1].at
    within = [crash for crash in crashes if crash.at >= last - restart.window_s]
    recent = crashes[-limit:]
    is_loop = len(within) >= limit or (
        len(recent) == limit and not any(crash.was_ready for crash in recent)
    )
    replica = _replica(state="backing-off", crashes=crashes)
    for later in (0.0, 1e6):
        actions = plan((_wanted(restart=restart),), (replica,), last + later)
        gives_up = any(str(action).startswith("give up") for action in actions)
        assert gives_up == is_loop


@given(crashes=_HISTORY)
def test_it_waits_until_the_restart_is_due(crashes: tuple[Crash, ...]) -> None:
    restart = RestartSpec(give_up_after=1000)
    wanted, replica = _wanted(restart=restart), _replica(state="backing-off", crashes=crashes)
    when = due(restart, crashes)
    assert when >= crashes[-1].at + backoff(restart, 1)
    assert 1 <= strikes(restart, crashes) <= len(crashes)
    assert not plan((wanted,), (replica,), when - 0.01)
    assert [str(a).split(":")[0] for a in plan((wanted,), (replica,), when)] == ["start e/0"]


# --- the whole loop in virtual time


class World:
    """The real loop over a target on which nothing runs."""

    def __init__(self, folder: Path, **spec: object) -> None:
        self._folder = folder
        self.clock = FakeClock()
        self.target = FakeTarget(self.clock.monotonic)
        self.announced: list[tuple[ReplicaStatus, ...]] = []
        self.in_flight: dict[str, int] = {}
        self.controller = Controller(
            self.plane(**spec),
            folder,
            self.announced.append,
            in_flight=lambda target: self.in_flight.get(target, 0),
            folder=folder,
            target=self.target,
            clock=Clock(self.clock.monotonic, self.clock.wall),
        )
        self.want(**spec)

    def plane(self, **spec: object) -> Plane:
        engine = _spec(**{"binary": str(self._folder / "llama-server"), **spec})
        return Plane(plane="p", engines={"e": engine} if spec.get("replicas", 1) else {})

    def want(self, **spec: object) -> None:
        self.wanted = int(str(spec.get("replicas", 1)))
        self.controller.apply(self.plane(**spec))

    async def step(self, seconds: float = 0.0) -> list[str]:
        self.clock.advance(seconds)
        return [str(action) for action in await self.controller.step()]

    def states(self) -> dict[str, str]:
        return {one.target: one.state for one in self.controller.status()}

    def make_all_ready(self) -> None:
        for key in self.target.living:
            self.target.become_ready(key)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        (path / "w.gguf").write_bytes(b"GGUF")
        (path / "llama-server").write_text("#!/bin/sh\n")
        (path / "llama-server").chmod(0o755)
        yield path


async def test_a_crash_loop_ends_in_a_verdict_with_growing_waits(folder: Path) -> None:
    world = World(folder)
    starts: list[float] = []
    while world.states().get("e/0") != "crash-loop":
        actions = await world.step(0.05)
        if any(action.startswith("start") for action in actions):
            starts.append(world.clock.monotonic())
            world.target.end(("e", 0), 1, lines=("boom",))
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert len(starts) == RestartSpec().give_up_after
    assert gaps == sorted(gaps)
    (status,) = world.controller.status()
    assert status.log_tail == ("boom",)
    assert status.reason == "5 crashes, the last: exit 1; its log ends: boom"
    for _ in range(100):
        assert await world.step(60.0) == []


async def test_somebody_can_say_try_again(folder: Path) -> None:
    world = World(folder)
    await world.step()
    world.target.end(("e", 0), -4, final="built for another CPU")
    assert await world.step() == ["give up e/0: built for another CPU; " + ILLEGAL]
    assert world.states() == {"e/0": "failed"}
    world.controller.retry("other")
    assert await world.step() == []
    world.controller.retry("e")
    assert await world.step() == ["start e/0: wanted"]


ILLEGAL = "signal 4 (SIGILL), illegal instruction: the program was built for another CPU"


async def test_a_draining_replica_is_announced_before_it_is_stopped(folder: Path) -> None:
    world = World(folder)
    await world.step()
    world.make_all_ready()
    await world.step()
    world.want(context=1024)
    assert await world.step() == ["start e/1: the document has changed"]
    world.in_flight = {"e/0": 3}
    world.target.become_ready(("e", 1))
    await world.step()
    assert {one.target: one.state for one in world.announced[-1]} == {
        "e/0": "draining",
        "e/1": "ready",
    }
    assert await world.step(10.0) == []
    world.in_flight = {}
    assert await world.step() == ["stop e/0: its requests are done"]
    assert await world.step() == ["forget e/0"]
    assert world.states() == {"e/1": "ready"}


async def test_what_does_not_change_the_process_replaces_nothing(folder: Path) -> None:
    world = World(folder)
    await world.step()
    world.make_all_ready()
    await world.step()
    world.want(drain_s=1.0, ready_within_s=5.0, restart=RestartSpec(first_s=9.0))
    assert await world.step() == []


async def test_a_process_that_cannot_be_had_is_a_crash(folder: Path) -> None:
    world = World(folder)
    world.target.refusal = OSError(12, "Cannot allocate memory")
    await world.step()
    (status,) = world.controller.status()
    assert (status.state, status.pid) == ("backing-off", None)
    assert "Cannot allocate memory" in status.reason
    world.target.refusal = None
    assert await world.step(1.0) == ["start e/0: again after crash 1"]


async def test_a_hung_replica_is_killed_and_comes_back(folder: Path) -> None:
    world = World(folder)
    await world.step()
    world.make_all_ready()
    await world.step()
    world.target.hang(("e", 0), since=world.clock.monotonic(), probes=24)
    assert await world.step(119.0) == []
    assert await world.step(1.0) == ["kill e/0: it made no progress for 120 s"]
    await world.step()
    (status,) = world.controller.status()
    assert (status.state, status.reason) == ("backing-off", "it made no progress for 120 s")
    assert await world.step(1.0) == ["start e/0: again after crash 1"]


async def test_a_change_is_announced_once(folder: Path) -> None:
    world = World(folder)
    await world.step()
    world.make_all_ready()
    for _ in range(5):
        await world.step(1.0)
    shown = [tuple(one.state for one in status) for status in world.announced]
    assert shown == [(), ("starting",), ("ready",)]


async def test_missing_weights_are_said_and_found_later(folder: Path) -> None:
    world = World(folder, weights="file:later.gguf")
    (action,) = await world.step()
    assert action.startswith("give up e/0: no weights at ")
    assert "next: put the file there" in action
    assert await world.step(LOOK_AGAIN_S) == []
    (folder / "later.gguf").write_bytes(b"GGUF")
    try:
        assert await world.step(LOOK_AGAIN_S) == ["forget e/0", "start e/1: wanted"]
    finally:
        (folder / "later.gguf").unlink()


async def test_stopping_the_loop_leaves_no_process(folder: Path) -> None:
    world = World(folder, replicas=3)
    await world.controller.start()
    await world.controller.stop()
    assert not world.target.living
    assert set(world.states().values()) == {"stopped"}


async def test_a_stale_process_is_adopted_in_its_place(folder: Path) -> None:
    world = World(folder)
    await world.step()
    digest = world.target.processes["e", 0].digest
    other = World(folder)
    other.target.stale = (replace(STALE, digest=digest), replace(STALE, index=1, digest="old"))
    await other.controller.start()
    assert other.target.log == ["adopt e/0", "kill stale e/1"]
    other.make_all_ready()
    await other.step()
    assert other.states() == {"e/0": "ready"}
    await other.controller.stop()


_EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.floats(0.0, 3.0)),
        st.tuples(st.just("ready"), st.integers(0, 3)),
        st.tuples(st.just("crash"), st.integers(0, 3)),
        st.tuples(st.just("scale"), st.integers(0, 3)),
        st.tuples(st.just("change"), st.integers(1, 3)),
        st.tuples(st.just("busy"), st.integers(0, 3)),
        st.tuples(st.just("stubborn"), st.integers(0, 1)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(events=_EVENTS)
def test_whatever_happens_the_laws_of_replicas_hold(
    folder: Path, events: list[tuple[str, float]]
) -> None:
    """Never two processes for one replica (the target refuses that), at most one that does not
    drain above what is wanted or was there; what answers is taken away only when enough others
    answer; in the end all is as wanted."""
    asyncio.run(_live_through(World(folder), events))


async def _live_through(world: World, events: list[tuple[str, float]]) -> None:
    spec: dict[str, object] = {"replicas": 1, "context": 1}
    for event, number in events:
        if event == "pass":
            world.clock.advance(number)
        elif event in ("scale", "change"):
            spec["replicas" if event == "scale" else "context"] = int(number)
            world.want(**spec)
        elif event == "busy":
            world.in_flight = dict.fromkeys(("e/0", "e/1", "e/2", "e/3"), int(number))
        elif event == "stubborn":
            world.target.is_stubborn = bool(number)
        elif living := sorted(world.target.living):
            key = living[int(number) % len(living)]
            world.target.become_ready(key) if event == "ready" else world.target.end(key, 1)
        await _step_lawfully(world)
    world.target.relent()
    world.in_flight = {}
    world.controller.retry()
    for _ in range(40):
        world.make_all_ready()
        await _step_lawfully(world, 35.0)
    assert list(world.states().values()) == ["ready"] * world.wanted
    assert len({one.digest for one in world.target.processes.values()}) <= 1


async def _step_lawfully(world: World, seconds: float = 0.0) -> None:
    living = _wanted_living(world)
    before = _serving(world)
    actions = await world.step(seconds)
    assert _wanted_living(world) <= max(living, world.wanted + 1)
    if any(action.startswith("drain") for action in actions):
        assert len(_serving(world)) >= min(len(before), world.wanted)


def _wanted_living(world: World) -> int:
    states = world.states()
    return sum(states.get(f"{key[0]}/{key[1]}") != "draining" for key in world.target.living)


def _serving(world: World) -> set[Key]:
    return {
        (one.engine, one.replica)
        for one in world.controller.status()
        if one.state == "ready" and world.target.is_ready((one.engine, one.replica))
    } | {
        key
        for key in world.target.living
        if world.target.is_ready(key) and world.states().get(f"{key[0]}/{key[1]}") == "starting"
    }
