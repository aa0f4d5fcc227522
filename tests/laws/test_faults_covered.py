"""Every fault that the plane answers for has tests that can be run, and the table names them."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TABLE = TESTS / "faults.md"
FAULTS = [f"F{number}" for number in range(1, 17)]


def rows() -> dict[str, str]:
    """What the table says of each fault."""
    lines = [line for line in TABLE.read_text().splitlines() if re.match(r"\| F\d+ \|", line)]
    return {line.split("|")[1].strip(): line for line in lines}


def named_in(row: str) -> list[tuple[str, str]]:
    """File and name of each test in a row."""
    return re.findall(r"`((?:laws|stories)/\w+\.py)::(test_\w+)`", row)


def defined_in(file: Path) -> list[str]:
    return re.findall(r"^(?:async )?def (test_\w+)\(", file.read_text(), flags=re.MULTILINE)


def test_every_fault_has_its_row() -> None:
    assert list(rows()) == FAULTS


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_has_tests_and_they_exist(fault: str) -> None:
    named = named_in(rows()[fault])
    assert named, f"nothing executable is named for {fault}"
    for file, name in named:
        assert (TESTS / file).is_file(), f"{fault}: {file} does not exist"
        assert name in defined_in(TESTS / file), f"{fault}: {file} has no {name}"


def test_every_test_of_a_fault_stands_in_its_row() -> None:
    """A test that says by its name which fault it plays; else the table would go out of date."""
    found = [
        (f"F{match[1]}", f"{file.relative_to(TESTS)}::{name}")
        for file in sorted(TESTS.glob("*/test_faults*.py"))
        for name in defined_in(file)
        if (match := re.match(r"test_f(\d+)_", name))
    ]
    assert found
    table = rows()
    missing = [f"{fault}: {test}" for fault, test in found if f"`{test}`" not in table[fault]]
    assert missing == []
