"""The pictures of docs/penalties.md: their curves are the penalties', and their command runs."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
import torch

from workers.penalties.penalties import PENALTIES

SCRIPT = Path(__file__).parents[2] / "docs" / "images" / "penalties.py"


@pytest.fixture(scope="module")
def pictures() -> Iterator[ModuleType]:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("penalty_pictures", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "penalty_pictures", module)  # dataclasses look there
        spec.loader.exec_module(module)
        yield module


def test_each_step_ends_where_cost_and_way_are_least(pictures: ModuleType) -> None:
    points = torch.linspace(-4, 4, 33, dtype=torch.float64)
    near = torch.linspace(-5, 5, 10_001, dtype=torch.float64)
    assert pictures.ROWS
    for name in pictures.ROWS:
        costs = pictures.costs(PENALTIES[name], near, 0.0)
        least = ((near - points[:, None]).square() / 2 + costs).amin(1)
        steps = pictures.stepped(PENALTIES[name], points, 0.0)
        paid = (steps - points).square() / 2 + pictures.costs(PENALTIES[name], steps, 0.0)
        torch.testing.assert_close(paid, least, atol=1e-6, rtol=0, msg=name)


def test_the_command_draws_what_the_page_shows(pictures: ModuleType, tmp_path: Path) -> None:
    page = (SCRIPT.parents[1] / "penalties.md").read_text()
    pictures.write("l1", tmp_path)
    assert ElementTree.parse(tmp_path / "l1.svg").getroot().tag.endswith("svg")
    for name in pictures.ROWS:
        assert f"](images/penalties/{name}.svg)" in page
        assert (pictures.FOLDER / f"{name}.svg").stat().st_size < 30_000
