"""`towplane status` and `towplane routing`: what they print and how they end, without a plane."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from towplane.api.endpoints import ProviderList, RouteList, TargetList
from towplane.api.explanations import RouteExplanation, WorkerExplanation
from towplane.api.views import DocumentError, PlaneStatus
from towplane.cli.main import run
from towplane.monitoring.health import Health
from towplane.monitoring.now import Now, Quantile
from towplane.parts.errors import EXIT_DONE, EXIT_NO, EXIT_USAGE, EXIT_WORLD, NotFound, NotReady
from towplane.parts.secrets import Sealed
from towplane.routing.explain import Seen
from towplane.testing.rosters import explained
from towplane.testing.views import a_status

DOCUMENT = """\
plane: first-light
providers:
  up: {kind: openai-compatible, endpoint: "http://127.0.0.1:9/v1", credentials: [{api_key: env:X}]}
routing:
  small: {targets: [{provider: up}], fallback: [large]}
  large: {targets: [{provider: up}], choose: weighted}
tenants: {default: {}}
"""
WHERE = {"pid": 7, "serving": "http://127.0.0.1:8080", "admin": "http://127.0.0.1:9090"}


class Shell:
    """Runs a command beside a plane that is only pretended."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.file = folder / "plane.yaml"
        self.data_dir = folder / ".towplane"
        self.answers: dict[str, object] = {}
        self.tokens: set[str | None] = set()
        self._capsys = capsys
        self.file.write_text(DOCUMENT)

    def start(self, **answers: object) -> None:
        """From now on a plane runs and answers so, by the last part of the path."""
        self.data_dir.mkdir(exist_ok=True)
        (self.data_dir / "plane.json").write_text(json.dumps(WHERE))
        self.answers = answers

    def fetch(
        self, _where: object, path: str, answer: type[Any], token: Sealed | None, *, body: object
    ) -> object:
        self.tokens.add(token.reveal() if token is not None else None)
        said = self.answers[path.rpartition("/")[2]]
        if isinstance(said, Exception):
            raise said
        assert said is None or isinstance(said, answer)
        return said

    def __call__(self, *words: str, want: int = EXIT_DONE) -> tuple[str, str]:
        assert run([*words, "--file", str(self.file)]) == want
        said = self._capsys.readouterr()
        return said.out, said.err

    def json(self, *words: str, want: int = EXIT_DONE) -> Any:
        return json.loads(self(*words, "--json", want=want)[0])


@pytest.fixture
def shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    found = Shell(tmp_path, capsys)
    monkeypatch.setattr("towplane.cli.running.fetch", found.fetch)
    return found


def _now(**figures: float) -> Now:
    return Now(at=datetime.now(UTC), window_s=60.0, **figures)  # type: ignore[arg-type]  # by name


def _changed(change: Callable[[PlaneStatus], object]) -> PlaneStatus:
    status = a_status()
    change(status)
    return status


# ---- status


def test_a_plane_that_is_well_ends_with_0_and_shows_its_parts(shell: Shell) -> None:
    shell.start(status=a_status(), now=_now(requests_per_s=12.3, goodput=1.0))
    out, err = shell("status")
    assert out.splitlines()[0] == "first-light is well."
    for part in ("http://127.0.0.1:8080/v1", "embedded/0", "spare/gpt-large", "behind by 3 events",
                 "smollm2-135m-instruct", "Apache-2.0", "12.3", "100 %"):  # fmt: skip
        assert part in out
    assert err == ""


def test_as_json_it_is_one_object_with_the_verdict(shell: Shell) -> None:
    shell.start(status=a_status(), now=None)
    found = shell.json("status")
    assert (found["running"], found["well"], found["concerns"]) == (True, True, [])
    assert found["status"]["targets"][0]["name"] == "embedded/0"
    assert found["now"] is None


def test_before_anything_is_measured_it_says_so(shell: Shell) -> None:
    shell.start(status=a_status(), now=NotReady("nothing has been measured yet"))
    assert "The last minute is not measured yet" in shell("status")[0]


def _refuse(status: PlaneStatus) -> None:
    status.document.is_valid = False
    status.document.refused_at = status.started_at
    status.document.errors = [
        DocumentError(say="routing.chat.targetz: unknown key", line=7, column=5),
        DocumentError(say="admin changes only with a restart", next_step="restart it"),
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_refuse, "  act   The new document was refused (2 errors)"),
        (lambda s: setattr(s.targets[1], "state", "open"), "  look  spare/gpt-large is open"),
        (lambda s: setattr(s.workers[0], "state", "down"), "  look  1 of 2 gateway workers serve"),
        (lambda s: s.workers.clear(), "  act   No gateway worker is serving."),
        (lambda s: setattr(s.ledger, "bad_lines", 2), "  act   2 journal lines could not be read"),
    ],
)
def test_what_is_not_well_comes_first_and_ends_with_1(
    shell: Shell, change: Callable[[PlaneStatus], object], says: str
) -> None:
    shell.start(status=_changed(change), now=_now())
    lines = shell("status", want=EXIT_NO)[0].splitlines()
    assert lines[0] == "first-light is not well."
    assert lines[1].startswith(says)
    assert shell.json("status", want=EXIT_NO)["well"] is False


def test_a_refused_document_is_shown_with_every_error_and_its_place(shell: Shell) -> None:
    shell.start(status=_changed(_refuse), now=_now())
    out, _ = shell("status", want=EXIT_NO)
    assert "/etc/towplane/plane.yaml:7:5: routing.chat.targetz: unknown key" in out
    assert "next: restart it" in out


def test_without_a_plane_it_ends_with_3_and_says_how_to_start_one(shell: Shell) -> None:
    _, err = shell("status", want=EXIT_WORLD)
    assert f"no plane runs with the data_dir {shell.data_dir}" in err
    assert f"`towplane up -f {shell.file}`" in err
    assert shell.json("status", want=EXIT_WORLD)["error"]["code"] == "not_running"


def test_a_plane_that_was_killed_is_not_running(shell: Shell) -> None:
    shell.start(status=None)
    shell("status", want=EXIT_WORLD)


BROKEN = "data_dir: elsewhere  # of old\nadmin: {token: env:THE_TOKEN}\nrouting: [\n"


def test_a_broken_document_does_not_hide_the_plane(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs on the document before; its place and its token are read from the lines."""
    monkeypatch.setenv("THE_TOKEN", "secret")
    shell.data_dir = shell.file.parent / "elsewhere"
    shell.file.write_text(BROKEN)
    shell.start(status=_changed(_refuse), now=_now())
    assert "is not well" in shell("status", want=EXIT_NO)[0]
    assert shell.tokens == {"secret"}


def test_a_broken_document_without_a_plane_is_the_error(shell: Shell) -> None:
    shell.file.write_text(BROKEN)
    assert shell.json("status", want=EXIT_USAGE)["error"]["code"] == "bad_document"


# ---- routing


def test_routes_are_listed_from_the_document_when_no_plane_runs(shell: Shell) -> None:
    out, err = shell("routing", "list")
    assert [line.split() for line in out.splitlines()] == [
        ["model", "choose", "targets", "fallback"],
        ["small", "least-in-flight", "up/small", "large"],
        ["large", "weighted", "up/large", "–"],
    ]
    assert "not running" in err
    assert shell.json("routing", "list")["running"] is False


def test_routes_are_listed_with_what_is_not_ready(shell: Shell) -> None:
    status = _changed(lambda s: setattr(s.targets[0], "state", "starting"))
    shell.start(routing=RouteList(routes=status.routes), targets=TargetList(targets=status.targets))
    out, _ = shell("routing", "list")
    assert "embedded (starting)" in out
    found = shell.json("routing", "list")
    assert (found["running"], len(found["routes"])) == (True, 2)


def _explanation(*groups: list[Seen]) -> RouteExplanation:
    found = explained("least-in-flight", groups, turn=0, most=3)
    worker = WorkerExplanation(number=0, retries_left=10.4, groups=found.groups, steps=found.steps)
    return RouteExplanation(model="a/b", choose="least-in-flight", attempts=3, workers=[worker])


def test_explain_says_where_the_next_request_goes_and_why_not_elsewhere(shell: Shell) -> None:
    shell.start(
        explain=_explanation(
            [Seen(name="e/0", in_flight=2), Seen(name="e/1"), Seen(name="e/2", parked_s=1.0)],
            [Seen(name="spare")],
        )
    )
    out, _ = shell("routing", "explain", "a/b")
    assert "no: it asked to be left alone for 1.0 s more" in out
    assert out.splitlines()[-4:] == [
        "The next request goes to e/1 (0 in flight, the fewest).",
        "  if that fails: e/0 (retry; the only usable target)",
        "  if that fails: spare (fallback; the only usable target)",
        "  retries that the budget allows now: 10",
    ]
    found = shell.json("routing", "explain", "a/b")
    assert found["workers"][0]["steps"][0]["target"] == "e/1"


def test_workers_that_would_do_the_same_are_shown_once(shell: Shell) -> None:
    found = _explanation([Seen(name="e/0"), Seen(name="e/1")])
    other = _explanation([Seen(name="e/0"), Seen(name="e/1", in_flight=1)]).workers[0]
    twin = _explanation([Seen(name="e/0"), Seen(name="e/1")]).workers[0]
    other.number, twin.number, twin.retries_left = 1, 2, 0.7
    found.workers += [other, twin]
    shell.start(explain=found)
    out, _ = shell("routing", "explain", "a/b")
    assert [line for line in out.splitlines() if line.startswith("worker")] == [
        "workers 0, 2",
        "worker 1",
    ]
    assert "allows now: 0 in each" in out


def test_explain_says_when_nothing_is_usable(shell: Shell) -> None:
    shell.start(explain=_explanation([Seen(name="e/0", state="starting")]))
    assert "would be refused with 503" in shell("routing", "explain", "a/b")[0]


def test_explain_of_an_unknown_model_says_what_there_is(shell: Shell) -> None:
    shell.start(explain=NotFound("there is no route for the model x", next_step="did you mean y?"))
    _, err = shell("routing", "explain", "x", want=EXIT_NO)
    assert err == "error: there is no route for the model x\nnext: did you mean y?\n"


def test_explain_needs_a_running_plane(shell: Shell) -> None:
    assert shell.json("routing", "explain", "x", want=EXIT_WORLD)["error"]["code"] == "not_running"


def test_providers_status_says_how_each_has_done(shell: Shell) -> None:
    status = a_status()
    status.providers[0].health = Health(
        window_s=300.0,
        attempts=1_240,
        success=0.995,
        ttft_p50=Quantile(0.31),
        seconds_p95=Quantile(120.0, is_bound=True),
        failures={"rate_limited": 6},
    )
    targets = [target for target in status.targets if target.provider]
    shell.start(providers=ProviderList(providers=status.providers, targets=targets))
    out, _ = shell("providers", "status")
    line = next(line for line in out.splitlines() if line.startswith("spare  "))
    assert line.split() == [
        "spare", "–", "1240", "99.5", "%", "310", "ms", "–", "–", ">", "2", "min", "6",
        "rate_limited",
    ]  # fmt: skip
    idle = next(line for line in out.splitlines() if line.startswith("eu  "))
    assert idle.split() == ["eu", "eu-central-1", *["–"] * 7]
    assert "4812" in out
    said = shell.json("providers", "status")
    assert said["providers"][0]["health"]["attempts"] == 1_240
    assert said["targets"][0]["requests_left"] == 4_812


def test_status_has_one_line_for_a_provider_that_is_not_well(shell: Shell) -> None:
    def refuse(status: PlaneStatus) -> None:
        one = status.providers[0].credentials[1]
        one.state, one.reason = "parked", "Incorrect API key provided: …."
        status.providers[0].health = Health(
            window_s=300.0, attempts=200, success=0.8, failures={"denied": 40}
        )

    shell.start(status=_changed(refuse), now=None)
    out, _ = shell("status", want=EXIT_NO)
    line = "  look  spare: spare#2 is parked: Incorrect API key provided: ….; "
    assert f"{line}80.0 % of 200 attempts in 5 min went well (40 denied)." in out
