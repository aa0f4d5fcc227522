"""`towplane engines list`: from the plane that runs, else from what is written down."""

import json
import os
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from towplane.cli.main import run
from towplane.parts.errors import EXIT_DONE, EXIT_NO, EXIT_WORLD
from towplane.parts.process import identify
from towplane.targets.local import records
from towplane.testing.llama_server import write_program

DOCUMENT = """\
plane: story
admin: {token: env:ADMIN_TOKEN}
engines:
  small: {engine: llama.cpp, weights: "file:w.gguf", binary: ./llama-server, replicas: 2}
  broken: {engine: llama.cpp, weights: "file:none.gguf"}
routing:
  small: {targets: [{engine: small}, {engine: broken}]}
tenants: {default: {}}
"""

ENGINE = {
    "engine": "small",
    "replica": 0,
    "target": "small/0",
    "kind": "llama.cpp",
    "state": "crash-loop",
    "reason": "5 crashes, the last: exit 1",
    "weights": "file:w.gguf",
    "restarts": 4,
}


class Shell:
    """Runs the command on one document."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.file = folder / "plane.yaml"
        self.data_dir = folder / ".towplane"
        self._capsys = capsys
        self.file.write_text(DOCUMENT)
        (folder / "w.gguf").write_bytes(b"GGUF")
        write_program(folder / "llama-server")
        self.data_dir.mkdir()

    def __call__(self, *options: str, want: int = EXIT_DONE) -> tuple[str, str]:
        assert run(["engines", "list", "--file", str(self.file), *options]) == want
        said = self._capsys.readouterr()
        return said.out, said.err

    def json(self, want: int = EXIT_DONE) -> Any:
        return json.loads(self("--json", want=want)[0])

    def announce(self, port: int) -> None:
        address = f"http://127.0.0.1:{port}"
        plane = {"pid": 1, "started_at": "now", "serving": address, "admin": address}
        (self.data_dir / "plane.json").write_text(json.dumps(plane))


@pytest.fixture
def shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    monkeypatch.setenv("ADMIN_TOKEN", "let-me-in")
    return Shell(tmp_path, capsys)


class _Admin(BaseHTTPRequestHandler):
    body = json.dumps({"engines": [ENGINE]}).encode()

    def do_GET(self) -> None:
        is_known = self.headers.get("authorization") == "Bearer let-me-in"
        self.send_response(200 if is_known and self.path == "/api/v1/engines" else 401)
        self.send_header("content-length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def admin_port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Admin) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_the_running_plane_is_asked(shell: Shell, admin_port: int) -> None:
    shell.announce(admin_port)
    said = shell.json()
    assert said["running"] is True
    assert {**said["engines"][0], **ENGINE} == said["engines"][0]
    out, err = shell()
    assert "crash-loop" in out
    assert "5 crashes, the last: exit 1" in out
    assert "not said" in out
    assert err == ""


def test_another_token_is_an_error_with_the_next_step(
    shell: Shell, admin_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADMIN_TOKEN", "another")
    shell.announce(admin_port)
    error = shell.json(want=EXIT_NO)["error"]
    assert error["code"] == "not_allowed"
    assert error["next"]


def test_a_plane_that_is_down_is_said_and_the_document_read(shell: Shell) -> None:
    """Also where a killed one has left its address behind."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        shell.announce(unused.getsockname()[1])
    said = shell.json()
    assert said["running"] is False
    shown = [(one["target"], one["state"], one["reason"]) for one in said["engines"]]
    assert shown[:2] == [
        ("small/0", "stopped", "the plane is not running"),
        ("small/1", "stopped", "the plane is not running"),
    ]
    assert shown[2][:2] == ("broken/0", "failed")
    assert shown[2][2].startswith("no weights at ")
    _, err = shell()
    assert "the plane is not running" in err


def test_a_process_left_by_an_earlier_plane_is_shown(shell: Shell) -> None:
    own = identify(os.getpid())
    assert own is not None
    left = records.Record(
        engine="small",
        replica=1,
        kind="llama.cpp",
        pid=own.pid,
        ticks=own.ticks,
        boot=own.boot,
        port=4711,
        digest="d",
        api_key="nobody-may-see-this",
        started_at=0.0,
    )
    (shell.data_dir / "engines").mkdir()
    records.write(shell.data_dir / "engines", left)
    one = shell.json()["engines"][1]
    assert (one["target"], one["pid"], one["port"]) == ("small/1", own.pid, 4711)
    assert f"process {own.pid} of an earlier one" in one["reason"]
    assert "nobody-may-see-this" not in "".join(shell("--json") + shell())
    assert records.read_all(shell.data_dir / "engines") == [left]


def test_an_answer_of_another_version_is_an_error(
    shell: Shell, admin_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Admin, "body", b'{"engines": 3}')
    shell.announce(admin_port)
    assert "another version" in shell.json(want=EXIT_WORLD)["error"]["message"]
