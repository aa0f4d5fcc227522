"""The ledger: every attempt once, whatever dies and whenever; sums are the sums of their rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.parts.errors import Conflict, Unsupported
from towplane.parts.storage import Database
from towplane.parts.usage import Detail
from towplane.tenants.cost import cost_nanousd
from towplane.tenants.events import Event, Opened, Progress, Settled
from towplane.tenants.journal import JournalWriter
from towplane.tenants.journal.layout import segment_name, segment_numbers
from towplane.tenants.ledger import Ledger, Only, Recovered
from towplane.tenants.ledger.schema import DETAILS, HEAD, open_schema
from towplane.tenants.migrations.run import configure, upgrade
from towplane.tenants.windows import Account
from towplane.testing.events import NOON, opened, settled

SEGMENT = 128 * 1024
NOW = NOON + 3600
ENCODE = msgspec.json.Encoder().encode
SUMS = (
    "count(*), sum(usage = 'measured'), sum(usage = 'estimated'), sum(usage = 'absent'), "
    "sum(cost_nanousd IS NULL AND usage <> 'absent'), coalesce(sum(input), 0), "
    "coalesce(sum(cached_input), 0), coalesce(sum(output), 0), coalesce(sum(cost_nanousd), 0), "
    + ", ".join(f"coalesce(sum({name}), 0)" for name in DETAILS)
)
PLAIN = "standard", "", *(None,) * len(DETAILS)
"""The service class, the credential and the details of an attempt that had nothing special."""


class Died(Exception):
    """The process ends here."""


class MortalDatabase(Database):
    """A database whose process dies around the next commit, if told so."""

    dies: Literal["", "before", "after"] = ""

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        dies, self.dies = self.dies, ""
        with super().write() as connection:
            yield connection
            if dies == "before":
                raise Died
        if dies == "after":
            raise Died


class World:
    """A data_dir with a worker that writes and a plane that folds; both may die."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "journal"
        self.database = MortalDatabase(folder / "ledger.sqlite")
        self.ledger = Ledger(self.database, self.root)
        self.lives = 0
        self.writer = self._begin()

    def _begin(self) -> JournalWriter:
        self.lives += 1
        return JournalWriter(self.root / f"life-{self.lives:04d}", segment_bytes=SEGMENT)

    def kill_worker(self) -> str:
        """The worker dies; the next begins. Returns the name of the dead."""
        dead = self.writer
        dead.close()
        self.writer = self._begin()
        return dead.incarnation

    def restart_plane(self) -> None:
        self.ledger = Ledger(self.database, self.root)

    def fold_all(self) -> None:
        while not self.ledger.fold().is_end:
            pass

    def end(self) -> None:
        """Everybody stops; the next start recovers."""
        self.writer.close()
        self.restart_plane()
        self.ledger.recover_dead(NOW)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.database.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]

    def attempts(self) -> list[tuple[Any, ...]]:
        return self.rows("SELECT * FROM attempts ORDER BY id")

    def assert_sums(self) -> None:
        """Σ attempts = Σ usage_by_day, for every day, tenant, key, model and target."""
        by_hand = self.rows(
            "SELECT date(at_us / 1000000, 'unixepoch') AS day, tenant, key, model, target, "
            f"service, sum(id LIKE '%.1'), {SUMS} FROM attempts "
            "GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6"
        )
        order = "day, tenant, key, model, target, service"
        kept = self.rows(f"SELECT * FROM usage_by_day ORDER BY {order}")
        assert kept == by_hand


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.writer.close()
    made.database.close()


@contextmanager
def a_world() -> Iterator[World]:
    with TemporaryDirectory() as folder:
        made = World(Path(folder))
        yield made
        made.writer.close()
        made.database.close()


# A history: attempts of several tenants, days and prices, each with its own way to end.


class Life(NamedTuple):
    """One attempt: its beginning, its middle and, maybe, its end."""

    opened: Opened
    progress: list[int]
    end: Settled | None

    def events(self) -> list[Event]:
        middle = [Progress(self.opened.id, output) for output in self.progress]
        return [self.opened, *middle, *([] if self.end is None else [self.end])]


unknown_or_tokens = st.none() | st.integers(0, 2**31)
details = st.none() | st.builds(
    Detail,
    cache_write=st.integers(0, 2**31),
    reasoning=st.integers(0, 3),
    searches=st.integers(0, 1),
    service=st.sampled_from(["standard", "priority", "provisioned"]),
)


@st.composite
def lives(draw: st.DrawFn) -> list[Life]:
    made = []
    for number in range(draw(st.integers(1, 8))):
        attempt = f"r{number // 2:03d}.{number % 2 + 1}"
        begin = opened(
            attempt,
            at=NOON + draw(st.sampled_from([-86_400.0, 0.0, 43_199.5, 43_200.0])),
            tenant=draw(st.sampled_from(["acme", "globex"])),
            key=draw(st.sampled_from(["k1", "k2"])),
            price=draw(st.sampled_from([None, (1_000_000, 1, 2_000_001)])),
            input_estimate=draw(st.integers(0, 2**31)),
        )
        usage = draw(st.sampled_from(["measured", "estimated", "absent"]))
        end = settled(
            attempt,
            at=begin.at + 100_000,
            usage=usage,
            final=draw(st.booleans()),
            input=draw(unknown_or_tokens),
            output=draw(unknown_or_tokens),
            detail=draw(details),
            credential=draw(st.sampled_from([None, "one/0", "one/1"])),
            cost_nanousd=None if usage == "absent" else draw(st.none() | st.integers(0, 2**53)),
        )
        progress = draw(st.lists(st.integers(1, 2**31), max_size=2).map(sorted))
        made.append(Life(begin, progress, draw(st.sampled_from([None, end, end]))))
    return made


steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 7)),
        st.tuples(st.just("append"), st.integers(0, 1)),
        st.tuples(st.just("again"), st.integers(0, 20)),
        st.tuples(st.just("fold"), st.integers(1, 9)),
        st.tuples(st.sampled_from(["die before", "die after"]), st.integers(1, 9)),
        st.tuples(st.sampled_from(["kill", "kill and die", "restart"]), st.just(0)),
    ),
    max_size=40,
)


def walk(world: World, history: list[Life], todo: list[tuple[str, int]]) -> list[Event]:
    """Take the steps; returns every event that some writer appended, once."""
    waiting = [life.events() for life in history]
    written: list[Event] = []
    lately: list[Event] = []
    for step, number in todo:
        if step == "append" and (events := waiting[number % len(waiting)]):
            event = events.pop(0)
            world.writer.append(event)
            written.append(event)
            lately.append(event)
        elif step == "again" and lately:
            world.writer.append(lately[number % len(lately)])
        elif step == "fold":
            world.ledger.fold(number)
        elif step == "restart":
            world.restart_plane()
        elif step.startswith("die"):
            world.database.dies = "before" if step == "die before" else "after"
            try:
                world.ledger.fold(number)
            except Died:
                world.restart_plane()
        elif step.startswith("kill"):
            # What was running in a worker died with it.
            begun = {event.id for event in written}
            waiting = [[] if events and events[0].id in begun else events for events in waiting]
            lately = []
            dead = world.kill_worker()
            world.database.dies = "before" if step == "kill and die" else ""
            try:
                world.ledger.recover(dead, NOW)
            except Died:
                world.restart_plane()
        world.database.dies = ""
    return written


def expected(written: list[Event]) -> dict[str, tuple[str, str, int | None, int | None]]:
    """What the ledger must say of each attempt, told from the events alone."""
    begun = {event.id: event for event in written if isinstance(event, Opened)}
    output: dict[str, int] = {}
    told: dict[str, tuple[str, str, int | None, int | None]] = {}
    for event in written:
        if isinstance(event, Progress):
            output[event.id] = max(event.output, output.get(event.id, 0))
        elif isinstance(event, Settled):
            told[event.id] = (event.outcome, event.usage, event.output, event.cost_nanousd)
    for attempt, begin in begun.items():
        if attempt not in told:
            tokens = output.get(attempt, 0)
            cost = begin.price and cost_nanousd(begin.price, begin.input_estimate, 0, tokens)
            told[attempt] = ("crashed", "estimated", tokens, cost)
    return told


@settings(max_examples=60, deadline=None)
@given(lives(), steps)
def test_any_interleaving_of_folds_and_deaths_yields_each_attempt_once(
    history: list[Life], todo: list[tuple[str, int]]
) -> None:
    with a_world() as world:
        written = walk(world, history, todo)
        world.end()
        found = world.rows("SELECT id, outcome, usage, output, cost_nanousd FROM attempts")
        assert {id_: tuple(rest) for id_, *rest in found} == expected(written)
        world.assert_sums()
        assert world.ledger.running() == world.ledger.lag() == 0
        assert world.ledger.damage() == (0, 0)
        assert list(world.root.iterdir()) == []


@settings(max_examples=30, deadline=None)
@given(lives(), st.integers(1, 5))
def test_a_replayed_journal_gives_the_same_ledger(history: list[Life], limit: int) -> None:
    tables = []
    for most in (limit, 10_000):
        with a_world() as world:
            for life in history:
                for event in life.events():
                    world.writer.append(event)
            while not world.ledger.fold(most).is_end:
                pass
            world.end()
            tables.append((world.attempts(), world.rows("SELECT * FROM usage_by_day")))
    assert tables[0] == tables[1]


@settings(max_examples=60, deadline=None)
@given(lives(), st.data())
def test_a_journal_cut_at_any_byte_folds_to_a_prefix(history: list[Life], data: Any) -> None:
    events = [event for life in history for event in life.events()]
    text = b"".join(ENCODE(event) + b"\n" for event in events)
    cut = data.draw(st.integers(0, len(text)))
    whole = text[:cut].count(b"\n")
    with a_world() as world:
        dead = world.root / "dead"
        dead.mkdir()
        (dead / segment_name(1)).write_bytes(text[:cut] + bytes(100))
        world.ledger.recover("dead", NOW)
        found = world.rows("SELECT id, outcome, usage, output, cost_nanousd FROM attempts")
        assert {id_: tuple(rest) for id_, *rest in found} == expected(events[:whole])
        world.assert_sums()


@settings(max_examples=40, deadline=None)
@given(lives(), st.data())
def test_damage_in_a_journal_takes_no_other_attempt_with_it(history: list[Life], data: Any) -> None:
    lines = [ENCODE(event) for life in history for event in life.events()]
    place = data.draw(st.integers(0, len(lines) - 1))
    hurt = msgspec.json.decode(lines[place])[1]
    lines[place] = data.draw(st.binary(max_size=50)).replace(b"\n", b"") + b"\xff"
    with a_world() as world:
        (world.root / "dead").mkdir()
        (world.root / "dead" / segment_name(1)).write_bytes(b"\n".join(lines) + b"\n")
        world.ledger.recover("dead", NOW)
        found = {row[0] for row in world.rows("SELECT id FROM attempts")}
        assert found | {hurt} == {life.opened.id for life in history}
        assert world.ledger.damage()[0] == 1
        world.assert_sums()


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize("repeated", [[0], [1], [2], [0, 1, 2, 0, 1, 2], [2, 1, 0]])
def test_an_event_written_twice_is_one_row(world: World, repeated: list[int], limit: int) -> None:
    events: list[Event] = [opened("r.1"), Progress("r.1", 8), settled("r.1")]
    for event in [*events, *(events[place] for place in repeated)]:
        world.writer.append(event)
    while not world.ledger.fold(limit).is_end:
        pass
    assert world.ledger.running() == 0
    world.end()
    assert [row[0] for row in world.attempts()] == ["r.1"]
    assert world.ledger.damage() == (0, 0)
    world.assert_sums()


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_progress_never_goes_back(world: World, limit: int) -> None:
    for event in (opened("r.1"), Progress("r.1", 8), Progress("r.1", 16), Progress("r.1", 8)):
        world.writer.append(event)
    while not world.ledger.fold(limit).is_end:
        pass
    world.end()
    assert world.rows("SELECT output FROM attempts") == [(16,)]


def test_an_attempt_is_open_until_it_is_settled(world: World) -> None:
    world.writer.append(opened("r.1"))
    world.fold_all()
    assert (world.ledger.running(), world.attempts()) == (1, [])
    world.writer.append(settled("r.1"))
    world.fold_all()
    assert (world.ledger.running(), len(world.attempts())) == (0, 1)


def test_a_row_says_all_that_the_events_said(world: World) -> None:
    world.writer.append(opened("r.2", cause="fallback"))
    world.writer.append(settled("r.2"))
    world.fold_all()
    begun = "acme", "k1", "small", "embedded/0", "small-q4", "fallback"
    ended = "ok", "measured", 1, 200, 90, 10, 20, 125, 12_500, 1_500_000
    assert world.attempts() == [("r.2", 1_795_435_200_000_000, *begun, *ended, *PLAIN, 125)]


def test_a_row_says_what_was_special(world: World) -> None:
    detail = Detail(1, 2, 3, 4, 5, 6, 7, 8, 9, "priority")
    world.writer.append(opened("r.1"))
    world.writer.append(settled("r.1", detail=detail, credential="bedrock/1"))
    world.fold_all()
    names = ", ".join(DETAILS)
    (row,) = world.rows(f"SELECT service, credential, {names} FROM attempts")
    assert row == ("priority", "bedrock/1", 1, 2, 3, 4, 5, 6, 7, 8, 9)
    (told,) = world.ledger.usage("service")
    assert (told.name, told.cache_write_tokens, told.reasoning_tokens, told.searches) == (
        "priority",
        1,
        3,
        9,
    )
    world.assert_sums()


def test_a_class_alone_needs_no_row_of_details(world: World) -> None:
    world.writer.append(opened("r.1"))
    world.writer.append(settled("r.1", detail=Detail(service="flex")))
    world.fold_all()
    assert world.rows("SELECT count(*) FROM attempt_details") == [(0,)]
    assert world.rows("SELECT service FROM attempts") == [("flex",)]


def test_a_row_leaves_out_what_nobody_said(world: World) -> None:
    numbers = ("status", "input", "cached_input", "output", "cost_nanousd", "ttft_ms")
    world.writer.append(opened("r.1"))
    world.writer.append(settled("r.1", usage="absent", **dict.fromkeys(numbers)))
    world.fold_all()
    numbers_and_rest = (*(None,) * 6, 1_500_000, *PLAIN, None)
    assert world.attempts()[0][11:] == numbers_and_rest
    world.assert_sums()


def test_a_large_batch_with_repeated_events_is_one_row_each(world: World) -> None:
    events: list[Event] = []
    for number in range(700):
        attempt = f"r{number:04d}.1"
        events += [opened(attempt, tenant=f"t{number % 3}"), settled(attempt, output=number)]
    for event in [*events[:900], *events[300:], *events[:10]]:
        world.writer.append(event)
    world.fold_all()
    assert [row[0] for row in world.attempts()] == sorted({event.id for event in events})
    assert (world.ledger.running(), world.ledger.damage()) == (0, (0, 0))
    world.assert_sums()


def test_names_that_were_rolled_back_get_a_number_again(world: World) -> None:
    world.writer.append(opened("r.1", tenant="late"))
    world.writer.append(settled("r.1"))
    world.database.dies = "before"
    with pytest.raises(Died):
        world.ledger.fold()
    world.fold_all()
    assert [row[2] for row in world.attempts()] == ["late"]
    world.assert_sums()


def test_spend_belongs_to_the_day_on_which_the_attempt_was_opened(world: World) -> None:
    world.writer.append(opened("r.1", at=NOON + 43_199))
    world.writer.append(settled("r.1", at=NOON + 43_201))
    world.fold_all()
    acme = Account("tenant", "acme")
    assert [row.name for row in world.ledger.usage("day")] == ["2026-11-23"]
    spent = [world.ledger.spent(acme, window) for window in ("2026-11-23", "2026-11-24", "total")]
    assert spent == [125, 0, 125]


def test_every_account_and_window_has_its_own_sum(world: World) -> None:
    moments = {"r1.1": NOON, "r2.1": NOON - 86_400, "r3.1": NOON - 30 * 86_400, "r4.1": NOON}
    for attempt, at in moments.items():
        key = "k2" if attempt == "r4.1" else "k1"
        world.writer.append(opened(attempt, at=at, key=key))
        world.writer.append(settled(attempt))
    world.fold_all()
    acme, k1, k2 = Account("tenant", "acme"), Account("key", "k1"), Account("key", "k2")
    today, month = "2026-11-23", "2026-11"
    assert world.ledger.balances(NOON) == {
        (acme, today): 250,
        (acme, month): 375,
        (acme, "total"): 500,
        (k1, today): 125,
        (k1, month): 250,
        (k1, "total"): 375,
        (k2, today): 125,
        (k2, month): 125,
        (k2, "total"): 125,
    }
    for (account, window), want in world.ledger.balances(NOON).items():
        assert world.ledger.spent(account, window) == want


def test_what_a_worker_spent_is_known_for_its_leases(world: World) -> None:
    world.writer.append(opened("r.1"))
    world.writer.append(settled("r.1"))
    first = world.kill_worker()
    world.writer.append(opened("s.1"))
    world.writer.append(Progress("s.1", 7))
    second = world.kill_worker()
    assert world.ledger.recover(first, NOW) == Recovered(first, 0, 0)
    assert world.ledger.recover(second, NOW) == Recovered(second, 1, 114)
    for incarnation, want in ((first, 125), (second, 114)):
        spent = world.ledger.spent_by_incarnation(incarnation)
        assert len(spent) == 6
        assert set(spent.values()) == {want}
        assert spent[Account("key", "k1"), "2026-11"] == want


def test_unknown_cost_is_unknown_and_counted(world: World) -> None:
    for attempt, tenant, changes in (
        ("a.1", "priced", {}),
        ("a.2", "priced", {"cost_nanousd": None}),
        ("b.1", "unpriced", {"cost_nanousd": None}),
        ("c.1", "absent", {"usage": "absent", "input": None, "output": None, "cost_nanousd": None}),
        ("d.1", "free", {"cost_nanousd": 0}),
    ):
        world.writer.append(opened(attempt, tenant=tenant))
        world.writer.append(settled(attempt, **changes))
    world.fold_all()
    rows = {row.name: (row.cost_nanousd, row.unpriced) for row in world.ledger.usage("tenant")}
    assert rows == {
        "priced": (125, 1),
        "unpriced": (None, 1),
        "absent": (None, 0),
        "free": (0, 0),
    }


def test_usage_is_told_by_spend_and_days_ascend(world: World) -> None:
    for number, (tenant, at, cost) in enumerate(
        [("a", NOON, 1), ("b", NOON - 86_400, 3), ("c", NOON - 86_400, 3), ("d", NOON, 2)]
    ):
        world.writer.append(opened(f"r{number}.1", tenant=tenant, at=at, model=f"m-{tenant}"))
        world.writer.append(settled(f"r{number}.1", cost_nanousd=cost))
    world.fold_all()
    usage = world.ledger.usage
    assert [row.name for row in usage("tenant")] == ["b", "c", "d", "a"]
    assert [row.name for row in usage("day")] == ["2026-11-22", "2026-11-23"]
    assert [row.name for row in usage("tenant", since="2026-11-23")] == ["d", "a"]
    assert [row.name for row in usage("tenant", until="2026-11-22")] == ["b", "c"]
    assert [row.name for row in usage("model", only=Only(tenant="c"))] == ["m-c"]
    assert [row.name for row in usage("tenant", only=Only(model="m-d"))] == ["d"]


def test_a_request_with_retries_is_one_request(world: World) -> None:
    for attempt in ("r.1", "r.2", "r.3", "s.1"):
        world.writer.append(opened(attempt))
        world.writer.append(settled(attempt))
    world.fold_all()
    (row,) = world.ledger.usage("tenant")
    assert (row.requests, row.attempts) == (2, 4)


def test_the_last_attempt_of_a_crashed_request_decided_it(world: World) -> None:
    world.writer.append(opened("answered.1"))
    world.writer.append(settled("answered.1"))
    for attempt in ("answered.2", "open.2", "open.10"):
        world.writer.append(opened(attempt))
    world.end()
    final = dict(world.rows("SELECT id, final FROM attempts WHERE outcome = 'crashed'"))
    assert final == {"answered.2": 0, "open.2": 0, "open.10": 1}


def test_the_duration_of_a_crashed_attempt_is_unknown(world: World) -> None:
    world.writer.append(opened("r.1"))
    world.end()
    assert world.rows("SELECT duration_us, ttft_us FROM attempts") == [(None, None)]


def test_a_living_worker_is_not_recovered(world: World) -> None:
    world.writer.append(opened("r.1"))
    with pytest.raises(Conflict):
        world.ledger.recover(world.writer.incarnation, NOW)
    assert world.ledger.recover_dead(NOW) == []
    world.fold_all()
    assert world.ledger.running() == 1


def test_what_a_vanished_journal_left_open_is_settled(world: World) -> None:
    world.writer.append(opened("r.1"))
    world.fold_all()
    dead = world.kill_worker()
    for path in (world.root / dead).iterdir():
        path.unlink()
    (world.root / dead).rmdir()
    world.restart_plane()
    assert [found.attempts for found in world.ledger.recover_dead(NOW)] == [1]


def test_segments_go_when_they_are_folded_and_not_before(world: World) -> None:
    for number in range(2200):
        world.writer.append(opened(f"r{number:04d}.1"))
    there = segment_numbers(world.writer.directory)
    assert len(there) == 3
    world.ledger.fold(1200)
    assert segment_numbers(world.writer.directory) == there[1:]
    world.fold_all()
    assert segment_numbers(world.writer.directory) == there[-1:]
    assert world.ledger.running() == 2200


def test_the_lag_is_what_is_not_folded_yet(world: World) -> None:
    for number in range(700):
        world.writer.append(opened(f"r{number:04d}.1"))
    assert world.ledger.lag() == 700
    world.ledger.fold(300)
    assert world.ledger.lag() == 400


def test_an_end_without_a_beginning_is_counted(world: World) -> None:
    world.writer.append(settled("lost.1"))
    world.writer.append(Progress("lost.2", 3))
    assert world.ledger.fold().orphans == 1
    assert world.ledger.damage() == (0, 1)
    assert world.attempts() == []


def test_pruning_takes_old_attempts_and_leaves_the_sums(world: World) -> None:
    for number in range(10):
        world.writer.append(opened(f"r{number}.1", at=NOON + number))
        world.writer.append(settled(f"r{number}.1"))
    world.fold_all()
    sums = world.ledger.usage("day")
    assert [world.ledger.prune(NOON + 5, most=3) for _ in range(3)] == [3, 2, 0]
    assert [row[0] for row in world.attempts()] == [f"r{number}.1" for number in range(5, 10)]
    assert world.ledger.usage("day") == sums


def test_pruning_takes_the_details_with_it(world: World) -> None:
    for number in range(3):
        world.writer.append(opened(f"r{number}.1", at=NOON + number))
        world.writer.append(settled(f"r{number}.1", detail=Detail(reasoning=1)))
    world.fold_all()
    assert world.ledger.prune(NOON + 2) == 2
    assert world.rows("SELECT id FROM attempt_details") == [("r2.1",)]


def test_pruning_finds_what_is_old_of_every_worker(world: World) -> None:
    prefixes = ["1m84akfr8ba746fq", "1m84anxzwr7zve7k"]
    for prefix in prefixes:
        for number in range(4):
            attempt = f"{prefix}{number:010x}.1"
            world.writer.append(opened(attempt, at=NOON + number))
            world.writer.append(settled(attempt))
    world.fold_all()
    assert [world.ledger.prune(NOON + 2, most=3) for _ in range(3)] == [3, 1, 0]
    kept = [f"{prefix}{number:010x}.1" for prefix in prefixes for number in (2, 3)]
    assert [row[0] for row in world.attempts()] == kept


def test_two_planes_on_one_database_fold_each_event_once(world: World) -> None:
    other = Ledger(world.database, world.root)
    world.writer.append(opened("r.1"))
    world.ledger.fold()
    world.writer.append(settled("r.1"))
    assert other.fold().settled == 1
    assert world.ledger.fold().events == 0
    assert [world.ledger.fold().events, other.fold().events] == [0, 0]
    assert len(world.attempts()) == 1
    world.assert_sums()


# The schema.


def schema_of(database: Database) -> set[tuple[str, str]]:
    with database.read() as connection:
        rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql <> ''")
        return {(name, "".join(sql.split())) for name, sql in rows}


def test_a_new_database_and_a_migrated_one_are_the_same(tmp_path: Path) -> None:
    new, migrated = Database(tmp_path / "new.sqlite"), Database(tmp_path / "old.sqlite")
    open_schema(new)
    upgrade(migrated)
    assert schema_of(new) == schema_of(migrated)
    open_schema(migrated)


def test_a_migration_keeps_every_attempt(tmp_path: Path) -> None:
    database = Database(tmp_path / "old.sqlite")
    upgrade(database, "0001")
    row = ("r.1", 1, "acme", "k1", "m", "p/m", "m", "first", "ok", "measured", 1, 200)
    rows = [(*row, 90, None, 20, None, None, 5), ("r.2", *row[1:], 7, 0, 2, 3, 4, None)]
    with database.write() as connection:
        marks = ",".join("?" * 18)
        connection.exec_driver_sql(f"INSERT INTO attempts VALUES ({marks})", rows)
    open_schema(database)
    with database.read() as connection:
        found = connection.exec_driver_sql("SELECT * FROM attempts ORDER BY id").all()
    assert [tuple(one) for one in found] == [(*row, *PLAIN, row[15]) for row in rows]
    database.close()


def test_a_migration_keeps_every_sum(tmp_path: Path) -> None:
    database = Database(tmp_path / "old.sqlite")
    upgrade(database, "0002")
    row = ("2026-11-23", "acme", "k1", "m", "p/m", *range(1, 11))
    with database.write() as connection:
        marks = ",".join("?" * 15)
        connection.exec_driver_sql(f"INSERT INTO usage_by_day VALUES ({marks})", [row])
    open_schema(database)
    with database.read() as connection:
        found = connection.exec_driver_sql("SELECT * FROM usage_by_day").all()
    assert [tuple(one) for one in found] == [(*row[:5], "standard", *row[5:], *(0,) * 9)]
    database.close()


def test_marks_of_other_depths_are_cut_off(tmp_path: Path) -> None:
    database = Database(tmp_path / "old.sqlite")
    upgrade(database, "0006")
    rows = [("r.1", 40, 7, 8, b"1234" * 36), ("r.2", 9, 0, 0, b"abcd" * 9), ("r.3", 512, 0, 0, b"")]
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO attempt_marks VALUES (?, ?, ?, ?, ?)", rows)
    open_schema(database)
    with database.read() as connection:
        found = connection.exec_driver_sql("SELECT * FROM attempt_marks ORDER BY id").all()
    assert [tuple(one) for one in found] == [(*rows[0][:4], b"1234" * 32), rows[1]]
    database.close()


def test_the_newest_migration_is_the_schema_in_force() -> None:
    from alembic.script import ScriptDirectory

    assert ScriptDirectory.from_config(configure()).get_current_head() == HEAD


def test_a_database_of_a_newer_version_is_left_alone(world: World) -> None:
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Unsupported, match="newer"):
        Ledger(world.database, world.root)
