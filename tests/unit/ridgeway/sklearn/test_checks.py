"""scikit-learn's own checks of estimators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from light import lighten
from sklearn.utils.estimator_checks import parametrize_with_checks

from ridgeway.sklearn import RidgewayClassifier, RidgewayRegressor

pytestmark = [
    pytest.mark.filterwarnings("ignore::ridgeway.sklearn.RidgewayWarning"),
    pytest.mark.filterwarnings("ignore:Can't check dok sparse matrix:UserWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def _light() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        lighten(patch)
        yield


def reasons(estimator: Any) -> dict[str, str]:
    """Return the checks that can't pass, and why."""
    return {
        "check_sample_weight_equivalence_on_dense_data": "the check hands the splits of repeated "
        "rows to `cv` itself, and a job draws its own: that repeated rows stay in one split is "
        "what `groups` are for"
    }


@parametrize_with_checks(
    [
        RidgewayClassifier(penalties="l2", n_trials=2),
        RidgewayRegressor(penalties="l2", n_trials=2),
    ],
    expected_failed_checks=reasons,
)
def test_scikit_learns_check_passes(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)
