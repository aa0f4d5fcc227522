"""The pages say what is so: links lead somewhere, commands and paths exist, nothing is unlisted."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from towplane.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(page for name in ("docs", "decisions", "src") for page in (ROOT / name).rglob("*.md")),
        ROOT / "bench" / "README.md",
    ]
)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"\b(?:src|tests|docs|decisions|bench)/[\w./-]*\w/?")


def _prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text())


def _anchors(page: Path) -> set[str]:
    """As GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _broken_links(page: Path) -> Iterator[str]:
    for link in _LINK.findall(_SPAN.sub("", _prose(page))):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = page if not path else (page.parent / path).resolve()
        is_there = target.exists() and target.is_relative_to(ROOT)
        if not is_there or (anchor and anchor not in _anchors(target)):
            yield link


def _commands(page: Path) -> Iterator[tuple[str, bool]]:
    """Command lines in blocks, which are whole; and those in the text, which may lack arguments."""
    for language, block in _FENCE.findall(page.read_text()):
        if language in ("", "console", "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                found = re.match(r"\s*(?:\$ )?(towplane\s.*)", line)
                if found and not found[1].startswith("towplane  "):
                    yield found[1], True
    for span in _SPAN.findall(_prose(page)):
        if span.startswith("towplane "):
            yield span, False


def _fault(line: str, *, is_whole: bool) -> str | None:
    """What the command would say to such a line; None: it would take it."""
    words = shlex.split(line, comments=True)[1:]
    command = typer.main.get_command(app)
    context = command.make_context("towplane", [], resilient_parsing=True)
    try:
        while isinstance(command, typer.core.TyperGroup) and words:
            name, *words = words
            found = command.get_command(context, name)
            if found is None:
                return f"no such command: {name}"
            command, last = found, context
            is_group = isinstance(command, typer.core.TyperGroup)
            # A group's own context takes nothing of what is meant for its verb.
            context = command.make_context(
                name, [] if is_group else words, parent=last, resilient_parsing=is_group
            )
    except typer.TyperException as error:
        message = error.format_message()
        return message if is_whole or not message.startswith("Missing") else None
    return None


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    assert list(_broken_links(page)) == []


@each_page
def test_every_command_that_is_named_exists(page: Path) -> None:
    faults = [(line, _fault(line, is_whole=whole)) for line, whole in _commands(page)]
    assert [(line, fault) for line, fault in faults if fault] == []


@pytest.mark.parametrize(
    ("line", "is_right"),
    [
        ("towplane status --json", True),
        ("towplane statuz", False),
        ("towplane tenants keys create acme --expires 90d  # a comment", True),
        ("towplane tenants keys create", False),
        ("towplane tenants keyz", False),
        ("towplane up --workers 3", False),
    ],
)
def test_the_law_on_commands_sees_what_is_wrong(line: str, is_right: bool) -> None:
    assert (_fault(line, is_whole=True) is None) == is_right


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md"])
def test_every_path_that_is_named_exists(name: str) -> None:
    text = (ROOT / name).read_text()
    assert [path for path in _PATH.findall(text) if not (ROOT / path).exists()] == []


def test_files_of_the_walk_are_in_the_gateway() -> None:
    """In ARCHITECTURE.md they are named without their folder."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    names = re.findall(r"`(\w+\.py)`", text)
    assert names
    assert [name for name in names if not (ROOT / "src/towplane/gateway" / name).is_file()] == []


def test_the_tree_of_the_readme_has_a_line_for_every_folder() -> None:
    tree = next(b for _, b in _FENCE.findall((ROOT / "README.md").read_text()) if "cli/" in b)
    listed = re.findall(r"^  (\w+)/ ", tree, re.MULTILINE)
    there = [p.name for p in (ROOT / "src/towplane").iterdir() if (p / "__init__.py").exists()]
    assert sorted(listed) == sorted(there)


def test_every_page_is_in_the_index() -> None:
    """An adapter's own README is for who opens its folder."""
    index = ROOT / "docs" / "index.md"
    listed = {(index.parent / link).resolve() for link in _LINK.findall(index.read_text())}
    pages = [page for page in PAGES if not page.is_relative_to(ROOT / "src")]
    assert [page for page in pages if page not in listed and page != index] == []


def test_decisions_are_numbered_in_a_row_and_hold_three_parts() -> None:
    pages = sorted((ROOT / "decisions").glob("*.md"))
    assert [int(page.name[:3]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        parts = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
        assert parts == ["Context", "Decision", "Consequences"], page.name
