"""Imports go down the layers only (docs/architecture.md); layers of one row do not know each other."""

import ast
from pathlib import Path

import pytest

import log_aggregator

ROOT = Path(log_aggregator.__file__).parent
# From the top to the bottom. What is not named, like `cli` and `supervisor`, is the top and may import everything.
ROWS = (
    {"app"},
    {"config"},
    {"http"},
    {"services"},
    {"engine", "storage", "wal"},
    {"logql", "formats"},
    {"model"},
    {"processes", "logs"},
    {"errors", "clock"},
)
ROW_OF = {name: number for number, row in enumerate(ROWS) for name in row}


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The parts of the package that a module imports."""
    names = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[1] for name in names if name and name.startswith("log_aggregator.")}


MODULES = [path for path in sorted(ROOT.rglob("*.py")) if part_of(path) in ROW_OF]


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(ROOT)) for path in MODULES])
def test_a_module_imports_only_from_below(path: Path) -> None:
    own = part_of(path)
    allowed = {own, *(name for name, row in ROW_OF.items() if row > ROW_OF[own])}
    assert imported(path) <= allowed
