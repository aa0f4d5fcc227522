"""The watch of the document: each settled content is reported once, in order."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from towplane.document.load import Document
from towplane.document.problems import DocumentError
from towplane.document.watch import watch_document

FIRST = "plane: first\n"


class Script:
    """A sleep that does the next thing to the file instead of waiting, and ends with the script."""

    def __init__(self, *steps: Callable[[], object] | None) -> None:
        self.steps = list(steps)
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        if not self.steps:
            raise EndOfScript
        step = self.steps.pop(0)
        if step is not None:
            step()


class EndOfScript(Exception):
    pass


async def play(path: Path, *steps: Callable[[], object] | None) -> list[str]:
    """What is reported while the steps happen, one before each look at the file."""
    reports: list[str] = []
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    try:
        async for report in watch_document(path, digest, sleep=Script(*steps)):
            reports.append(show(report))
    except EndOfScript:
        return reports
    raise AssertionError("a watch does not end")


def show(report: Document | DocumentError) -> str:
    if isinstance(report, Document):
        return report.plane.plane
    return report.problems[0].what


def start(folder: Path) -> Path:
    path = folder / "plane.yaml"
    path.write_text(FIRST)
    return path


async def test_a_file_that_does_not_change_is_not_reported(tmp_path: Path) -> None:
    path = start(tmp_path)
    assert await play(path, None, None, lambda: path.write_text(FIRST), path.touch, None) == []


async def test_a_change_is_reported_once_when_it_has_settled(tmp_path: Path) -> None:
    path = start(tmp_path)
    assert await play(path, lambda: path.write_text("plane: second\n"), None, None) == ["second"]


async def test_a_file_in_the_middle_of_writing_is_waited_for(tmp_path: Path) -> None:
    """A truncated document may be valid: `plane: secon` must not take effect."""
    path = start(tmp_path)
    steps = [
        lambda text=text: path.write_text(text) for text in ("", "plane: secon", "plane: second\n")
    ]
    assert await play(path, *steps, None, None) == ["second"]


async def test_a_file_replaced_by_rename_is_a_change(tmp_path: Path) -> None:
    path, new = start(tmp_path), tmp_path / "new"
    new.write_text("plane: second\n")
    assert await play(path, lambda: os.replace(new, path), None) == ["second"]


async def test_a_config_map_whose_link_is_swapped_is_a_change(tmp_path: Path) -> None:
    """Kubernetes: plane.yaml → ..data/plane.yaml, ..data → a folder; the middle link is renamed."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "plane.yaml").write_text(f"plane: {name}\n")
    (tmp_path / "..data").symlink_to("one")
    path = tmp_path / "plane.yaml"
    path.symlink_to("..data/plane.yaml")

    def swap() -> None:
        (tmp_path / "..tmp").symlink_to("two")
        os.replace(tmp_path / "..tmp", tmp_path / "..data")

    assert await play(path, None, swap, None) == ["two"]


async def test_a_wrong_document_is_reported_with_what_is_wrong(tmp_path: Path) -> None:
    path = start(tmp_path)
    steps = (lambda: path.write_text("plane: a b\n"), None, lambda: path.write_bytes(b"\xff"), None)
    assert await play(path, *steps, None) == ["wrong value", "not UTF-8 text"]


async def test_the_old_content_after_a_wrong_one_is_reported_again(tmp_path: Path) -> None:
    """So that the caller knows that the file is right again."""
    path = start(tmp_path)
    steps = (lambda: path.write_text("plain: x\n"), None, lambda: path.write_text(FIRST), None)
    assert await play(path, *steps, None) == ["unknown key", "first"]


async def test_a_file_that_is_deleted_and_comes_back_is_reported_twice(tmp_path: Path) -> None:
    path = start(tmp_path)
    steps = (path.unlink, None, None, lambda: path.write_text(FIRST), None)
    assert await play(path, *steps) == ["no such file", "first"]


async def test_a_file_that_is_away_for_a_moment_is_not_reported(tmp_path: Path) -> None:
    path = start(tmp_path)
    assert await play(path, path.unlink, lambda: path.write_text(FIRST), None, None) == []


async def test_it_looks_again_soon_only_while_something_changes(tmp_path: Path) -> None:
    path = start(tmp_path)
    script = Script(None, lambda: path.write_text("plane: second\n"), None, None)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    try:
        async for _ in watch_document(path, digest, sleep=script, interval_s=2.0, settle_s=0.5):
            pass
    except EndOfScript:
        assert script.slept == [2.0, 2.0, 0.5, 2.0, 2.0]
