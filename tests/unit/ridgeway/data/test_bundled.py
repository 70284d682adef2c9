"""The bundled profiles are those of the data that scikit-learn gives."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sklearn import datasets

from ridgeway.data.bundled import BUNDLED, ROWS_KEPT, bundled_profiles, bundled_rows
from ridgeway.spec.profiles import DatasetProfile, infer_task
from workers.data.bundled import bundled_frame, current_profiles, current_rows


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_profile_is_that_of_the_data(name: str) -> None:
    assert bundled_profiles()[name] == DatasetProfile.model_validate(current_profiles()[name])


@pytest.mark.parametrize(
    ("name", "rows", "inputs", "target", "classes"),
    [
        ("breast_cancer", 569, 30, "target", 2),
        ("diabetes", 442, 10, "target", None),
        ("digits", 1797, 64, "label", 10),
        ("wine", 178, 13, "target", 3),
    ],
)
def test_the_target_is_last(
    name: str, rows: int, inputs: int, target: str, classes: int | None
) -> None:
    profile = bundled_profiles()[name]
    last = profile.columns[-1]
    assert (profile.rows, len(profile.columns), last.name) == (rows, inputs + 1, target)
    assert infer_task(last) == ("regression" if classes is None else "classification")
    assert classes is None or last.distinct == classes


def test_the_rows_are_scikit_learns() -> None:
    frame = bundled_frame("digits")
    inputs, labels = datasets.load_digits(return_X_y=True)
    assert (frame.drop(columns="label").to_numpy() == inputs).all()
    assert (frame["label"].to_numpy() == labels).all()


def test_the_first_rows_are_those_of_the_data() -> None:
    for name, rows in current_rows().items():
        assert bundled_rows(name, ROWS_KEPT).rows == rows
        assert bundled_rows(name, 2).rows == rows[:2]
        assert bundled_rows(name, 1).columns == bundled_frame(name).columns.to_list()


def test_reading_profiles_needs_no_scikit_learn_and_no_pyarrow() -> None:
    heavy = "{'sklearn', 'pandas', 'numpy', 'pyarrow', 'torch', 'optuna'}"
    code = (
        "import sys; from ridgeway.data.bundled import bundled_profiles; bundled_profiles(); "
        "import ridgeway.data.catalogue, ridgeway.data.store; "
        f"print(sorted({heavy} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
