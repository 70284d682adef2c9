"""Functions and files stay small enough to be read at a glance."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [
    path for room in ("ridgeway", "service", "workers") for path in (ROOT / room).rglob("*.py")
]
MOST_LINES, MOST_PARAMETERS, MOST_OF_A_FILE = 40, 6, 350
# scikit-learn reads an estimator's parameters from its constructor's signature: no value can stand
# for several of them.
ESTIMATORS = ROOT / "ridgeway" / "sklearn" / "estimators.py"


def too_large(source: str) -> Iterator[str]:
    """Yield the functions that are too long, or take too much."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        given = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
        parameters = [each.arg for each in given if each.arg not in ("self", "cls")]
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > MOST_LINES or len(parameters) > MOST_PARAMETERS:
            yield f"{node.name}: {lines} lines, {len(parameters)} parameters"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_and_its_functions_are_small(path: Path) -> None:
    source = path.read_text()
    found = list(too_large(source))
    if path == ESTIMATORS:
        found = [each for each in found if not each.startswith("__init__")]
    assert found == []
    assert len(source.splitlines()) <= MOST_OF_A_FILE


def test_a_large_function_would_be_noticed() -> None:
    assert list(too_large("def f(a, b, c, d, e, *, g, h): pass"))
    assert list(too_large("def f():\n" + "    x = 1\n" * MOST_LINES))
    assert not list(too_large("def f(self, a, b, c, d, e, g): pass"))
