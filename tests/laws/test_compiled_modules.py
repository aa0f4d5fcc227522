"""What the list of compiled modules in pyproject.toml must keep to."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WHEEL = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
MODULES: list[str] = WHEEL["wheel"]["hooks"]["custom"]["modules"]


def test_the_list_is_sorted_and_without_repetition() -> None:
    assert sorted(set(MODULES)) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_no_compiled_struct_has_a_union(module: str) -> None:
    """mypyc keeps of `int | None` only that it is a type, and msgspec then refuses every value."""
    tree = ast.parse((ROOT / "src" / "towplane" / module).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any("Struct" in ast.unparse(b) for b in node.bases):
            for field in node.body:
                if isinstance(field, ast.AnnAssign):
                    assert "|" not in ast.unparse(field.annotation), f"{node.name}.{field.target}"


@pytest.mark.parametrize("module", MODULES)
def test_no_compiled_generator_waits_inside_a_try(module: str) -> None:
    """One that ends there leaves its exception behind, as the context of whatever fails next."""
    tree = ast.parse((ROOT / "src" / "towplane" / module).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Try):
            waits = [one for one in ast.walk(node) if isinstance(one, ast.Yield | ast.YieldFrom)]
            assert waits == [], f"line {node.lineno}"
