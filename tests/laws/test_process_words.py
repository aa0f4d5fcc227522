"""How the end of a process is said, what is kept of its log, and what it inherits."""

import os
from pathlib import Path

import pytest

from towplane.engines.adapter import Vitals
from towplane.engines.llama_cpp import ADAPTER
from towplane.parts.process import Exit, Log, identify
from towplane.targets.local import records
from towplane.targets.local.environment import make_environment
from towplane.targets.local.watch import Watch
from towplane.testing.clock import FakeClock

KILLED = "signal 9 (SIGKILL), killed, by somebody or by the kernel for want of memory"
ILLEGAL = "signal 4 (SIGILL), illegal instruction: the program was built for another CPU"


@pytest.mark.parametrize(
    ("code", "want"),
    [
        (0, "exit 0"),
        (1, "exit 1"),
        (-9, KILLED),
        (137, KILLED),
        (-4, ILLEGAL),
        (132, ILLEGAL),
        (-11, "signal 11 (SIGSEGV), segmentation fault"),
        (-10, "signal 10 (SIGUSR1)"),
        (125, "exit 125, not started: its supervisor was gone"),
        (126, "exit 126, the program cannot be run"),
        (127, "exit 127, the program or a library of it was not found"),
        (255, "exit 255"),
        (None, "ended; its exit code went to another parent"),
    ],
)
def test_an_exit_is_said_in_words(code: int | None, want: str) -> None:
    assert Exit(code).words == want


# --- logs


def _append(log: Log, text: str) -> None:
    descriptor = log.open()
    os.write(descriptor, text.encode())
    os.close(descriptor)


def test_the_tail_is_that_of_the_last_start(tmp_path: Path) -> None:
    log = Log(tmp_path / "e-0.log")
    _append(log, "first run\n")
    _append(log, "one\n\n  \ntwo\n\x1b[31mthree\x1b[0m\r\n")
    assert log.tail() == ("one", "two", "[31mthree[0m")
    assert log.tail(1) == ("[31mthree[0m",)


def test_the_tail_of_no_log_is_empty(tmp_path: Path) -> None:
    assert Log(tmp_path / "none.log").tail() == ()


def test_a_log_stays_below_its_limit_and_one_older_part_stays(tmp_path: Path) -> None:
    log = Log(tmp_path / "e-0.log", limit_bytes=100)
    _append(log, "a" * 100)
    log.trim()
    assert log.path.stat().st_size == 100
    _append(log, "b")
    log.trim()
    _append(log, "c\n")
    assert log.tail() == ("c",)
    assert (tmp_path / "e-0.log.1").read_bytes() == b"a" * 100 + b"b"
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


# --- what is inherited


def test_no_variable_of_the_plane_changes_a_flag_or_leaks_a_credential() -> None:
    inherited = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "CUDA_VISIBLE_DEVICES": "1",
        "LLAMA_ARG_CTX_SIZE": "1",
        "LLAMA_API_KEY": "theirs",
        "OPENAI_API_KEY": "secret",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    assert make_environment(inherited, {"LLAMA_API_KEY": "ours"}) == {
        "PATH": "/bin",
        "LC_ALL": "C",
        "CUDA_VISIBLE_DEVICES": "1",
        "LLAMA_API_KEY": "ours",
    }


def test_the_library_path_of_the_engine_comes_before_the_inherited_one() -> None:
    made = make_environment({"LD_LIBRARY_PATH": "/sys"}, {"LD_LIBRARY_PATH": "/own"})
    assert made == {"LD_LIBRARY_PATH": "/own:/sys"}


# --- records


def _record(replica: int = 0) -> records.Record:
    return records.Record(
        engine="e",
        replica=replica,
        kind="llama.cpp",
        pid=1,
        ticks=2,
        boot="b",
        port=3,
        digest="d",
        api_key="nobody-may-see-this",
        started_at=4.0,
    )


def test_a_record_is_read_as_it_was_written_and_only_by_its_owner(tmp_path: Path) -> None:
    for replica in (0, 1):
        records.write(tmp_path, _record(replica))
    assert records.read_all(tmp_path) == [_record(0), _record(1)]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    records.remove(tmp_path, "e", 0)
    records.remove(tmp_path, "e", 0)
    assert records.read_all(tmp_path) == [_record(1)]


def test_what_is_no_record_is_removed(tmp_path: Path) -> None:
    (tmp_path / "e-0.json").write_text('{"engine": "e", ')
    assert records.read_all(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_record_does_not_print_its_key() -> None:
    assert "nobody-may-see-this" not in repr(_record())


# --- identity and progress


def test_a_process_is_known_for_good() -> None:
    own = identify(os.getpid())
    assert own is not None
    assert own == identify(os.getpid())
    assert own.boot
    assert own.ticks > 0


def _vitals(running: int, progress: float) -> Vitals:
    return Vitals(running=running, waiting=0, progress=progress)


def test_progress_is_a_counter_that_moves_or_nothing_to_do() -> None:
    """A silent replica is frozen, and one that answers again without having moved still is."""
    clock = FakeClock(monotonic_s=0.0)
    watch = Watch(ADAPTER, "e", 1, "k", now=clock.monotonic)
    seen: list[tuple[float, int]] = []
    looks = (_vitals(0, 5), _vitals(1, 6), _vitals(1, 6), None, _vitals(2, 6), _vitals(1, 7))
    for vitals in (*looks, None, _vitals(0, 7)):
        clock.advance(1.0)
        watch.take(vitals)
        seen.append((watch.progress_at, watch.frozen_probes))
    assert seen == [(1, 0), (2, 0), (2, 1), (2, 2), (2, 3), (6, 0), (6, 1), (8, 0)]
