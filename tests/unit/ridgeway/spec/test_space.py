"""Which parameters a job's trials have."""

from __future__ import annotations

import pytest

from ridgeway.spec.dimensions import Range
from ridgeway.spec.names import PENALTY_NAMES
from ridgeway.spec.space import OF_PENALTIES, dimensions, exists_beside, quantile
from ridgeway.spec.spec import Search


def test_the_strength_goes_by_the_name_that_the_study_has_for_it() -> None:
    searched = dimensions(Search(learning_rate=0.1))
    assert list(searched) == ["lambda", "l1_ratio", "learning_rate"]
    assert searched["lambda"] == "auto"


@pytest.mark.parametrize("penalty", PENALTY_NAMES)
def test_a_strength_exists_beside_a_penalty_and_an_l1_ratio_beside_mixtures(
    penalty: str,
) -> None:
    assert OF_PENALTIES == ("lambda", "l1_ratio")
    assert exists_beside(penalty, "lambda") == (penalty != "none")
    assert exists_beside(penalty, "l1_ratio") == (penalty in ("elastic_net", "sparse_group_lasso"))
    assert exists_beside(penalty, "learning_rate")


def test_quantiles_are_those_of_the_scale_that_is_searched() -> None:
    assert quantile(Range(low=1.0, high=3.0), 0.25) == 1.5
    assert quantile(Range(low=1e-4, high=1.0, log=True), 0.5) == pytest.approx(1e-2)
    assert [quantile([3.0, 1.0, 2.0], share) for share in (0.0, 0.5, 1.0)] == [1.0, 2.0, 3.0]
    assert quantile(0.7, 0.9) == 0.7
