"""The command as a process: what only a process shows."""

import subprocess
import sys

import pytest

HEAVY = ("rich", "sqlalchemy", "alembic", "starlette", "uvicorn", "asyncio", "uvloop", "jinja2")


def test_a_reader_that_leaves_gets_no_traceback() -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m towplane schema | head -c 10"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ('{\n  "$sche', "")


@pytest.mark.parametrize("module", ["towplane.cli.main", "towplane.document"])
def test_it_loads_nothing_heavy_before_it_is_needed(module: str) -> None:
    """`towplane --help` and a small document answer at once."""
    script = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
