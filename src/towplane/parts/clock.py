"""The two clocks of the plane, passed in wherever time matters.

`monotonic` measures gaps and deadlines; `wall` dates events. Nothing that decides reads a clock of
its own, so tests and the simulator move time by hand (`towplane.testing.clock`).
"""

import time
from collections.abc import Callable
from typing import NamedTuple

Now = Callable[[], float]
"""A function that says the time in seconds."""


class Clock(NamedTuple):
    """Both clocks; the default is the machine's."""

    monotonic: Now = time.monotonic
    wall: Now = time.time
