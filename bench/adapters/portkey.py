"""Portkey's open-source gateway, from its npm package, on Node."""

import json

from adapters.peer import HOMES, CannotRun, Peer, Running, Site, Way, launch, run_quietly

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
    headers = _headers("openai", f"{site.upstream}/v1")
    command = ["node", "build/start-server.js", "--headless", f"--port={site.port}"]
    return launch(
        command,
        site,
        headers=headers,
        environment={"NODE_ENV": "production"},
        cwd=PACKAGE,
        ways=_ways(site),
    )


def _ways(site: Site) -> dict[str, Way]:
    """Gemini as in Vertex AI: as in Google AI Studio it would not ask for server-sent events."""
    bedrock = _headers(
        "bedrock",
        site.upstream,
        "x-portkey-aws-access-key-id: bench",
        "x-portkey-aws-secret-access-key: bench",
        "x-portkey-aws-region: us-east-1",
    )
    vertex = _headers(
        "vertex-ai",
        site.upstream,
        "x-portkey-vertex-project-id: bench",
        "x-portkey-vertex-region: us-central1",
    )
    return {
        "bedrock": Way("anthropic.claude-sonnet-4-5-20250929-v1:0", bedrock),
        # it passes on no [DONE] but a provider's own, and Gemini sends none
        "gemini": Way("gemini-2.5-flash", vertex, says_done=False),
        "anthropic": Way("claude-sonnet-4-5", _headers("anthropic", f"{site.upstream}/v1")),
    }


def _headers(provider: str, host: str, *more: str) -> tuple[str, ...]:
    return (
        f"x-portkey-provider: {provider}",
        f"x-portkey-custom-host: {host}",
        "Authorization: Bearer bench",
        *more,
    )


PEER = Peer(
    "portkey",
    "1 process, provider and upstream given by headers, no cache, no guardrails; keys pass through",
    install,
    start,
    translates=True,
)
