"""Yesterday's traffic: what is kept of prompts, and what a replay makes of it."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.cli.main import run
from towplane.parts.ids import PREFIX_CHARS
from towplane.parts.storage import Database
from towplane.routing.demand import Demand
from towplane.routing.keys import ENDS, block_keys, prompt_salt
from towplane.routing.marks import MARK_BYTES, Marker, split_marks
from towplane.routing.spec import Prefix
from towplane.simulation.arrival import Arrival
from towplane.simulation.rebuilding import Rebuilt
from towplane.simulation.replay import replay, survey
from towplane.tenants.events import Event, Marked, Opened
from towplane.tenants.journal import JournalWriter
from towplane.tenants.ledger import Ledger
from towplane.testing.events import NOON, opened, settled
from towplane.testing.fleet import Fleet, route, target
from towplane.testing.wire import post, usage, whole

PEPPER = b"p" * 32
BLOCK = 16
SLACK = 64 + 32 + BLOCK + 32
"""Tokens: a block of bytes that is not whole, half a one that is spread, a block of the engine, and
what stands between the turns."""
SECRETS = ("swordfish", "Wanda's pills")


def alike(one: Any, two: Any) -> int:
    """How many leading members are equal."""
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one, two, strict=False))))


class Books(NamedTuple):
    """A ledger in a folder, with a worker that writes."""

    folder: Path
    database: Database
    ledger: Ledger
    writer: JournalWriter

    @property
    def path(self) -> Path:
        return self.folder / "ledger.sqlite"

    def fold(self, *events: Event, limit: int = 8000) -> None:
        for event in events:
            self.writer.append(event)
        while not self.ledger.fold(limit).is_end:
            pass

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.database.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]


@contextmanager
def books() -> Iterator[Books]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        database = Database(folder / "ledger.sqlite")
        writer = JournalWriter(folder / "journal" / "life-1", segment_bytes=128 * 1024)
        yield Books(folder, database, Ledger(database, folder / "journal"), writer)
        writer.close()
        database.close()


# Marks


@given(
    st.binary(max_size=600),
    st.binary(max_size=600),
    st.binary(max_size=600),
    st.integers(1, 20),
)
def test_prompts_have_as_many_marks_in_common_as_depths(
    shared: bytes, one: bytes, two: bytes, size: int
) -> None:
    keys = [block_keys(prompt_salt("acme", ""), shared + rest, size) for rest in (one, two)]
    marker = Marker(PEPPER)
    marks = [split_marks(marker.of(Demand(blocks=each)).marks) for each in keys]
    common = alike(*keys)
    assert alike(*marks) == common
    for found, each in zip(marks, keys, strict=True):
        assert tuple(depth for depth, _ in found) == ENDS[: len(each)]


def test_marks_are_few() -> None:
    every = Marker(PEPPER).of(Demand(blocks=tuple(range(len(ENDS))), ends=ENDS, stretches=700.9))
    assert every.blocks == 700
    assert len(every.marks) == len(ENDS) * MARK_BYTES <= 512


def test_without_the_pepper_a_guess_cannot_be_tried() -> None:
    """Short prompts could be guessed; whoever has only the ledger finds none of them there."""
    guess = block_keys(prompt_salt("acme", ""), b"yes" * 100, 256)
    demand = Demand(blocks=guess, prefix=guess[0], session=guess[0])
    kept = Marker(PEPPER).of(demand)
    assert Marker(PEPPER).of(demand).marks == kept.marks
    for other in (Marker(b""), Marker(b"q" * 32)):
        found = other.of(demand)
        assert found.marks != kept.marks
        assert found.opening != kept.opening
        assert found.session != kept.session
    raw = guess[0].to_bytes(8, "big")
    assert kept.marks not in (raw[:4], raw[4:])


# What the gateway notes


def make(hosts: str = "ab", **spec: Any) -> Fleet:
    spec = {"choose": "prefix"} | spec
    return Fleet(route("m", list(hosts), **spec), targets=[target(host) for host in hosts])


def say(fleet: Fleet, body: bytes | dict[str, Any], tokens: int = 10, output: int = 3) -> None:
    """Ask, and be answered."""
    client = fleet.worker.connect()
    if isinstance(body, dict):
        client.ask(**body)
    else:
        empty = post(fleet.key, {})
        client.send(
            empty.replace(b"ength: 2\r\n\r\n{}", b"ength: %d\r\n\r\n%b" % (len(body), body))
        )
    fleet.turn()
    choice = {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}
    answer = {"choices": [choice], "usage": usage(tokens, output)}
    host, _, _ = fleet.worker.events(Opened)[-1].target.partition("/")
    fleet.worker.upstream(host).give(whole(answer))
    fleet.turn()


def marked_by(fleet: Fleet) -> dict[str, Marked]:
    """By attempt."""
    opened = fleet.worker.events(Opened)
    return {each.id: each.marked for each in opened if each.marked is not None}


def journal_of(fleet: Fleet) -> list[Event]:
    found = [effect.what for effect in fleet.worker.effects]
    return [what for what in found if isinstance(what, Event)]


def test_equal_prompts_keep_equal_marks_however_spelled() -> None:
    fleet = make()
    words = "Où sont les neiges d'antan? " * 40
    body = {"model": "m", "messages": [{"role": "user", "content": words}]}
    parts = [{"type": "text", "text": words}]
    spellings = [
        json.dumps(body).encode(),
        json.dumps(body, ensure_ascii=False, indent=3).encode(),
        json.dumps(dict(reversed(body.items())), separators=(",", ":")).encode(),
        json.dumps({**body, "temperature": 0.5}).encode(),
        json.dumps({**body, "messages": [{"content": parts, "role": "user"}]}).encode(),
    ]
    for spelling in spellings:
        say(fleet, spelling)
    kept = {(each.blocks, each.marks, each.opening) for each in marked_by(fleet).values()}
    assert len(marked_by(fleet)) == len(spellings)
    assert len(kept) == 1
    assert kept.pop()[0] >= 4


@pytest.mark.parametrize(
    ("choose", "keep", "want"),
    [
        ("prefix", None, True),
        ("least-work", None, True),
        ("round-robin", None, False),
        ("chwbl", None, False),
        ("round-robin", True, True),
        ("prefix", False, False),
    ],
)
def test_marks_are_kept_where_blocks_are_compared_or_the_document_says_so(
    choose: str, keep: bool | None, want: bool
) -> None:
    for hosts in ("ab", "a"):
        fleet = make(hosts, choose=choose, prefix=Prefix(keep=keep))
        say(fleet, {"messages": [{"role": "user", "content": "x" * 999}]})
        opened_ids = [each.id for each in fleet.worker.events(Opened)]
        assert list(marked_by(fleet)) == opened_ids[:want]
        assert all(each.blocks == 3 for each in marked_by(fleet).values())


def test_only_the_first_attempt_has_marks() -> None:
    fleet = make()
    client = fleet.worker.connect()
    client.ask(messages=[{"role": "user", "content": "x" * 999}])
    fleet.turn()
    fleet.worker.upstream().give(whole({"error": {}}, status=500))
    fleet.turn()
    fleet.wait(10)
    assert len(fleet.worker.events(Opened)) == 2
    (attempt,) = marked_by(fleet)
    assert attempt.endswith(".1")


def test_sessions_are_marked_and_not_told() -> None:
    fleet = make()
    for user in ("ann", "bob", "ann"):
        say(fleet, {"messages": [{"role": "user", "content": user}], "user": user})
    one, two, three = (each.session for each in marked_by(fleet).values())
    assert one == three
    assert len({one, two, 0}) == 3


def test_no_word_of_a_prompt_is_in_journal_or_database() -> None:
    fleet = make(prefix=Prefix(block=8))
    for secret in SECRETS:
        say(fleet, {"messages": [{"role": "user", "content": secret}], "user": secret})
    events = journal_of(fleet)
    with books() as kept:
        for event in events:
            kept.writer.append(event)
        journal = b"".join(file.read_bytes() for file in kept.folder.rglob("*") if file.is_file())
        kept.fold()
        assert len(kept.rows("SELECT id FROM attempt_marks")) == len(SECRETS)
        kept.database.settle_to_disk()
        stored = b"".join(file.read_bytes() for file in kept.folder.rglob("*") if file.is_file())
    for secret in SECRETS:
        for start in range(len(secret) - 4):
            assert secret[start : start + 5].encode() not in journal + stored


# The fold


def marked(*keys: int) -> Marked:
    marks = b"".join(key.to_bytes(MARK_BYTES, "big") for key in keys)
    return Marked(len(keys), marks)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 5), max_size=30), st.integers(1, 5))
def test_marks_are_folded_once_in_whatever_order(order: list[int], limit: int) -> None:
    life = [
        event
        for number in range(3)
        for event in (
            opened(f"r{number}.1", marked=marked(number, 7)), settled(f"r{number}.1")
        )
    ]  # fmt: skip
    with books() as kept:
        kept.fold(*life, *(life[at] for at in order), limit=limit)
        found = kept.rows("SELECT id, blocks, marks FROM attempt_marks ORDER BY id")
        assert found == [(f"r{n}.1", 2, marked(n, 7).marks) for n in range(3)]
        assert kept.rows("SELECT count(*), sum(input) FROM attempts") == [(3, 270)]
        assert kept.ledger.damage() == (0, 0)


def test_a_crash_settles_as_before_and_keeps_the_marks() -> None:
    with books() as kept:
        kept.writer.append(opened("r1.1", marked=marked(5)))
        kept.writer.close()
        (recovered,) = kept.ledger.recover_dead(NOON + 60)
        assert recovered.attempts == 1
        assert kept.rows("SELECT outcome, input FROM attempts") == [("crashed", 100)]
        assert kept.rows("SELECT id FROM attempt_marks") == [("r1.1",)]


def test_marks_go_with_their_attempts() -> None:
    old, new = (f"{'x' * PREFIX_CHARS}{number}.1" for number in range(2))
    other = f"{'y' * PREFIX_CHARS}0.1"
    with books() as kept:
        for attempt, at in ((old, NOON), (new, NOON + 100), (other, NOON + 100)):
            kept.fold(opened(attempt, at=at, marked=marked(1)), settled(attempt))
        assert kept.ledger.prune(NOON + 50) == 1
        assert kept.rows("SELECT id FROM attempt_marks ORDER BY id") == [(new,), (other,)]


# Blocks rebuilt


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 2), max_size=12), st.integers(1, 3000)), max_size=12)
)
def test_rebuilt_prompts_share_what_their_marks_share(
    prompts: list[tuple[list[int], int]],
) -> None:
    rebuilt, seen = Rebuilt(BLOCK), list[tuple[list[int], tuple[int, ...]]]()
    for path, tokens in prompts:
        chained = [hash((depth, *path[:depth])) % 2**32 for depth in range(1, len(path) + 1)]
        each = marked(*chained)
        blocks = rebuilt.blocks(tokens, each.blocks, each.marks)
        assert len(blocks) <= tokens // BLOCK
        assert len(set(blocks)) == len(blocks)
        for before, others in seen:
            if chained == before[: len(chained)] and len(blocks) <= len(others):
                assert blocks == others[: len(blocks)]  # a prompt's beginning shares all it has
            if alike(chained, before) == 0:
                assert not set(blocks) & set(others)
        assert rebuilt.blocks(tokens, each.blocks, each.marks) == blocks
        seen.append((chained, blocks))


@pytest.mark.parametrize(("count", "marks"), [(0, b""), (1, b"123"), (1, b"1" * 80), (9, b"1234")])
def test_marks_that_are_cut_or_too_many_harm_nobody(count: int, marks: bytes) -> None:
    assert len(Rebuilt(BLOCK).blocks(100, count, marks)) <= 6


def test_prompts_beyond_what_is_compared_are_shared_up_to_there() -> None:
    marks = Marker(PEPPER).of(Demand(blocks=tuple(range(len(ENDS))), ends=ENDS)).marks
    found = Rebuilt(BLOCK).blocks(64 * 2 * ENDS[-1], 2 * ENDS[-1], marks)
    assert len(found) * BLOCK == pytest.approx(64 * ENDS[-1], rel=0.02)


# From the fleet to the replay


class Said(NamedTuple):
    """What was sent."""

    at: float
    text: str
    tokens: int
    output: int


turns = st.lists(
    st.tuples(st.integers(0, 3), st.integers(50, 900), st.integers(0, 40)), min_size=1, max_size=12
)


@settings(max_examples=20, deadline=None)
@given(turns)
def test_a_replay_is_what_was_sent(plan: list[tuple[int, int, int]]) -> None:
    """Times, lengths, and as much in common as the texts had."""
    fleet = make()
    threads: dict[int, list[dict[str, str]]] = {}
    sent: list[Said] = []
    began = fleet.clock.wall()
    for number, (thread, length, gap) in enumerate(plan):
        fleet.wait(gap / 4)
        messages = threads.setdefault(thread, [])
        content = (f"{thread} {number} " * length)[:length]
        messages.append({"role": "user", "content": content})
        text = "\n".join(each["content"] for each in messages)
        now = fleet.clock.wall() - began
        sent.append(Said(now, text, len(text) // 4 + 1, 1 + number))
        say(fleet, {"messages": messages}, sent[-1].tokens, sent[-1].output)
        messages.append({"role": "assistant", "content": "ok"})
    with books() as kept:
        kept.fold(*journal_of(fleet))
        found = list(replay(kept.path, model="m", block=BLOCK))
        about = survey(kept.path, model="m")
    assert (about.requests, about.marked, about.left_out) == (len(plan), len(plan), 0)
    assert [each.tokens for each in found] == [each.tokens for each in sent]
    assert [each.output for each in found] == [each.output for each in sent]
    assert [e.at for e in found] == pytest.approx([e.at - sent[0].at for e in sent], abs=1e-5)
    for later, one in enumerate(found):
        for before in range(later):
            common = len(sent[before].text) and alike(sent[before].text, sent[later].text) / 4
            shared = alike(found[before].blocks, one.blocks) * BLOCK
            assert shared == pytest.approx(common, abs=SLACK)


def test_requests_without_marks_are_said_to_be_such() -> None:
    kept_of = {1: marked(1, 2, 3)}
    with books() as kept:
        kept.fold(
            *(opened(f"r{n}.1", at=NOON + n, marked=kept_of.get(n)) for n in range(4)),
            *(settled(f"r{n}.1", input=640, cached_input=128, output=5 * n) for n in range(4)),
        )
        about = survey(kept.path, model="small")
        assert (about.requests, about.left_out, about.marked) == (3, 1, 1)
        assert about.marked_share == pytest.approx(1 / 3)
        assert about.hit_rate == pytest.approx(0.2)
        one, two, three = replay(kept.path, model="small")
        assert two.blocks == three.blocks == tuple(range(two.prefix << 16, (two.prefix << 16) + 2))
        assert not set(one.blocks) & set(two.blocks)
        assert survey(kept.path, model="other").marked_share is None


def test_a_request_begins_like_its_first_attempt_and_ends_like_its_last() -> None:
    with books() as kept:
        kept.fold(
            opened("r1.1", marked=marked(1, 2, 3)),
            settled("r1.1", final=False, input=None, output=None, usage="absent"),
            opened("r1.2", cause="retry"), settled("r1.2", input=640, output=7),
            opened("r2.1", cause="mirror"), settled("r2.1"),
        )  # fmt: skip
        (found,) = replay(kept.path, model="small", block=BLOCK)
        assert (found.at, found.tokens, found.output) == (0.0, 640, 7)
        assert found.blocks == Rebuilt(BLOCK).blocks(640, 3, marked(1, 2, 3).marks)


def test_a_ledger_of_an_older_plane_is_replayed_without_marks(tmp_path: Path) -> None:
    with books() as kept:
        kept.fold(opened("r1.1"), settled("r1.1"))
        kept.database.close()
        with sqlite3.connect(kept.path) as connection:
            connection.execute("DROP TABLE attempt_marks")
        connection.close()
        assert [type(each) for each in replay(kept.path, model="small")] == [Arrival]
        assert survey(kept.path, model="small").marked == 0


# The command

SCENARIO = """
for: 10s
drain: 5s
route: {choose: round-robin, targets: [{engine: own}, {provider: cloud}]}
engines: {own: {replicas: 2}}
providers: {cloud: {price: {input: 1 USD/Mtok, output: 2 USD/Mtok}}}
arrivals: {poisson: {rate: 2/s}}
"""


def test_another_price_changes_what_each_target_costs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(SCENARIO)

    def costs(*prices: str) -> dict[str, int | None]:
        options = [word for price in prices for word in ("--price", price)]
        assert run(["simulate", str(file), "--json", *options]) == 0
        (report,) = json.loads(capsys.readouterr().out)["reports"]
        return {each["name"]: each["cost_nanousd"] for each in report["targets"]}

    first = costs()
    assert first["own/0"] is None
    assert first["cloud/model"]
    double = costs("cloud=2/4", "own=0.1/0.2/0.01")
    assert double["cloud/model"] == pytest.approx(2 * first["cloud/model"], abs=2)
    assert double["own/0"]


@pytest.mark.parametrize("price", ["cloud", "cloud=1", "cloud=-1/2", "cloud=x/y", "moon=1/2"])
def test_a_price_that_is_none_is_refused(
    price: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(SCENARIO)
    assert run(["simulate", str(file), "--price", price]) != 0
    assert price in capsys.readouterr().err
