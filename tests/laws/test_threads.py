"""Blocking work beside the loop: its answer, its error, and what happens when nobody waits."""

import asyncio
import threading

import pytest

from towplane.parts.threads import run_aside


async def test_what_it_returns_or_raises_comes_back() -> None:
    assert await run_aside(lambda: 7) == 7

    def fail() -> None:
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await run_aside(fail)


async def test_many_that_hang_keep_nobody_waiting() -> None:
    release = threading.Event()
    hanging = [asyncio.ensure_future(run_aside(release.wait)) for _ in range(50)]
    await asyncio.sleep(0)
    assert await run_aside(lambda: "done") == "done"
    release.set()
    assert await asyncio.gather(*hanging) == [True] * 50


def test_one_that_is_given_up_does_not_hold_up_the_end() -> None:
    """Of the loop, nor of the process: the thread is a daemon, and its answer goes nowhere."""
    release = threading.Event()

    async def give_up() -> None:
        async with asyncio.timeout(0.01):
            await run_aside(release.wait)

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    late = [thread for thread in threading.enumerate() if thread.name == "aside"]
    assert all(thread.daemon for thread in late)
    release.set()
    for thread in late:
        thread.join(10)
