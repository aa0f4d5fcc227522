"""The command line: one way to print, one table of exit codes, never a traceback."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from towplane.cli import init as init_noun
from towplane.cli import main as command
from towplane.cli.init import DOCUMENT
from towplane.cli.output import Output
from towplane.document.load import load_file
from towplane.parts.errors import CODES, Conflict, NoTarget


def run(*arguments: str) -> int:
    return command.run(arguments)


def answer(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_init_writes_a_document_that_is_right(tmp_path: Path) -> None:
    path = tmp_path / "plane.yaml"
    assert run("init", "-f", str(path)) == 0
    document = load_file(path)
    assert document.warnings == ()
    assert list(document.plane.routing) == ["smollm2-135m-instruct"]
    assert document.plane.engines["embedded"].engine == "llama.cpp"


def test_what_init_shows_as_a_comment_is_right_too(tmp_path: Path) -> None:
    """Below the head, a comment in prose begins with a capital; what begins small is YAML."""
    body = DOCUMENT.partition("\n\n")[2].splitlines()
    lines = [re.sub(r"^( *)# ( *[a-z])", r"\1\2", line) for line in body]
    path = tmp_path / "plane.yaml"
    path.write_text("\n".join(lines).replace("acme: {", "acme: {models: [chat], "))
    plane = load_file(path).plane
    assert plane.routing["chat"].fallback == ["smollm2-135m-instruct"]
    assert plane.tenants["acme"].budget.monthly_nanousd == 2000 * 10**9


def test_init_overwrites_only_when_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "plane.yaml"
    path.write_text("mine")
    assert run("init", "-f", str(path)) == 1
    assert path.read_text() == "mine"
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: {path} exists already\nnext: ")
    assert run("init", "--force", "--json", "-f", str(path)) == 0
    assert answer(capsys) == {"file": str(path), "overwritten": True}
    assert path.read_text() == DOCUMENT


def test_init_where_nothing_can_be_written_is_the_worlds_no(tmp_path: Path) -> None:
    assert run("init", "-f", str(tmp_path / "no" / "plane.yaml")) == 3


def test_check_says_what_a_good_document_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "plane.yaml"
    path.write_text("plane: a\nrouting: {m: {targets: [{engine: e}]}}\n"
                    'engines: {e: {engine: llama.cpp, weights: "file:w"}}\n')  # fmt: skip
    assert run("check", "-f", str(path)) == 0
    want = f"{path}: good (1 model, 0 providers, 1 engine, 0 tenants)\n"
    assert capsys.readouterr().out == want
    assert run("check", "--json", "-f", str(path)) == 0
    said = answer(capsys)
    assert said["ok"] is True
    assert said["models"] == ["m"]


def test_check_lists_every_error_and_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "plane.yaml"
    path.write_text("plane: a b\nteir: cloud\n")
    assert run("check", "-f", str(path)) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"  {path}:1:8: plane: " in shown.err
    assert f"  {path}:2:1: teir: unknown key; did you mean tier?" in shown.err
    assert run("check", "--json", "-f", str(path)) == 2
    said = answer(capsys)["error"]
    assert said["code"] == "bad_document"
    assert [(each["line"], each["column"]) for each in said["problems"]] == [(1, 8), (2, 1)]


def test_check_looks_outside_only_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "plane.yaml"
    path.write_text('plane: a\nadmin: {token: env:TOWPLANE_TEST_TOKEN}\nrouting: {}\n')  # fmt: skip
    monkeypatch.delenv("TOWPLANE_TEST_TOKEN", raising=False)
    assert run("check", "-f", str(path)) == 0
    assert run("check", "--resolve", "-f", str(path)) == 2
    assert ":2:16: admin.token: the environment variable" in capsys.readouterr().err
    monkeypatch.setenv("TOWPLANE_TEST_TOKEN", "t")
    assert run("check", "--resolve", "-f", str(path)) == 0


def test_a_missing_document_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "plane.yaml"
    assert run("check", "-f", str(path)) == 2
    assert f"next: `towplane init -f {path}` writes a first one" in capsys.readouterr().err


def test_schema_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("schema") == 0
    assert answer(capsys)["title"] == "plane.yaml"


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("towplane 0.")


@pytest.mark.parametrize("arguments", [["bogus"], ["init", "--bogus"], ["check", "extra"], []])
def test_a_command_that_is_written_wrongly_ends_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(("error: ", "Usage: "))


def test_a_wrong_command_answers_json_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("init", "--bogus", "--json") == 2
    assert answer(capsys)["error"]["code"] == "usage"


def test_what_nobody_expected_is_one_line_and_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(init_noun, "Output", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert run("init", "-f", str(tmp_path / "plane.yaml")) == 3
    first, then = capsys.readouterr().err.splitlines()
    assert first.startswith("error: towplane failed: TypeError")
    path = Path(then.rpartition(" ")[2])
    assert path.parent == tmp_path
    assert "Traceback" in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


def test_an_interrupted_command_ends_as_shells_expect(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(json: bool) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("towplane.cli.init.Output", interrupt)
    assert run("init", "--force", "-f", "/dev/null") == 130


def printed(*, as_json: bool = False) -> tuple[Output, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    return Output(as_json, out=out, err=err), out, err


def test_exactly_one_of_object_and_table_shows() -> None:
    for as_json, want in ((True, '{\n  "a": 1\n}\n'), (False, "a\n1\n")):
        output, out, _ = printed(as_json=as_json)
        output.object({"a": 1})
        output.table(["a"], [[1]])
        assert out.getvalue() == want


def test_a_table_holds_what_is_unknown_apart_from_zero_and_never_cuts() -> None:
    output, out, _ = printed()
    output.table(["name", "spent"], [["x" * 150, 0], ["[bold]y[/bold]", None], ["z\x1b[2J", 1000]])
    assert out.getvalue().splitlines() == [
        "name" + " " * 148 + "spent",
        "x" * 150 + "      0",
        "[bold]y[/bold]" + " " * 142 + "–",
        "z�[2J" + " " * 148 + "1000",
    ]


def test_an_empty_table_says_so() -> None:
    output, out, _ = printed()
    output.table(["name"], [], empty="no tenants yet")
    assert out.getvalue() == "no tenants yet\n"


def test_notes_and_errors_stay_off_standard_output() -> None:
    output, out, err = printed()
    output.note("starting")
    assert output.error(Conflict("it is there", next_step="look")) == 1
    assert out.getvalue() == ""
    assert err.getvalue() == "starting\nerror: it is there\nnext: look\n"


def test_an_error_in_json_is_the_one_object() -> None:
    output, out, err = printed(as_json=True)
    output.note("starting")
    assert output.error(NoTarget("none")) == 3
    assert json.loads(out.getvalue()) == {
        "error": {"code": "no_target", "message": "none", "next": ""}
    }
    assert err.getvalue() == ""


def test_exit_codes_are_the_four_that_are_promised() -> None:
    assert {exit_code for _, exit_code in CODES.values()} == {1, 2, 3}
