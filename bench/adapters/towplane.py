"""towplane itself, with everything on that it exists for: a key, limits, a budget, prices, the
journal, metrics, retries and breakers. One gateway worker. As the wheel has it, with the serving
path compiled, and as the plain sources run.
"""

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from adapters.peer import CannotRun, Peer, Running, Site, Way, launch

__all__ = ["BY_OPENING", "PEER", "PREFIX", "SOURCE"]

ROOT = Path(__file__).parent.parent.parent
COMPILED = ROOT / "build" / "compiled"

# The limits and the budget are checked on every request and never reached.
DOCUMENT = """\
plane: bench
data_dir: {folder}/data
gateway: {{listen: "127.0.0.1:{port}", workers: 1}}
admin: {{listen: "127.0.0.1:{spare_port}"}}
tenants:
  bench:
    limits: {{rpm: 100_000_000, tpm: 1_000_000_000_000, concurrency: 100_000}}
    budget: {{monthly: 1_000_000_000 USD}}
routing:
  m: {route}{routes}
providers:
  upstream:
    kind: openai-compatible
    endpoint: {upstream}/v1
    credentials: [{{api_key: "env:BENCH_UPSTREAM_KEY"}}]
    prices: {{m: [{{from: 2026-01-01, input: 0.15 USD/Mtok, output: 0.60 USD/Mtok}}]}}
"""

ONE = "{targets: [{provider: upstream, model: m}]}"
CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
MORE_ROUTES = f"""
  m-bedrock: {{targets: [{{provider: aws, model: "{CLAUDE}"}}]}}
  m-gemini: {{targets: [{{provider: google, model: gemini-2.5-flash}}]}}
  m-anthropic: {{targets: [{{provider: claude, model: claude-sonnet-4-5}}]}}"""
MORE_PROVIDERS = """\
  aws:
    kind: bedrock
    region: us-east-1
    endpoint: {upstream}
    credentials: [{{access_key: "env:BENCH_UPSTREAM_KEY", secret_key: "env:BENCH_UPSTREAM_KEY"}}]
    prices: {{"{claude}": [{{from: 2026-01-01, input: 3 USD/Mtok, output: 15 USD/Mtok}}]}}
  google:
    kind: vertex
    endpoint: {upstream}
    credentials: [{{api_key: "env:BENCH_UPSTREAM_KEY"}}]
    prices: {{gemini-2.5-flash: [{{from: 2026-01-01, input: 0.3 USD/Mtok, output: 2.5 USD/Mtok}}]}}
  claude:
    kind: anthropic
    endpoint: {upstream}
    credentials: [{{api_key: "env:BENCH_UPSTREAM_KEY"}}]
    prices: {{claude-sonnet-4-5: [{{from: 2026-01-01, input: 3 USD/Mtok, output: 15 USD/Mtok}}]}}
"""


def install() -> str:
    try:
        number = version("towplane")
    except PackageNotFoundError as error:
        raise CannotRun("towplane is not installed in this Python") from error
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return f"{number} ({commit.stdout.strip() or 'no commit'})"


def install_compiled() -> str:
    if not COMPILED.exists():
        raise CannotRun("there is no compiled towplane: `make bench` makes it")
    return f"{install()} compiled"


def start(site: Site) -> Running:
    return _start(site, _document(site))


def start_from_source(site: Site) -> Running:
    return _start(site, _document(site), compiled=False)


def start_by_prefix(site: Site) -> Running:
    """Each request's prompt is hashed in blocks, and goes where the least is left to compute."""
    return _start_over_replicas(site, "least-work")


def start_by_opening(site: Site) -> Running:
    """Each request's opening is hashed, and goes to its home on a ring that is not full."""
    return _start_over_replicas(site, "chwbl")


def _start_over_replicas(site: Site, choose: str) -> Running:
    names = [f"upstream{number or ''}" for number in range(len(site.replicas))]
    targets = ", ".join(f"{{provider: {name}, model: m}}" for name in names)
    document = _document(site, route=f"{{choose: {choose}, targets: [{targets}]}}")
    _, _, provider = document.partition("  upstream:\n")
    for name, upstream in list(zip(names, site.replicas, strict=True))[1:]:
        document += f"  {name}:\n{provider.replace(site.upstream, upstream)}"
    return _start(site, document)


def _start(site: Site, document: str, *, compiled: bool = True) -> Running:
    file = site.folder / "plane.yaml"
    file.write_text(document)
    key = _create_key(file)
    environment = {"BENCH_UPSTREAM_KEY": "bench"}
    if compiled:
        environment["PYTHONPATH"] = str(COMPILED)
    headers = (f"Authorization: Bearer {key}",)
    ways = {name: Way(f"m-{name}", headers) for name in ("bedrock", "gemini", "anthropic")}
    return launch(
        [*_command(), "up", "-f", file], site, headers=headers, environment=environment, ways=ways
    )


def _document(site: Site, *, route: str = ONE) -> str:
    """The plane; the upstream's other wires only where they are wanted, so that nothing else of it
    has to be loaded."""
    document = DOCUMENT.format(
        folder=site.folder,
        port=site.port,
        spare_port=site.spare_port,
        upstream=site.upstream,
        route=route,
        routes=MORE_ROUTES if site.translates else "",
    )
    if site.translates:
        document += MORE_PROVIDERS.format(upstream=site.upstream, claude=CLAUDE)
    return document


def _command() -> list[str | Path]:
    script = Path(sys.executable).parent / "towplane"
    if script.exists():
        return [script]
    return [sys.executable, "-c", "from towplane.cli.main import main; main()"]


def _create_key(file: Path) -> str:
    words = [*_command(), "tenants", "keys", "create", "bench", "--json", "-f", str(file)]
    made = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, cwd=file.parent
    )
    if made.returncode != 0:
        reason = (made.stderr.strip() or made.stdout.strip()).splitlines()
        raise CannotRun(f"no key: {reason[0] if reason else 'no message'}")
    token: str = json.loads(made.stdout)["token"]
    return token


PEER = Peer(
    "towplane",
    "1 gateway worker; key, rpm/tpm/concurrency limits, budget, prices, journal and ledger, "
    "metrics, retries and breaker on",
    install_compiled,
    start,
    translates=True,
)
SOURCE = Peer(
    "towplane-source",
    "the same, from its plain sources",
    install,
    start_from_source,
)
BY_OPENING = Peer(
    "towplane-chwbl",
    "the same, and `choose: chwbl` over four addresses of the upstream, openings hashed",
    install_compiled,
    start_by_opening,
)
PREFIX = Peer(
    "towplane-prefix",
    "the same, and `choose: least-work` over four addresses of the upstream, prompts hashed",
    install_compiled,
    start_by_prefix,
)
