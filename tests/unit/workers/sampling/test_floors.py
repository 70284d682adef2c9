"""Every searched penalty has its floor of the budget, whatever becomes of its trials."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import distribution_to_json
from optuna.trial import TrialState

from ridgeway.spec.names import DEFAULT_PENALTIES
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec
from ridgeway.study.distributions import search_space
from ridgeway.views import Params
from workers.sampling import Mirror
from workers.sampling.floors import with_floors
from workers.sampling.request import Request
from workers.sampling.samplers import SAMPLERS, random, tpe
from workers.sampling.tpe import History

ENDS = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING)


def job(**fields: Any) -> JobSpec:
    return parse_spec({"dataset": "digits", **fields})


def space_of(spec: JobSpec) -> dict[str, Any]:
    return search_space(spec, (1e-6, 1e-1))


def tell(
    spec: JobSpec, mirror: Mirror, number: int, params: Params, state: TrialState, value: float
) -> None:
    space = space_of(spec)
    told = [
        (n, space[n].to_internal_repr(v), distribution_to_json(space[n])) for n, v in params.items()
    ]
    done = value if state in (TrialState.COMPLETE, TrialState.PRUNED) else None
    mirror.table.put(number, state, done, 1, told)


def fewest(names: Sequence[object], penalties: Sequence[str]) -> list[int]:
    """Return how often the rarest penalty was met in the first 1, 2, ... trials."""
    met = np.array(names)[:, None] == np.array(penalties)
    return np.cumsum(met, axis=0).min(axis=1).tolist()


def floors(trials: int, penalties: int) -> list[int]:
    return [n // 2 // penalties for n in range(1, trials + 1)]


populations = st.lists(st.integers(1, 9), min_size=1, max_size=12)
searched = st.lists(st.sampled_from(DEFAULT_PENALTIES), min_size=2, max_size=5, unique=True)


@settings(max_examples=40)
@given(
    st.sampled_from(["tpe", "random"]),
    searched,
    populations,
    st.integers(0, 99),
    st.integers(0, 30),
    st.randoms(use_true_random=False),
)
def test_a_floor_holds_at_every_stage(sampler, penalties, sizes, seed, foreign, chance):
    spec = job(sampler=sampler, seed=seed, search={"penalty": penalties})
    mirror, proposed = Mirror(spec, study_id=1), []
    for number in range(foreign):  # of a warm start, or another process: they count in no floor
        params = {"penalty": penalties[0], "learning_rate": 0.01, "weight_decay": 1e-3}
        tell(spec, mirror, number, params, TrialState.COMPLETE, -1.0)
    for ordinal, size in enumerate(sizes):
        drawn = mirror.propose(space_of(spec), size, ordinal, start=len(proposed))
        for params in drawn:
            number = foreign + len(proposed)
            tell(spec, mirror, number, params, chance.choice(ENDS), chance.random())
            proposed.append(params["penalty"])
    counts = fewest(proposed, penalties)
    assert all(np.array(counts) >= floors(len(proposed), len(penalties)))


def test_a_penalty_that_is_never_good_keeps_its_floor_and_no_more_than_its_share():
    spec = job(search={"penalty": ["none", "l1", "l2"]})
    mirror, names = Mirror(spec, study_id=1), []
    for ordinal in range(30):
        for params in mirror.propose(space_of(spec), 10, ordinal, start=len(names)):
            value = 0.0 if params["penalty"] == "l1" else 1.0
            tell(spec, mirror, len(names), params, TrialState.COMPLETE, value + len(names) * 1e-6)
            names.append(params["penalty"])
    assert names.count("none") >= 50
    assert names.count("l1") > 150  # its floor and nearly all that the sampler chose


@given(st.permutations(range(5)))
def test_a_floor_is_the_same_for_workers_that_claim_at_once(order):
    spec = job(sampler="tpe")
    blind = {
        ordinal: Mirror(spec, study_id=1).propose(space_of(spec), 8, ordinal, start=8 * ordinal)
        for ordinal in order
    }
    names = [params["penalty"] for ordinal in range(5) for params in blind[ordinal]]
    assert names[::2] == list(DEFAULT_PENALTIES) * 4
    assert all(np.array(fewest(names, DEFAULT_PENALTIES)) >= floors(40, 5))


def test_a_gaussian_process_has_the_same_floors():
    spec = job(sampler="gp", search={"penalty": ["none", "l1"]})
    names = [
        params["penalty"]
        for params in Mirror(spec, study_id=1).propose(space_of(spec), 8, ordinal=0, start=0)
    ]
    assert names[::2] == ["none", "l1"] * 2


@given(searched, st.integers(0, 999))
def test_a_sobol_sequence_has_them_of_itself_but_for_a_trial(penalties, seed):
    spec = job(sampler="qmc", seed=seed, search={"penalty": penalties})
    drawn = Mirror(spec, study_id=1).propose(space_of(spec), 128, ordinal=0, start=0)
    counts = fewest([params["penalty"] for params in drawn], penalties)
    assert all(np.array(counts) >= np.array(floors(128, len(penalties))) - 1)


def test_a_penalty_with_one_configuration_is_not_repeated_for_its_floor():
    exact = job(model={"kind": "linear"}, optimizer="exact", search={"penalty": ["none", "l1"]})
    request = Request(space_of(exact), 400, 0, 0, 0, lambda: _no_trials())
    by_turns = with_floors(_never_none)(request)["penalty"]
    assert np.flatnonzero(by_turns == 0).tolist() == [0]


def _never_none(request: Request) -> dict[str, Any]:
    drawn = random(request)
    return drawn | {"penalty": np.full(request.count, len(request.space["penalty"].choices) - 1.0)}


def _no_trials() -> History:
    return History({}, np.empty(0, np.int64), np.empty(0))


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_one_penalty_is_searched_as_the_sampler_would(name):
    plain = {"tpe": tpe, "random": random}[name]
    request = Request(space_of(job(search={"penalty": "l1"})), 16, 3, 24, 7, _no_trials)
    fair, alone = SAMPLERS[name](request), plain(request)
    assert fair.keys() == alone.keys()
    for column in alone:
        np.testing.assert_array_equal(fair[column], alone[column])


def test_a_penalty_is_searched_where_its_own_optimum_lies():
    spec = job(search={"penalty": ["none", "l1"], "weight_decay": 0.0})
    mirror, rates = Mirror(spec, study_id=1), {"none": [], "l1": []}
    wanted = {"none": -1.5, "l1": -3.5}  # logarithms of learning rates; `none` is always worse
    for number in range(300):
        params = mirror.propose(space_of(spec), 1, ordinal=number, start=number)[0]
        name, rate = str(params["penalty"]), np.log10(float(params["learning_rate"]))
        value = abs(rate - wanted[name]) + (10 if name == "none" else 0)
        tell(spec, mirror, number, params, TrialState.COMPLETE, float(value))
        rates[name].append(rate)
    assert abs(median(rates["none"][-30:]) - wanted["none"]) < 0.3
    assert abs(median(rates["l1"][-30:]) - wanted["l1"]) < 0.3
