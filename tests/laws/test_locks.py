"""What `make` installs is what the locks say, whatever was published since they were written."""

import importlib.metadata
import pathlib
import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = pathlib.Path(__file__).parents[2]


def test_a_locked_install_leaves_nothing_for_pip_to_choose() -> None:
    """Without `--no-deps` pip 23 looks at the newest release of `google-auth[requests]`, though
    `google-auth` is pinned beside it, and refuses the whole file for want of its hash."""
    installs = [
        line for line in (ROOT / "Makefile").read_text().splitlines() if "--require-hashes" in line
    ]
    assert installs
    assert [line for line in installs if "--no-deps" not in line] == []


def test_the_lock_names_all_that_the_tests_need_and_what_that_needs_in_turn() -> None:
    """`--no-deps` would leave out in silence what a lock does not name."""
    pinned = {
        canonicalize_name(name): version
        for name, version in re.findall(
            r"^([\w.-]+)==(\S+)", (ROOT / "requirements" / "dev.txt").read_text(), re.MULTILINE
        )
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting = [
        Requirement(each)
        for each in (*project["dependencies"], *project["optional-dependencies"]["dev"])
    ]
    seen: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"{requirement} is not in requirements/dev.txt"
        assert requirement.specifier.contains(pinned[name]), f"{requirement}: {pinned[name]}"
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        waiting += [
            needed
            for needed in map(Requirement, importlib.metadata.requires(name) or ())
            if needed.marker is None
            or any(needed.marker.evaluate({"extra": extra}) for extra in requirement.extras or {""})
        ]
