"""Engines as real processes: they come back, they give up, and none is ever left behind.

The program is a stand-in that takes the arguments of `llama-server`.
"""

import asyncio
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from towplane.controller.loop import Controller
from towplane.controller.status import ReplicaStatus
from towplane.document.plane import Plane
from towplane.engines.adapter import Ask
from towplane.engines.resolve import make_startable
from towplane.engines.spec import EngineSpec, RestartSpec
from towplane.parts.process import Log, identify, start
from towplane.targets.local import records
from towplane.targets.local.ask import ask
from towplane.testing.llama_server import write_program

CAP_S = 60.0
"""A generous limit for what takes moments on an idle machine."""

QUICK = RestartSpec(first_s=0.05, longest_s=0.1, give_up_after=3)


async def _until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(CAP_S):
        while not holds():
            await asyncio.sleep(0.02)


def _plane(folder: Path, *faults: str, **changes: object) -> Plane:
    program, weights = folder / "llama-server", folder / "w.gguf"
    if not program.exists():  # another file would be another engine
        write_program(program, *map(shlex.quote, faults))
        weights.write_bytes(b"GGUF")
    fields: dict[str, object] = {
        "engine": "llama.cpp",
        "weights": f"file:{weights}",
        "binary": str(program),
        "restart": QUICK,
        **changes,
    }
    return Plane(plane="p", engines={"e": EngineSpec(**fields)})  # type: ignore[arg-type]


@asynccontextmanager
async def _running(
    folder: Path, plane: Plane, seen: list[tuple[ReplicaStatus, ...]] | None = None
) -> AsyncIterator[Controller]:
    controller = Controller(plane, folder / "data", (seen if seen is not None else []).append)
    await controller.start()
    try:
        yield controller
    finally:
        await controller.stop()
        assert not list((folder / "data" / "engines").glob("*.json"))


async def _settle(controller: Controller) -> tuple[ReplicaStatus, ...]:
    async with asyncio.timeout(CAP_S):
        return await controller.settled()


COMPLETE = Ask("POST", "/v1/completions", b'{"prompt": "a", "max_tokens": 2}')


async def _answering_pid(status: ReplicaStatus) -> int | None:
    """Which process answers there; None: nobody does."""
    assert status.host is not None
    assert status.port is not None
    answer = await ask(status.host, status.port, COMPLETE, status.api_key or "", CAP_S)
    return int(json.loads(answer.body)["pid"]) if answer and answer.status == 200 else None


# --- coming back


async def test_a_killed_replica_comes_back_as_another_process(tmp_path: Path) -> None:
    async with _running(tmp_path, _plane(tmp_path, "--load-s", "0.1")) as controller:
        (first,) = await _settle(controller)
        assert (first.state, first.target, first.engine_build) == ("ready", "e/0", "fake")
        assert await _answering_pid(first) == first.pid
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        await _until(lambda: controller.status()[0].restarts == 1)
        (second,) = await _settle(controller)
        assert (second.state, second.restarts) == ("ready", 1)
        assert second.pid != first.pid
        assert second.api_key != first.api_key
        assert await _answering_pid(second) == second.pid
        stranger = await ask("127.0.0.1", second.port or 0, COMPLETE, "another key", CAP_S)
        assert stranger is not None
        assert stranger.status == 401


async def test_a_crash_loop_is_given_up_with_the_last_lines_of_its_log(tmp_path: Path) -> None:
    plane = _plane(tmp_path, "--crash", "something is wrong\nvery wrong")
    async with _running(tmp_path, plane) as controller:
        (status,) = await _settle(controller)
        assert status.state == "crash-loop"
        end = "loading | something is wrong | very wrong"
        assert status.reason == f"3 crashes, the last: exit 1; its log ends: {end}"
        assert status.log_tail == ("loading", "something is wrong", "very wrong")
        assert status.restarts == 2
        assert (status.pid, status.port, status.api_key) == (None, None, None)


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        (("--signal", "4"), "the program was built for another CPU"),
        (("--crash", "error: invalid argument: --jinja"), "it does not know a flag of ours"),
    ],
)
async def test_what_cannot_help_is_not_tried_again(
    tmp_path: Path, faults: tuple[str, ...], reason: str
) -> None:
    async with _running(tmp_path, _plane(tmp_path, *faults)) as controller:
        (status,) = await _settle(controller)
        assert status.state == "failed"
        assert status.reason.startswith(reason)
        assert status.restarts == 0


async def test_a_replica_that_does_not_get_ready_counts_as_crashed(tmp_path: Path) -> None:
    plane = _plane(tmp_path, "--load-s", "3600", ready_within_s=0.3)
    async with _running(tmp_path, plane) as controller:
        (status,) = await _settle(controller)
        assert status.state == "crash-loop"
        assert status.reason.startswith("3 crashes, the last: it was not ready within 0.3 s")


async def test_a_change_is_rolled_without_a_refused_request(tmp_path: Path) -> None:
    """Whoever asks what is announced as ready gets an answer at every moment of the change."""
    announced: list[tuple[ReplicaStatus, ...]] = []
    old = _plane(tmp_path, "--token-s", "0.01")
    async with _running(tmp_path, old, announced) as controller:
        (first,) = await _settle(controller)
        controller.apply(_plane(tmp_path, "--token-s", "0.01", context=1024))
        pids: list[int | None] = []
        async with asyncio.timeout(CAP_S):
            while {one.target for one in announced[-1]} != {"e/1"}:
                ready = [one for one in announced[-1] if one.state == "ready"]
                pids.append(await _answering_pid(ready[0]))
        (second,) = controller.status()
        assert None not in pids
        assert pids[0] == first.pid
        assert second.state == "ready"
        assert await _answering_pid(second) == second.pid


# --- leaving nothing behind


def _is_gone(pid: int) -> bool:
    return identify(pid) is None


async def test_a_program_that_ignores_sigterm_is_killed_with_its_group(tmp_path: Path) -> None:
    pid_file = tmp_path / "child"
    plane = _plane(tmp_path, "--deaf", "--fork", str(pid_file))
    async with _running(tmp_path, plane) as controller:
        (status,) = await _settle(controller)
        child = int(pid_file.read_text())
        assert not _is_gone(child)
    assert status.pid is not None
    await _until(lambda: _is_gone(child) and _is_gone(status.pid or 0))


async def test_what_a_crashed_program_left_running_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "child"
    async with _running(tmp_path, _plane(tmp_path, "--fork", str(pid_file))) as controller:
        (status,) = await _settle(controller)
        child = int(pid_file.read_text())
        assert status.pid is not None
        os.kill(status.pid, signal.SIGKILL)
        await _until(lambda: _is_gone(child))


SUPERVISOR = """
    import asyncio, signal, sys
    from pathlib import Path
    from towplane.controller.loop import Controller
    from towplane.document.plane import Plane
    from towplane.engines.spec import EngineSpec

    async def main():
        engine = EngineSpec(engine="llama.cpp", weights="file:w.gguf", binary=sys.argv[2])
        folder = Path(sys.argv[1])
        plane = Plane(plane="p", engines={"e": engine})
        controller = Controller(plane, folder / "data", lambda _: None, folder=folder)
        await controller.start()
        try:
            print((await controller.settled())[0].pid, flush=True)
            await asyncio.sleep(3600)
        finally:
            await controller.stop()

    # A shell without job control starts what it puts into the background deaf to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    asyncio.run(main())
"""


def _supervise(folder: Path) -> tuple[subprocess.Popen[str], int]:
    plane = _plane(folder)
    argv = [sys.executable, "-c", textwrap.dedent(SUPERVISOR), str(folder)]
    supervisor = subprocess.Popen(
        [*argv, str(plane.engines["e"].binary)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert supervisor.stdout is not None
    return supervisor, int(supervisor.stdout.readline())


async def test_the_death_of_the_supervisor_is_the_death_of_its_engines(tmp_path: Path) -> None:
    """kill -9 leaves a record but no process, and the next plane clears the record away."""
    supervisor, pid = await asyncio.to_thread(_supervise, tmp_path)
    assert not _is_gone(pid)
    supervisor.kill()
    supervisor.communicate()
    await _until(lambda: _is_gone(pid))
    assert list((tmp_path / "data" / "engines").glob("*.json"))
    async with _running(tmp_path, _plane(tmp_path)) as controller:
        (status,) = await _settle(controller)
        assert (status.state, status.restarts) == ("ready", 0)
        assert status.pid != pid


async def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    supervisor, pid = await asyncio.to_thread(_supervise, tmp_path)
    with supervisor:
        supervisor.send_signal(signal.SIGINT)
        try:
            await asyncio.to_thread(supervisor.communicate, timeout=CAP_S)
        finally:
            supervisor.kill()
    assert _is_gone(pid)
    assert not list((tmp_path / "data" / "engines").glob("*.json"))


# --- what an earlier plane has left


def _leave_behind(folder: Path, digest: str, plane: Plane) -> subprocess.Popen[bytes]:
    """A process and its record, as a plane leaves them where no death signal reached it."""
    spec = plane.engines["e"]
    launch = make_startable("e", spec, folder).launch(port=_free_port(), api_key="old-key")
    command = make_startable("e", spec, folder).adapter.render(launch)
    process = subprocess.Popen(
        command.argv, env={**os.environ, **command.env}, start_new_session=True
    )
    identity = identify(process.pid)
    assert identity is not None
    record = records.Record(
        engine="e",
        replica=0,
        kind="llama.cpp",
        pid=process.pid,
        ticks=identity.ticks,
        boot=identity.boot,
        port=launch.port,
        digest=digest,
        api_key="old-key",
        started_at=time.time(),
    )
    (folder / "data" / "engines").mkdir(parents=True)
    records.write(folder / "data" / "engines", record)
    return process


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _wait_for_health(folder: Path) -> None:
    (record,) = records.read_all(folder / "data" / "engines")
    async with asyncio.timeout(CAP_S):
        health = Ask("GET", "/health")
        while await ask("127.0.0.1", record.port, health, "", CAP_S) is None:
            await asyncio.sleep(0.02)


async def test_a_process_of_an_earlier_plane_is_adopted_where_it_is_as_wanted(
    tmp_path: Path,
) -> None:
    plane = _plane(tmp_path)
    digest = make_startable("e", plane.engines["e"], tmp_path).digest
    left = _leave_behind(tmp_path, digest, plane)
    await _wait_for_health(tmp_path)
    async with _running(tmp_path, plane) as controller:
        (status,) = await _settle(controller)
        assert (status.state, status.pid, status.api_key) == ("ready", left.pid, "old-key")
        assert await _answering_pid(status) == left.pid
    assert left.wait(CAP_S) == 0


async def test_a_process_of_an_earlier_plane_is_ended_where_it_is_not(tmp_path: Path) -> None:
    plane = _plane(tmp_path)
    left = _leave_behind(tmp_path, "another digest", plane)
    await _wait_for_health(tmp_path)
    async with _running(tmp_path, plane) as controller:
        (status,) = await _settle(controller)
        assert status.pid != left.pid
        assert left.wait(CAP_S) == 0


async def test_a_record_whose_pid_was_given_again_harms_nobody(tmp_path: Path) -> None:
    plane = _plane(tmp_path)
    left = _leave_behind(tmp_path, "another digest", plane)
    folder = tmp_path / "data" / "engines"
    (record,) = records.read_all(folder)
    text = records.record_path(folder, "e", 0).read_text()
    text = text.replace(str(record.ticks), str(record.ticks - 1))
    records.record_path(folder, "e", 0).write_text(text)
    try:
        async with _running(tmp_path, plane) as controller:
            await _settle(controller)
            assert left.poll() is None
    finally:
        left.kill()
        left.wait()


# --- the child process itself


async def test_a_child_gets_the_descriptors_it_is_given(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    log = Log(tmp_path / "child.log")
    text = "import os, sys; os.write(int(sys.argv[1]), b'hello'); print('said')"
    child = start([sys.executable, "-c", text, str(write_end)], log=log, pass_fds=(write_end,))
    os.close(write_end)
    assert (await child.wait()).code == 0
    with os.fdopen(read_end) as pipe:
        assert pipe.read() == "hello"
    assert log.tail() == ("said",)


@pytest.mark.parametrize(("program", "code"), [("/nowhere/x", 127), ("/etc/hostname", 126)])
async def test_a_program_that_cannot_be_run_says_so(
    tmp_path: Path, program: str, code: int
) -> None:
    log = Log(tmp_path / "child.log")
    end = await start([program], log=log).wait()
    assert end.code == code
    assert log.tail()[0].startswith(f"cannot start {program}: ")


PARENT = """
    import asyncio, signal, sys
    from towplane.parts.process import start

    async def main():
        script = "trap 'echo told >&3; exit' TERM; echo $$ >&3; while :; do sleep 0.05; done"
        start(["/bin/sh", "-c", script + " # " + sys.argv[1]],
              pass_fds=(3,), death_signal=signal.SIGTERM)
        await asyncio.sleep(3600)

    asyncio.run(main())
"""


async def test_a_worker_is_told_by_sigterm_that_its_parent_has_died(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    argv = [sys.executable, "-c", textwrap.dedent(PARENT), "story"]
    # The parent's descriptor 3 is our pipe.
    shell = f"exec 3>&{write_end}; exec " + shlex.join(argv)
    parent = subprocess.Popen(["/bin/bash", "-c", shell], pass_fds=(write_end,))
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        pid = int(await asyncio.to_thread(pipe.readline))
        parent.kill()
        parent.wait()
        assert await asyncio.to_thread(pipe.readline) == "told\n"
    await _until(lambda: _is_gone(pid))
