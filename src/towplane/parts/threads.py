"""Blocking work beside the event loop, in a thread of its own.

Not in the loop's pool: whoever waits there for somebody who does not answer keeps others from it,
and a process from ending. The law: a thread that is waited for no longer harms nobody.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["run_aside"]

T = TypeVar("T")


async def run_aside(work: Callable[[], T]) -> T:
    """What `work` returns or raises; cancelled, it is left to itself."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(value)  # type: ignore[arg-type]  # it is what `work` returned

    def run() -> None:
        value: T | None = None
        failed: BaseException | None = None
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001  # carried over to the loop
            failed = error
        try:
            loop.call_soon_threadsafe(settle, value, failed)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    threading.Thread(target=run, name="aside", daemon=True).start()
    return await done
