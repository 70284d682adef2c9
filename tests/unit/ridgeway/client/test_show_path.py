"""What a person reads of a regularisation path."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from rich.console import Console

from ridgeway.client.show_path import path_summary
from ridgeway.paths import PathPoint, RegularisationPath


def shown(path: RegularisationPath) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(path_summary(path))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def path(count: int, **fields: Any) -> RegularisationPath:
    strengths = np.geomspace(1, 1e-4, count)
    points = [
        PathPoint(
            strength=strength,
            value=1 + abs(np.log10(strength) + 2),
            standard_error=0.1,
            nonzero_weights=float(place),
            features=float(place),
            coefficients={f"x{column}": [float(column) + 1] for column in range(place)},
            intercepts=[0.0],
        )
        for place, strength in enumerate(strengths.tolist())
    ]
    values: dict[str, Any] = {
        "penalty": "l1",
        "objective": "loss",
        "outputs": ["y"],
        "columns": [f"x{column}" for column in range(count)],
        "best_strength": points[count // 2].strength,
        "one_standard_error_strength": points[count // 2 - 1].strength,
        "recommended_strength": 0.5,
        "points": points,
        **fields,
    }
    return RegularisationPath(**values)


def test_strengths_with_names_are_shown_among_a_part_of_the_others() -> None:
    text = shown(path(101))
    lines = [line.rstrip() for line in text.splitlines() if line.strip()[:1].isdigit()]
    assert len(lines) < 25
    (best,) = (line for line in lines if line.endswith("λ_min"))
    assert best.split()[:2] == ["0.0100", "1.00"]
    (within,) = (line for line in lines if line.endswith("λ_1se"))
    assert within.split()[0] == "0.0110"
    (near,) = (line for line in lines if "next to the recommended" in line)
    assert near.split()[0] == "0.479"
    assert "x6 7.00, x5 6.00" in text


def test_one_strength_may_have_every_name() -> None:
    text = shown(path(3, one_standard_error_strength=0.01, recommended_strength=0.011))
    assert "λ_min, λ_1se, next to the recommended" in text


def test_a_path_of_nets_tells_its_rate_and_norms_and_what_diverged() -> None:
    values = {"nonzero_weights": 0.0, "standard_error": None}
    points = [
        PathPoint(strength=1.0, value=None, norms={}, **values),
        PathPoint(strength=0.1, value=0.5, norms={"a": 2.0, "b": 3.0}, **values),
    ]
    given = {"best_strength": 0.1, "one_standard_error_strength": 0.1}
    text = shown(path(3, points=points, learning_rate=0.01, weight_decay=0.0, **given))
    assert "learning rate 0.0100, weight decay 0" in text
    own = path(3, points=points, recommended_strength=0.1)
    assert "b 3.00, a 2.00" in shown(own)
