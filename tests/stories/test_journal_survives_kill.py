"""A worker is killed with SIGKILL a hundred times as it appends: nothing it had reported is lost.

The child says after each append how many it has done, so that the parent knows what must be there;
the ledger is folded meanwhile, as a plane does, and recovers each dead writer.
"""

import os
import random
import select
import signal
import struct
import time
from pathlib import Path
from typing import NoReturn

from towplane.parts.storage import Database
from towplane.tenants.journal import JournalReader, JournalWriter
from towplane.tenants.journal.reader import START
from towplane.tenants.ledger import Ledger
from towplane.testing.events import NOON, opened, settled

KILLS = 100
SEGMENT = 128 * 1024  # small, so that the turn of a segment is killed, too
COST_NANOUSD = 125
COUNT = struct.Struct("=Q")


def write_until_killed(directory: Path, say: int) -> NoReturn:
    """The child: opens and settles attempts; every third is left open."""
    try:
        writer = JournalWriter(directory, segment_bytes=SEGMENT)
        done = 0
        while True:
            attempt = f"{directory.name}-{done:08d}.1"
            writer.append(opened(attempt))
            if done % 3:
                writer.append(settled(attempt, cost_nanousd=COST_NANOUSD))
            done += 1
            os.write(say, COUNT.pack(done))
    finally:
        os._exit(1)


def kill_at_random(directory: Path, luck: random.Random) -> int:
    """Runs a child and kills it; returns how many attempts it had reported."""
    hear, say = os.pipe()
    child = os.fork()
    if not child:
        os.close(hear)
        write_until_killed(directory, say)
    os.close(say)
    try:
        assert select.select([hear], [], [], 60.0)[0], "the child did not begin"
        ends_at = time.monotonic() + luck.uniform(0, 0.01)
        told = b""
        while time.monotonic() < ends_at:
            told = (told + os.read(hear, 64 * 1024))[-2 * COUNT.size :]
        os.kill(child, signal.SIGKILL)
        while more := os.read(hear, 64 * 1024):
            told = (told + more)[-2 * COUNT.size :]
    finally:
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        os.close(hear)
    whole = len(told) - len(told) % COUNT.size
    return int(COUNT.unpack(told[whole - COUNT.size : whole])[0]) if whole else 0


def test_nothing_that_was_reported_as_appended_is_lost_or_torn(tmp_path: Path) -> None:
    luck = random.Random(7)
    root = tmp_path / "journal"
    ledger = Ledger(Database(tmp_path / "ledger.sqlite"), root)
    reported = found = open_ones = 0
    for kill in range(KILLS):
        name = f"life-{kill:03d}"
        count = kill_at_random(root / name, luck)
        reader = JournalReader(root / name)
        assert not reader.is_alive()
        batch = reader.read(START, 10_000_000)
        assert batch.bad == 0
        attempts = [event.id for event in batch.events if event.id.endswith(".1")]
        begun = sorted(set(attempts))
        # What it reported is there; at most the one it was writing may be there beside.
        assert begun == [f"{name}-{number:08d}.1" for number in range(len(begun))]
        assert count <= len(begun) <= count + 1
        if kill % 2:
            ledger.fold(luck.randrange(1, 5000))
        recovered = ledger.recover(name, NOON)
        reported += count
        found += len(begun)
        open_ones += recovered.attempts
        assert not (root / name).exists()
    (row,) = ledger.usage("tenant")
    assert (row.attempts, row.requests, row.estimated) == (found, found, open_ones)
    assert row.measured == found - open_ones
    assert reported <= found <= reported + KILLS
    assert ledger.damage() == (0, 0)
    estimated_nanousd = 100  # 100 input tokens at 1 nano-dollar each, no output noted
    assert row.cost_nanousd == row.measured * COST_NANOUSD + open_ones * estimated_nanousd
