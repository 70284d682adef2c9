"""The search space, and what the samplers make of a study's history."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from ridgeway.spec import JobSpec, parse_spec
from ridgeway.studies import StudyTrial
from workers.sampling import Mirror, search_space


def spec(search: dict[str, Any] | None = None, **fields: Any) -> JobSpec:
    return parse_spec({"dataset": "digits", "search": search or {}, **fields})


def mirror_of(job: JobSpec, trials: list[StudyTrial]) -> Mirror:
    mirror = Mirror(job, study_id=1)
    mirror._trials = {trial.number: trial for trial in trials}
    return mirror


def trial(number: int, value: float | None, rate: float, state: TrialState) -> StudyTrial:
    params = {"penalty": "none", "learning_rate": rate, "weight_decay": 0.0}
    space = search_space(RATE_ONLY, None)
    return StudyTrial(
        id=number + 1,
        number=number,
        state=state,
        value=value,
        params=params,
        distributions={name: space[name] for name in params},
        started_at=None,
        finished_at=None,
        attributes={},
    )


RATE_ONLY = spec(
    {
        "penalty": "none",
        "lambda": 0.0,
        "l1_ratio": 0.5,
        "weight_decay": 0.0,
        "learning_rate": {"low": 0.01, "high": 1.0},
    }
)


def test_each_way_of_writing_a_dimension_has_its_distribution():
    job = spec({"lambda": "auto", "l1_ratio": [0.1, 0.9], "weight_decay": 0.25})
    assert search_space(job, (1e-3, 1e2)) == {
        "penalty": CategoricalDistribution(("none", "l1", "l2", "elastic_net", "group_lasso")),
        "lambda": FloatDistribution(1e-3, 1e2, log=True),
        "l1_ratio": CategoricalDistribution((0.1, 0.9)),
        "learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
        "weight_decay": FloatDistribution(0.25, 0.25),
    }


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_parameters_exist_only_where_the_penalty_has_them(sampler):
    job = spec(sampler=sampler)
    space = search_space(job, (1e-6, 1e-1))
    seen = set()
    for params in Mirror(job, study_id=1).propose(space, 60, ordinal=0):
        expected = {"penalty", "learning_rate", "weight_decay"}
        expected |= {"lambda"} if params["penalty"] != "none" else set()
        expected |= {"l1_ratio"} if params["penalty"] == "elastic_net" else set()
        assert set(params) == expected
        seen.add(params["penalty"])
    assert seen == set(job.search.penalty)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_proposals_depend_on_the_seed_and_the_population_alone(sampler):
    def propose(seed: int, ordinal: int) -> list:
        job = spec(sampler=sampler, seed=seed)
        return Mirror(job, study_id=1).propose(search_space(job, (1e-6, 1e-1)), 8, ordinal)

    assert propose(0, 0) == propose(0, 0)
    assert propose(0, 0) != propose(0, 1)
    assert propose(0, 0) != propose(1, 0)


def _share_within(low: float, high: float, trials: list[StudyTrial]) -> float:
    proposals = mirror_of(RATE_ONLY, trials).propose(search_space(RATE_ONLY, None), 100, ordinal=3)
    return sum(low < float(p["learning_rate"]) < high for p in proposals) / len(proposals)


def test_tpe_looks_where_trials_were_good():
    rates = [0.02 + 0.98 * i / 39 for i in range(40)]
    good = [trial(i, abs(rate - 0.5), rate, TrialState.COMPLETE) for i, rate in enumerate(rates)]
    assert _share_within(0.35, 0.65, good) > 0.5  # 0.3 by chance


def test_tpe_keeps_away_from_where_trials_failed():
    rates = [0.02 + 0.98 * i / 39 for i in range(40)]
    finished = [
        trial(i, 1 - rate, rate, TrialState.COMPLETE) for i, rate in enumerate(rates) if rate < 0.5
    ]
    failed = [trial(i, None, rate, TrialState.FAIL) for i, rate in enumerate(rates) if rate >= 0.5]
    taught = _share_within(0.55, 1.0, finished + failed)
    assert taught < _share_within(0.55, 1.0, finished) - 0.1


def test_members_of_a_population_spread_out_over_pending_ones():
    rates = [0.02 + 0.98 * i / 39 for i in range(40)]
    history = [trial(i, abs(rate - 0.5), rate, TrialState.COMPLETE) for i, rate in enumerate(rates)]
    pending = [trial(100 + i, None, 0.5, TrialState.RUNNING) for i in range(60)]
    near = Counter()
    for name, trials in (("alone", history), ("crowded", history + pending)):
        proposals = mirror_of(RATE_ONLY, trials).propose(search_space(RATE_ONLY, None), 20, 1)
        near[name] = sum(abs(float(p["learning_rate"]) - 0.5) < 0.02 for p in proposals)
    assert near["crowded"] < near["alone"]
