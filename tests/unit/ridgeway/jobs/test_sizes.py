"""How many trials a worker takes at a time, by its device and by what was measured on it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ridgeway.jobs.sizes import (
    BY_DEVICE,
    Pace,
    Sizes,
    path_population_size,
    population_size,
    share_of_pace,
)


def test_a_gpu_begins_where_a_cpu_has_doubled_to():
    cpu, cuda = BY_DEVICE["cpu"], BY_DEVICE["cuda"]
    assert [population_size(1_000, cpu, k) for k in range(6)] == [4, 8, 16, 32, 64, 64]
    assert [population_size(1_000, cuda, k) for k in range(3)] == [64, 100, 100]
    assert population_size(100_000, cuda, 10) == 1024


@pytest.mark.parametrize("device", sorted(BY_DEVICE))
@pytest.mark.parametrize("trials", [1, 9, 10, 99, 1_000, 10**6])
def test_a_sampler_has_its_rounds_on_any_device(device, trials):
    largest = population_size(trials, BY_DEVICE[device], 40)
    assert largest == 1 or largest * 10 <= trials


def test_a_path_needs_no_rounds():
    assert path_population_size(100, BY_DEVICE["cuda"]) == 100
    assert path_population_size(100, BY_DEVICE["cpu"]) == 64


def test_a_persons_limit_holds_whatever_the_device():
    for sizes in BY_DEVICE.values():
        assert sizes.within(2) == Sizes(2, 2)
        assert sizes.within(5_000).most == 5_000
        assert sizes.within(None) == sizes


def test_large_populations_are_for_models_that_gain_by_them():
    cuda = BY_DEVICE["cuda"]
    assert cuda.measured(None) == cuda  # a short job, which nobody measures
    assert cuda.measured(16).most == 64
    assert cuda.measured(256).most == 256
    assert cuda.measured(4096) == cuda
    assert BY_DEVICE["cpu"].measured(4096) == BY_DEVICE["cpu"]


def test_a_workers_share_of_the_pace_is_known_once_both_have_trained():
    row = SimpleNamespace(complete=80, pruned=15, failed=5, told_at=110.0, trained_from=100.0)
    assert share_of_pace(row, Pace(20, 8.0)) == pytest.approx(0.25)
    assert share_of_pace(row, Pace(900, 8.0)) == 1.0
    assert share_of_pace(row, Pace()) is None
    row.trained_from = 110.0
    assert share_of_pace(row, Pace(20, 8.0)) is None
    row.told_at = None
    assert share_of_pace(row, Pace(20, 8.0)) is None
