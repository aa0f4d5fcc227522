"""`towplane up`: run the plane in the foreground until it is told to end.

The serving port opens first; the admin port, whose libraries load slowly, follows while requests
are answered already. SIGTERM and Ctrl-C drain; a second one ends at once.
"""

import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from towplane.cli.options import DEFAULT_FILE, File, Json
from towplane.cli.output import Output

if TYPE_CHECKING:
    import asyncio

    from towplane.cli.plane import RunningPlane

__all__ = ["up"]


def up(file: File = DEFAULT_FILE, json: Json = False) -> int:
    """Run the plane of a document: engines, serving port, admin port."""
    import uvloop

    return uvloop.run(_up(file, Output(json)))


async def _up(path: Path, output: Output) -> int:
    import asyncio

    from towplane.cli.front import open_front
    from towplane.document.load import load_file

    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("towplane").setLevel(logging.INFO if output.json else logging.WARNING)
    document = load_file(path)
    front = await open_front(document)

    from towplane.cli.plane import RunningPlane  # the workers' interpreters start meanwhile

    running = RunningPlane(document, path, front)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _end, running, ended)
    try:
        await running.start()
        await running.open_admin()
        shown = loop.create_task(_show(running, output))
        await ended.wait()
        shown.cancel()
        output.note("", "Finishing what runs; a second Ctrl-C ends at once.")
    finally:
        await running.stop()
    return 0


def _end(running: "RunningPlane", ended: "asyncio.Event") -> None:
    if ended.is_set():
        running.kill()
    ended.set()


async def _show(running: "RunningPlane", output: Output) -> None:
    """The first screen: where everything is, and what to try next."""
    engines = [replica.target for replica in running.replicas if replica.state != "ready"]
    if engines:
        output.note(f"Starting {', '.join(engines)} …")
    replicas = await running.controller.settled()
    models = list(running.plane.routing)
    output.object(
        {
            "serving": running.serving,
            "admin": running.admin,
            "models": models,
            "first_key": running.first_key is not None,
        }
    )
    output.lines("", f"{running.plane.plane} is up.", style="bold")
    output.lines(f"  console   {running.admin}/", f"  serving   {running.serving}/v1")
    for replica in replicas:
        output.lines(f"  engine    {replica.target}: {replica.state}{_because(replica.reason)}")
        output.lines(
            f"  weights   {replica.weights}, licence {replica.weights_licence or 'not stated'}"
        )
        for line in replica.log_tail:
            output.note(f"            {line}")
    output.lines("", f"  export OPENAI_BASE_URL={running.serving}/v1")
    if running.first_key is not None:
        output.lines(f"  export OPENAI_API_KEY={running.first_key}")
    else:
        output.lines("  export OPENAI_API_KEY=…   # towplane tenants keys create TENANT")
    if models:
        body = (
            f'{{"model": "{models[0]}", "stream": true,'
            ' "messages": [{"role": "user", "content": "Why is the sky blue?"}]}'
        )
        output.lines(
            "",
            "Try, in another terminal:",
            "  curl -N $OPENAI_BASE_URL/chat/completions \\",
            '    -H "Authorization: Bearer $OPENAI_API_KEY" \\',
            f"    -d '{body}'",
            "  towplane status",
            "  towplane tenants usage --by model",
            "",
            "Ctrl-C ends it.",
        )


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""
