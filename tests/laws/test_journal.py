"""The journal: what was appended is read, in order, whatever a crash left around it."""

import errno
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.parts.errors import Conflict, OutOfSpace, Platform
from towplane.tenants.events import Event, Progress
from towplane.tenants.journal import JournalReader, JournalWriter, incarnations
from towplane.tenants.journal import writer as writer_module
from towplane.tenants.journal.layout import LOCK, NEXT, segment_name, segment_numbers
from towplane.tenants.journal.reader import START, Batch, Position
from towplane.testing.events import opened, settled

SEGMENT = 128 * 1024
ENCODE = msgspec.json.Encoder().encode
EVENTS: list[Event] = [opened("r.1"), Progress("r.1", 4), settled("r.1"), opened("s.1")]


def line_of(event: Event) -> bytes:
    return ENCODE(event) + b"\n"


def write_segment(directory: Path, number: int, data: bytes) -> None:
    directory.mkdir(exist_ok=True)
    (directory / segment_name(number)).write_bytes(data)


def read_all(directory: Path, limit: int = 2000) -> Batch:
    """Everything behind the start, in reads of `limit` events."""
    reader = JournalReader(directory)
    events: list[Event] = []
    position, bad = START, 0
    while True:
        batch = reader.read(position, limit)
        events += batch.events
        position, bad = batch.position, bad + batch.bad
        if batch.is_end:
            return Batch(events, position, bad, batch.is_end, batch.is_final)


def fill(writer: JournalWriter, count: int) -> list[Event]:
    events: list[Event] = [opened(f"r{number:06d}.1") for number in range(count)]
    for event in events:
        writer.append(event)
    return events


def full_disk(*_: object) -> None:
    """What `posix_fallocate` does there."""
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def writer(tmp_path: Path) -> JournalWriter:
    return JournalWriter(tmp_path / "journal" / "one", segment_bytes=SEGMENT)


def test_what_is_appended_is_read_at_once(writer: JournalWriter) -> None:
    for event in EVENTS:
        writer.append(event)
    assert read_all(writer.directory).events == EVENTS


def test_a_read_goes_on_where_the_last_one_ended(writer: JournalWriter) -> None:
    reader = JournalReader(writer.directory)
    writer.append(EVENTS[0])
    first = reader.read()
    writer.append(EVENTS[1])
    assert reader.read(first.position).events == EVENTS[1:2]
    assert reader.read(first.position, limit=1).position == reader.read(first.position).position


@pytest.mark.parametrize("limit", [1, 7, 100_000])
def test_segments_follow_each_other(writer: JournalWriter, limit: int) -> None:
    events = fill(writer, 2500)
    assert len(segment_numbers(writer.directory)) > 2
    assert read_all(writer.directory, limit)[0] == events
    assert JournalReader(writer.directory).count() == len(events)


def test_a_closed_journal_holds_its_lines_and_nothing_else(writer: JournalWriter) -> None:
    events = fill(writer, 600)
    writer.close()
    writer.close()
    data = b"".join(
        (writer.directory / segment_name(number)).read_bytes()
        for number in segment_numbers(writer.directory)
    )
    assert data == b"".join(line_of(event) for event in events)
    assert not (writer.directory / NEXT).exists()
    assert read_all(writer.directory).is_final


def test_a_living_writer_is_known_by_its_lock(writer: JournalWriter) -> None:
    reader = JournalReader(writer.directory)
    assert reader.is_alive()
    assert not reader.read().is_final
    writer.close()
    assert not reader.is_alive()
    assert reader.read().is_final


def test_every_start_needs_a_journal_of_its_own(writer: JournalWriter) -> None:
    with pytest.raises(Conflict):
        JournalWriter(writer.directory, segment_bytes=SEGMENT)
    assert JournalReader(writer.directory).is_alive()
    assert [found.name for found in incarnations(writer.directory.parent)] == ["one"]


def test_a_journal_without_its_lock_taken_is_not_visible(tmp_path: Path) -> None:
    (tmp_path / ".new-two").mkdir()
    (tmp_path / ".new-two" / LOCK).touch()
    assert incarnations(tmp_path) == []
    assert incarnations(tmp_path / "missing") == []


def test_an_event_longer_than_a_line_may_be_is_refused(writer: JournalWriter) -> None:
    with pytest.raises(Platform):
        writer.append(opened("r.1", model="m" * 70_000))
    writer.append(EVENTS[0])
    assert read_all(writer.directory).events == EVENTS[:1]


def test_a_full_disk_is_told_ahead_and_what_runs_can_still_end(
    writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a segment before the end `trouble` is set; only at the end does an append fail."""
    real = os.posix_fallocate

    monkeypatch.setattr(os, "posix_fallocate", full_disk)
    events: list[Event] = []
    told_at = 0
    with pytest.raises(OutOfSpace, match="no room"):  # noqa: PT012 - the last of many appends
        while True:
            event = settled(f"r{len(events):06d}.1")
            writer.append(event)
            events.append(event)
            told_at = told_at or (len(events) if writer.trouble else 0)
    assert told_at < 0.6 * len(events)
    assert read_all(writer.directory).events == events

    monkeypatch.setattr(os, "posix_fallocate", real)
    assert writer.trouble is not None
    assert writer.prepare()
    assert writer.trouble is None
    writer.append(EVENTS[0])
    assert read_all(writer.directory).events == [*events, EVENTS[0]]


def test_space_that_comes_back_is_noticed_by_asking(
    writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that admits nothing appends nothing, so asking about the trouble must end it."""
    monkeypatch.setattr(writer_module, "_RETRY_S", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full_disk)
        assert not writer.prepare()
        assert writer.trouble is not None
    assert writer.trouble is None


def test_a_journal_that_cannot_begin_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", full_disk)
    with pytest.raises(OutOfSpace):
        JournalWriter(tmp_path / "one", segment_bytes=SEGMENT)
    assert list(tmp_path.iterdir()) == []


@given(cut=st.integers(0, sum(len(line_of(event)) for event in EVENTS)), zeros=st.integers(0, 99))
def test_a_journal_cut_anywhere_reads_as_a_prefix(cut: int, zeros: int) -> None:
    data = b"".join(line_of(event) for event in EVENTS)
    ends = [len(b"".join(line_of(event) for event in EVENTS[:n])) for n in range(5)]
    with TemporaryDirectory() as folder:
        write_segment(Path(folder), 1, data[:cut] + bytes(zeros))
        batch = read_all(Path(folder))
    assert batch.events == EVENTS[: sum(end <= cut for end in ends) - 1]
    assert batch.bad == 0


damage = st.one_of(
    st.binary(min_size=1, max_size=200).filter(lambda line: line.strip()[:1] not in (b"", b"[")),
    st.sampled_from(
        [
            b"{}",
            b"null",
            b"[]",
            b'["end"]',
            b'["more","r.1"]',
            b'["more","r.1",-1]',
            b'["more","r.1",1e999]',
            b'["more","r.1",99999999999999999999]',
            b'["more","\xff",1]',
            b'["more","\\ud800",1]',
            b'["later","r.1"]',
            b"[" * 100_000,
            b"\0" * 300_000,
            b"x" * 300_000,
        ]
    ),
)


@given(st.lists(st.one_of(st.sampled_from(EVENTS), damage), max_size=12), st.integers(1, 5))
def test_damage_is_counted_and_stepped_over(things: list[Event | bytes], limit: int) -> None:
    lines = [
        thing.replace(b"\n", b" ") + b"\n" if isinstance(thing, bytes) else line_of(thing)
        for thing in things
    ]
    with TemporaryDirectory() as folder:
        write_segment(Path(folder), 1, b"".join(lines))
        write_segment(Path(folder), 2, line_of(EVENTS[0]))
        batch = read_all(Path(folder), limit)
    assert batch.events == [thing for thing in things if not isinstance(thing, bytes)] + EVENTS[:1]
    assert batch.is_final
    assert (batch.bad > 0) == any(isinstance(thing, bytes) for thing in things)


def test_a_hole_of_a_power_cut_loses_only_itself(tmp_path: Path) -> None:
    data = line_of(EVENTS[0]) + bytes(1_000_000) + line_of(EVENTS[1]) + bytes(500_000)
    write_segment(tmp_path, 1, data)
    batch = read_all(tmp_path)
    assert batch.events == EVENTS[:2]
    assert batch.bad == 1


def test_a_removed_segment_is_counted_and_stepped_over(tmp_path: Path) -> None:
    for number in (1, 3):
        write_segment(tmp_path, number, line_of(EVENTS[number]))
    assert read_all(tmp_path) == Batch(
        [EVENTS[1], EVENTS[3]], Position(3, len(line_of(EVENTS[3]))), 1, True, True
    )


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    write_segment(tmp_path, 1, line_of(EVENTS[0]))
    for name in ("x.jsonl", "²3.jsonl", "notes.txt", ".jsonl"):
        (tmp_path / name).write_text("not ours")
    assert read_all(tmp_path).events == EVENTS[:1]
