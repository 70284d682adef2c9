"""A penalty, an objective, a sampler is one place: no other file of the workers names one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from ridgeway.spec.names import (
    OBJECTIVE_ROWS,
    OPTIMIZER_ROWS,
    PENALTY_NAMES,
    SAMPLER_ROWS,
    UNPENALISED,
)

ROOT = Path(__file__).parents[4]
ELSEWHERE = [
    path
    for path in sorted((ROOT / "workers").rglob("*.py"))
    if path.parent != ROOT / "workers" / "penalties"
]
NAMES = set(PENALTY_NAMES) - {UNPENALISED}  # `none` is also a pruner, and no class weights


def named(source: str) -> list[str]:
    """Return the lines in which code names a penalty."""
    tree, lines = ast.parse(source), source.splitlines()
    return [lines[node.lineno - 1].strip() for node in _naming(tree)]


def _naming(tree: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.expr | ast.stmt) and _names_one(node):
            yield node
        elif not _is_layout(node):
            yield from _naming(node)


def _names_one(node: ast.expr | ast.stmt) -> bool:
    if isinstance(node, ast.Constant):
        return node.value in NAMES
    if isinstance(node, ast.ImportFrom):
        return _module_of_one(node)
    return isinstance(node, ast.Compare | ast.Call) and _asks_for_none(node)


def _is_layout(node: ast.AST) -> bool:
    """Tell whether these are a C struct's fields, of which `l1` is a coefficient."""
    return isinstance(node, ast.Assign) and any(
        isinstance(each, ast.Name) and each.id == "_fields_" for each in node.targets
    )


def _module_of_one(node: ast.ImportFrom) -> bool:
    package, _, module = (node.module or "").rpartition(".")
    return package == "workers.penalties" and module in {
        own.replace(".", "_") for own in PENALTY_NAMES
    }


def _asks_for_none(node: ast.Compare | ast.Call) -> bool:
    """Tell whether a penalty is compared with, or a configuration made of, the bare word."""
    inside = [*ast.walk(node)] if isinstance(node, ast.Compare) else [node.func, *node.args]
    inside += [each.value for each in getattr(node, "keywords", ())]
    words = {each.value for each in inside if isinstance(each, ast.Constant)}
    spoken = {each.attr for each in inside if isinstance(each, ast.Attribute)}
    spoken |= {each.id for each in inside if isinstance(each, ast.Name)} | words
    return UNPENALISED in words and bool(spoken & {"penalty", "penalties", "Configuration"})


@pytest.mark.parametrize("path", ELSEWHERE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_other_file_names_a_penalty(path: Path) -> None:
    assert named(path.read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        'if own.penalty == "group_lasso": pass',
        'names = {"l1", "elastic_net"}',
        'if own.penalty in ("l2",): pass',
        "from workers.penalties.l1 import L1",
        'if own.penalty != "none": pass',
        'if spec.search.penalty == ["none"]: pass',
        'if trial.params["penalty"] == "none": pass',
        'member = Configuration("none", 0.0)',
        'member = Configuration(penalty="none")',
        'match name:\n  case "l1": pass',
    ],
)
def test_a_file_that_names_one_would_be_noticed(line: str) -> None:
    assert named(line)


@pytest.mark.parametrize(
    "line",
    [
        'if spec.class_weights == "none": pass',
        'if spec.pruner != "none": pass',
        "from workers.penalties.penalties import PENALTIES",
        'class Step:\n  _fields_ = (("l1", int),)',
        "if own.penalty == UNPENALISED: pass",
    ],
)
def test_other_words_are_left_alone(line: str) -> None:
    assert named(line) == []


# --- objectives and samplers ----------------------------------------------------------------------

# A loss is what every model is trained by; `random` and `grid` are words of their own.
PLACES = {
    "objectives": set(OBJECTIVE_ROWS) - {"loss"},
    "sampling": set(SAMPLER_ROWS) - {"random", "grid"},
}


@pytest.mark.parametrize("room", PLACES)
def test_no_other_room_names_an_objective_or_a_sampler(room: str) -> None:
    own = ROOT / "workers" / room
    naming = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / "workers").rglob("*.py"))
        if own not in path.parents
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in PLACES[room]
    ]
    assert naming == []


def test_an_optimizer_without_rates_is_named_once() -> None:
    """By the solver that it stands for: everybody else asks the problem's solver, or its row."""
    names = {row.name for row in OPTIMIZER_ROWS.values() if not row.has_rates}
    naming = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "workers").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in names
    }
    assert naming == {"workers/fullbatch/solver.py"}
