"""The admin port, open: uvicorn inside the plane's own loop, without signal handlers of its own.

It knows the address and the life of the port; what is answered is `api.admin`'s.
"""

import asyncio
import contextlib
import ipaddress
import logging
import socket
from collections.abc import Callable, Iterator, Sequence

import uvicorn
from starlette.routing import BaseRoute

from towplane.api.admin import Desk, admin_app
from towplane.api.pulse import Pulse
from towplane.api.security import Gate
from towplane.api.views import PlaneView
from towplane.parts.clock import Clock
from towplane.parts.errors import BadDocument, Platform

__all__ = ["AdminServer"]

CONNECTIONS = 256
STOP_S = 3.0
"""How long answers may finish when the port closes; live pages have ended before."""

Pages = Callable[[Desk], Sequence[BaseRoute]]


class AdminServer:
    """Life: construct → start → stop. `pages` is `towplane.console.pages.pages`."""

    def __init__(
        self,
        view: PlaneView,
        *,
        listen: str = "127.0.0.1:9090",
        token: str | None = None,
        pages: Pages | None = None,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or Clock()
        if token is None and not _is_loopback(listen):
            raise BadDocument(
                f"the admin port may not listen on {listen} without a token",
                next_step="set `admin.token: env:NAME`, or `admin.listen` to 127.0.0.1",
            )
        self._listen = listen
        self.pulse = Pulse(view, clock)
        desk = Desk(view, self.pulse, Gate(token, clock.monotonic))
        app = admin_app(desk, pages(desk) if pages else ())
        self._server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                limit_concurrency=CONNECTIONS,
                timeout_graceful_shutdown=round(STOP_S),
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Open the port and begin to look; answers its base URL. Port 0 asks for a free one."""
        sock = _bind(self._listen)
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        self._task = asyncio.get_running_loop().create_task(self._server.serve([sock]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
            await asyncio.sleep(0.001)
        self.pulse.start()
        host, port = sock.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def stop(self) -> None:
        """End live pages, let answers finish, close the port."""
        await self.pulse.stop()
        self._server.should_exit = True
        if self._task is not None:
            await self._task


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Signals are the plane's: it drains the workers first.
        yield


def _is_loopback(listen: str) -> bool:
    host = listen.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bind(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, int(port)))
    except OSError as error:
        sock.close()
        raise Platform(
            f"the admin port cannot listen on {listen}: {error.strerror}",
            next_step="stop what holds it, or set `admin.listen` to another address",
        ) from error
    sock.setblocking(False)
    return sock
