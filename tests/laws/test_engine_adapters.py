"""Engine adapters: one contract for all of them, and what llama.cpp's says in particular."""

import struct
import tempfile
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.engines.adapter import Adapter, Answer, Launch, Vitals
from towplane.engines.adapters import ENGINES, GROUP, adapters, load
from towplane.engines.binary import Binary
from towplane.engines.llama_cpp import ADAPTER as LLAMA
from towplane.engines.llama_cpp.gguf import read_licence
from towplane.engines.llama_cpp.metrics import SIGNALS
from towplane.engines.resolve import make_startable
from towplane.engines.spec import EngineSpec, RestartSpec
from towplane.engines.weights import Weights
from towplane.parts.errors import Unsupported
from towplane.parts.process import Exit

ALL = pytest.mark.parametrize("kind", sorted(adapters()))
KEY = "a-key-that-nobody-may-see"


def _launch(kind: str, **changes: object) -> Launch:
    spec = EngineSpec(engine=kind, weights="file:w", **changes)  # type: ignore[arg-type]
    return Launch(
        name="embedded",
        spec=spec,
        binary=Binary(Path("/opt/engine/server"), "the document", None, Path("/opt/engine")),
        weights=Weights(Path("/srv/w"), 1, "file:w"),
        port=4711,
        api_key=KEY,
    )


# --- the contract


@ALL
def test_an_adapter_is_known_by_its_kind(kind: str) -> None:
    adapter = load(kind)
    assert isinstance(adapter, Adapter)
    assert adapter.kind == kind
    assert adapter.endpoints


@ALL
def test_the_same_launch_renders_the_same_command(kind: str) -> None:
    assert load(kind).render(_launch(kind)) == load(kind).render(_launch(kind))


@ALL
def test_a_command_binds_loopback_and_the_port_it_was_given(kind: str) -> None:
    argv = load(kind).render(_launch(kind)).argv
    assert argv[0] == "/opt/engine/server"
    assert "127.0.0.1" in argv
    assert "4711" in argv


@ALL
def test_no_secret_stands_in_the_arguments_or_in_a_repr(kind: str) -> None:
    launch = _launch(kind)
    command = load(kind).render(launch)
    assert KEY not in " ".join(command.argv)
    assert KEY in command.env.values()
    assert KEY not in repr(command) + repr(launch)


@ALL
def test_what_is_no_answer_of_the_engine_is_not_ready_and_tells_nothing(kind: str) -> None:
    adapter = load(kind)
    for body in (b"", b"{", b"[]", b"<html>", b"\xff\xfe", b'{"usage": 3}', b"a b\n" * 9):
        for status in (200, 401, 404, 500, 503):
            answer = Answer(status, body)
            assert not adapter.prove("embedded").read(answer)
            assert adapter.version.read(answer) is None
            assert adapter.vitals.read(answer) is None
            assert adapter.ready.read(answer) == (status == 200)


@ALL
def test_an_ordinary_end_is_not_final(kind: str) -> None:
    adapter = load(kind)
    for code in (0, 1, -9, -11, -15):
        assert adapter.final(Exit(code), ("out of memory",)) == ""


@ALL
def test_a_program_for_another_cpu_is_final(kind: str) -> None:
    for code in (-4, 132):
        assert "another CPU" in load(kind).final(Exit(code), ())


@ALL
def test_the_folder_of_an_adapter_has_the_agreed_files(kind: str) -> None:
    if kind not in ENGINES:
        pytest.skip("an outsider's adapter lies where its package puts it")
    module = import_module(ENGINES[kind].partition(":")[0])
    folder = Path(str(module.__file__)).parent
    agreed = {"__init__.py", "defaults.py", "metrics.py", "probe.py", "render.py", "README.md"}
    assert agreed <= {path.name for path in folder.iterdir()}


def test_an_unknown_engine_is_refused_with_those_known() -> None:
    with pytest.raises(Unsupported, match=r"no adapter for the engine 'vlm'") as caught:
        load("vlm")
    assert "llama.cpp" in caught.value.next_step


def test_an_outsider_comes_in_by_entry_point_and_takes_no_name_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / "theirs-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    lines = f"[{GROUP}]\ntheirs = their_engine:ADAPTER\nllama.cpp = their_engine:ADAPTER\n"
    (about / "entry_points.txt").write_text(lines)
    text = "from towplane.engines.llama_cpp import ADAPTER as A\nfrom dataclasses import replace\n"
    (tmp_path / "their_engine.py").write_text(text + "ADAPTER = replace(A, kind='theirs')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert load("theirs").kind == "theirs"
    assert load("llama.cpp") is LLAMA


# --- llama.cpp


def test_the_command_line_of_llama_cpp() -> None:
    command = LLAMA.render(_launch("llama.cpp", context=2048, parallel=2, threads=3))
    assert " ".join(command.argv) == (
        "/opt/engine/server --model /srv/w --alias embedded --host 127.0.0.1 --port 4711"
        " --ctx-size 2048 --parallel 2 --threads 3 --jinja --metrics --slots --no-ui --offline"
    )
    assert command.env == {"LLAMA_API_KEY": KEY, "LD_LIBRARY_PATH": "/opt/engine"}


@pytest.mark.parametrize(
    ("status", "body", "want"),
    [
        (503, b'{"error":{"message":"Loading model","code":503}}', False),
        (200, b'{"status":"ok"}', True),
    ],
)
def test_llama_cpp_is_loaded_when_its_health_is_200(status: int, body: bytes, want: bool) -> None:
    assert LLAMA.ready.read(Answer(status, body)) is want


@pytest.mark.parametrize(
    ("answer", "want"),
    [
        (Answer(200, b'{"choices":[{"text":"4"}],"usage":{"completion_tokens":1}}'), True),
        (Answer(200, b'{"choices":[],"usage":{"completion_tokens":0}}'), False),
        (Answer(401, b'{"error":{"message":"Invalid API Key"}}'), False),
    ],
)
def test_llama_cpp_is_ready_when_a_token_came_out(answer: Answer, want: bool) -> None:
    assert LLAMA.prove("embedded").read(answer) is want


METRICS = """\
# HELP llamacpp:n_decode_total Total number of llama_decode() calls
# TYPE llamacpp:n_decode_total counter
llamacpp:n_decode_total 42
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 4
llamacpp:requests_deferred 36
llamacpp:predicted_tokens_seconds 70.1
"""


def test_llama_cpp_tells_running_waiting_and_progress() -> None:
    answer = Answer(200, METRICS.encode())
    assert LLAMA.vitals.read(answer) == Vitals(running=4, waiting=36, progress=42.0)


@pytest.mark.parametrize("missing", sorted(SIGNALS.values()))
def test_a_renamed_metric_is_unknown_and_not_zero(missing: str) -> None:
    renamed = METRICS.replace(f"\n{missing} ", "\nllamacpp:renamed ")
    assert LLAMA.vitals.read(Answer(200, renamed.encode())) is None


# Lines of the program itself (b10068), each seen with exit 1.
FINAL = (
    "error: invalid argument: --foo",
    'error while handling argument "-t": stoi',
    "0.00.004.865 E gguf_init_from_reader: failed to read key-value pairs",
    "error loading model: tensor 'token_embd.weight' data is not within the file bounds, model is",
    "llama-server: error while loading shared libraries: libfoo.so: cannot open shared object",
)
PASSING = (
    "0.00.004.827 E srv  start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 1",
    "E srv  load_model: failed to load model, '/srv/w'",
)


@pytest.mark.parametrize("line", FINAL)
def test_an_end_that_would_come_again_is_final(line: str) -> None:
    assert LLAMA.final(Exit(1), ("before", line, "after"))


@pytest.mark.parametrize("line", PASSING)
def test_an_end_that_may_pass_is_not(line: str) -> None:
    assert LLAMA.final(Exit(1), (line,)) == ""


def test_a_file_that_is_no_gguf_is_refused_before_a_start(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"PK\x03\x04")
    spec = EngineSpec(engine="llama.cpp", weights="file:w.bin")
    with pytest.raises(Unsupported, match="not a GGUF file"):
        make_startable("e", spec, tmp_path)


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def _gguf(*pairs: tuple[str, int, bytes], version: int = 3) -> bytes:
    head = struct.pack("<4sIQQ", b"GGUF", version, 0, len(pairs))
    return head + b"".join(_text(key) + struct.pack("<I", kind) + raw for key, kind, raw in pairs)


LICENCE = ("general.license", 8, _text("apache-2.0"))
LANGUAGES = ("general.languages", 9, struct.pack("<IQ", 8, 2) + _text("en") + _text("de"))


@pytest.mark.parametrize(
    ("content", "want"),
    [
        (_gguf(LICENCE), "apache-2.0"),
        (_gguf(("a", 4, b"0123"), ("b", 7, b"1"), LANGUAGES, LICENCE), "apache-2.0"),
        (_gguf(("general.license", 4, b"0123")), None),
        (_gguf(("general.license", 8, _text("\x1b[2J"))), None),
        (_gguf(("vocabulary", 9, struct.pack("<IQ", 8, 1 << 40)), LICENCE), None),
        (_gguf(LICENCE, version=9), None),
        (_gguf(("a", 99, b""), LICENCE), None),
        (_gguf(), None),
        (b"GGUF", None),
        (_gguf(LICENCE)[:-4], None),
    ],
)
def test_a_file_says_its_licence_or_nobody_said(
    content: bytes, want: str | None, tmp_path: Path
) -> None:
    (tmp_path / "w.gguf").write_bytes(content)
    weights = Weights(tmp_path / "w.gguf", len(content), "file:w.gguf")
    assert LLAMA.inspect(weights).licence == want
    assert LLAMA.inspect(replace(weights, licence="MIT")).licence == "MIT"


@given(content=st.binary(max_size=200))
def test_no_file_breaks_the_reading_of_its_head(content: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"GGUF\x03\0\0\0" + content)
        file.flush()
        assert read_licence(Path(file.name)) is None


# --- from a section to what can be started


def _make(folder: Path, **changes: object) -> str:
    spec = EngineSpec(
        engine="llama.cpp",
        weights="file:w.gguf",
        binary=str(folder / "server"),
        **changes,  # type: ignore[arg-type]  # a test's shorthand
    )
    return make_startable("e", spec, folder).digest


def test_the_digest_is_that_of_the_process_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "w.gguf").write_bytes(b"GGUF")
    (tmp_path / "server").write_text("#!/bin/sh\n")
    (tmp_path / "server").chmod(0o755)
    plain = _make(tmp_path)
    assert _make(tmp_path, replicas=3, drain_s=1.0, restart=RestartSpec(first_s=9)) == plain
    assert _make(tmp_path, context=1024) != plain
    (tmp_path / "w.gguf").write_bytes(b"GGUF, another one")
    assert _make(tmp_path) != plain
