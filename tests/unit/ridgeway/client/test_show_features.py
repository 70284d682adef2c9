"""What a person reads of features."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from ridgeway.client.show_features import feature_table
from ridgeway.features import Feature, Features, Stability


def shown(found: Features, limit: int = 20) -> str:
    console = Console(file=io.StringIO(), width=110)
    console.print(feature_table(found, limit))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def found(**fields: Any) -> Features:
    features = [
        Feature(
            name="age",
            rank=1,
            norm=2.0,
            coefficients={"age": [-3.5]},
            used=True,
            folds=1.0,
            frequency=0.98,
            importance=0.4,
            importance_interval=(0.3, 0.5),
        ),
        Feature(
            name="town",
            rank=2,
            norm=1.0,
            coefficients={"town=a": [1.0], "town=b": [2.0]},
            used=True,
            folds=0.8,
        ),
        Feature(name="odd[red]", rank=3, norm=0.0, used=False, importance=0.0),
    ]
    stability = Stability(pairs=50, most=2, threshold=0.75, false_selections=0.8, stable=["age"])
    values: dict[str, Any] = {
        "choice": "simplest",
        "trial": 3,
        "settled": True,
        "permutations": 10,
        "stability": stability,
        "features": features,
        **fields,
    }
    return Features(**values)


def test_each_feature_has_a_line_with_its_evidence() -> None:
    text = shown(found())
    (age,) = (line.split() for line in text.splitlines() if line.strip().startswith("age"))
    assert age == ["age", "2.00", "-3.50", "100%", "98%", "0.400", "(0.300", "to", "0.500)"]
    assert "2 of them" in text
    assert "odd[red]" in text
    assert "from 75% on it is stable: age" in " ".join(text.split())


def test_it_says_what_it_does_not_show_and_what_little_it_says() -> None:
    text = shown(found(settled=False, choice="baseline", stability=None), limit=1)
    assert "The constant is recommended" in text
    assert "and 2 more" in text
    assert "had not come to rest" in text
    assert "halves: share" not in text


def test_nets_have_no_column_of_coefficients() -> None:
    own = Feature(name="age", rank=1, norm=2.0, used=True, folds=1.0, importance=0.1)
    text = shown(found(features=[own]))
    assert "coefficient" not in text
    assert "0.100" in text
