"""Portkey's open-source gateway, from its npm package, on Node."""

import json

from adapters.peer import HOMES, CannotRun, Peer, Running, Site, launch, run_quietly

__all__ = ["PEER"]

VERSION = "1.15.2"
# With later versions of this dependency every streamed answer ends in `TypeError: immutable`
# (Portkey-AI/gateway issue 1389).
NODE_SERVER = "1.13.8"
HOME = HOMES / "portkey"
PACKAGE = HOME / "node_modules" / "@portkey-ai" / "gateway"


def install() -> str:
    if not PACKAGE.exists():
        HOME.mkdir(parents=True, exist_ok=True)
        wanted = {
            "private": True,
            "dependencies": {"@portkey-ai/gateway": VERSION},
            "overrides": {"@hono/node-server": NODE_SERVER},
        }
        (HOME / "package.json").write_text(json.dumps(wanted))
        run_quietly(["npm", "install", "--no-audit", "--no-fund"], cwd=HOME)
    version: str = json.loads((PACKAGE / "package.json").read_text())["version"]
    node = run_quietly(["node", "--version"]).strip()
    if not version:
        raise CannotRun("npm left no package")
    return f"{version} (Node {node.removeprefix('v')})"


def start(site: Site) -> Running:
    headers = (
        "x-portkey-provider: openai",
        f"x-portkey-custom-host: {site.upstream}/v1",
        "Authorization: Bearer bench",
    )
    command = ["node", "build/start-server.js", "--headless", f"--port={site.port}"]
    return launch(
        command, site, headers=headers, environment={"NODE_ENV": "production"}, cwd=PACKAGE
    )


PEER = Peer(
    "portkey",
    "1 process, provider and upstream given by headers, no cache, no guardrails; keys pass through",
    install,
    start,
)
