"""Numbers and durations as a person writes them."""

from __future__ import annotations

import pytest

from ridgeway.words import extent, mean_count, roughly


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.01, "1 s"),
        (3.4, "3 s"),
        (43, "45 s"),
        (89, "90 s"),
        (91, "2 min"),
        (1800, "30 min"),
        (5400, "1.5 h"),
        (7200, "2 h"),
        (172800, "2 days"),
    ],
)
def test_a_duration_that_is_not_known_precisely_is_rounded(seconds: float, told: str):
    assert roughly(seconds) == told


def test_an_extent_has_two_ends_or_is_not_told():
    assert extent(0.0, 2500.0) == "0 to 2500"
    assert extent(None, 1.0) == extent(1.0, None) == ""


@pytest.mark.parametrize(("mean", "told"), [(7.0, "7"), (0.0, "0"), (22 / 3, "7.33"), (None, "-")])
def test_a_mean_of_counts_has_a_point_only_where_it_is_not_whole(mean: float | None, told: str):
    assert mean_count(mean) == told
