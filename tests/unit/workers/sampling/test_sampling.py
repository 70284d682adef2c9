"""Samplers on a search space and a study's history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from statistics import mean
from typing import Any, NamedTuple

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    distribution_to_json,
)
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from ridgeway.answers import Params
from ridgeway.errors import InvalidInput
from ridgeway.spec.names import SAMPLER_ROWS
from ridgeway.spec.resolving import check_spec
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec
from ridgeway.study.distributions import search_space
from workers.population.configuration import Configuration
from workers.sampling import Mirror, suggest
from workers.sampling.samplers import SAMPLERS


def spec(search: dict[str, Any] | None = None, **fields: Any) -> JobSpec:
    return parse_spec({"dataset": "digits", "search": search or {}, **fields})


class Told(NamedTuple):
    """A trial as `Mirror.sync` reads it."""

    number: int
    value: float | None
    params: Params
    state: TrialState = TrialState.COMPLETE


def mirror_of(job: JobSpec, space: Mapping[str, BaseDistribution], trials: list[Told]) -> Mirror:
    mirror = Mirror(job, study_id=1)
    for told in trials:
        params = [
            (name, space[name].to_internal_repr(value), distribution_to_json(space[name]))
            for name, value in told.params.items()
        ]
        mirror.table.put(told.number, told.state, told.value, 0, params)
    return mirror


def test_every_sampler_of_the_spec_is_listed() -> None:
    assert set(SAMPLERS) == set(SAMPLER_ROWS)


def trial(number: int, value: float | None, rate: float, state: TrialState) -> Told:
    params: Params = {"penalty": "none", "learning_rate": rate, "weight_decay": 0.0}
    return Told(number, value, params, state)


RATE_ONLY = spec(
    {
        "penalty": "none",
        "lambda": 0.0,
        "l1_ratio": 0.5,
        "weight_decay": 0.0,
        "learning_rate": {"low": 0.01, "high": 1.0},
    }
)


def exact(**search: Any) -> JobSpec:
    return spec(search, optimizer="exact", model={"kind": "linear"})


EVERYTHING = {
    "dropout": {"low": 0.0, "high": 0.5},
    "label_smoothing": [0.0, 0.1],
    "input_noise": 0.25,
}


@pytest.mark.parametrize("job", [spec(EVERYTHING), exact(label_smoothing=[0.0, 0.1])])
def test_the_study_has_the_names_of_the_spec_in_one_order(job):
    space = search_space(job, (1e-6, 1e-1))
    study = optuna.create_study(sampler=RandomSampler(seed=1))
    proposed = [suggest(study.ask(), space) for _ in range(30)]
    assert [trial.params for trial in study.trials] == proposed
    for params in proposed:
        assert list(params) == [name for name in space if name in params]
        assert params.keys() >= space.keys() - {"lambda", "l1_ratio"}
    assert {trial.params["label_smoothing"] for trial in study.trials} == {0.0, 0.1}


@pytest.mark.parametrize("job", [spec(EVERYTHING), exact(), exact(penalty="none")])
def test_tpe_goes_on_from_a_history_of_the_same_parameters(job):
    space = search_space(job, (1e-6, 1e-1))
    first = Mirror(job, study_id=1).propose(space, 30, ordinal=0, start=0)
    history = [Told(number, float(number), params) for number, params in enumerate(first)]
    for params in mirror_of(job, space, history).propose(space, 10, ordinal=1, start=30):
        assert space.keys() - {"lambda", "l1_ratio"} <= params.keys() <= space.keys()


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_parameters_exist_only_where_the_penalty_has_them(sampler):
    job = spec(sampler=sampler)
    space = search_space(job, (1e-6, 1e-1))
    seen = set()
    for params in Mirror(job, study_id=1).propose(space, 60, ordinal=0, start=0):
        expected = {"penalty", "learning_rate", "weight_decay"}
        expected |= {"lambda"} if params["penalty"] != "none" else set()
        expected |= {"l1_ratio"} if params["penalty"] == "elastic_net" else set()
        assert set(params) == expected
        seen.add(params["penalty"])
    assert seen == set(job.search.penalty)


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_proposals_depend_on_the_seed_and_the_population_alone(sampler):
    def propose(seed: int, ordinal: int) -> list:
        job = spec(sampler=sampler, seed=seed)
        return Mirror(job, study_id=1).propose(
            search_space(job, (1e-6, 1e-1)), 8, ordinal, 8 * ordinal
        )

    assert propose(0, 0) == propose(0, 0)
    assert propose(0, 0) != propose(0, 1)
    assert propose(0, 0) != propose(1, 0)


def propose_rates(trials: list[Told], count: int, ordinal: int) -> list[float]:
    space = search_space(RATE_ONLY, None)
    proposals = mirror_of(RATE_ONLY, space, trials).propose(space, count, ordinal, len(trials))
    return [float(params["learning_rate"]) for params in proposals]


def _share_within(low: float, high: float, trials: list[Told]) -> float:
    return mean(low < rate < high for rate in propose_rates(trials, 100, ordinal=3))


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
        near[name] = sum(abs(rate - 0.5) < 0.02 for rate in propose_rates(trials, 20, 1))
    assert near["crowded"] < near["alone"]


# --- what a trial's training gets of it -------------------------------------------------------


def test_a_configuration_takes_what_is_searched_from_the_trial_and_the_rest_from_the_job():
    fixed = spec(label_smoothing=0.1, input_noise=0.2, model={"kind": "mlp", "dropout": 0.3})
    rates = {"learning_rate": 0.01, "weight_decay": 0.5}
    made = Configuration.from_params(fixed, {"penalty": "none", **rates})
    assert made == Configuration("none", 0.0, 0.0, 0.01, 0.5, 0.3, 0.1, 0.2)
    searched = {"dropout": 0.25, "label_smoothing": 0.0, "input_noise": 0.125}
    made = Configuration.from_params(spec(EVERYTHING), {"penalty": "l1", "lambda": 2, **searched})
    assert (made.dropout, made.label_smoothing, made.input_noise) == (0.25, 0.0, 0.125)


def test_a_configuration_for_exact_has_no_rates():
    made = Configuration.from_params(exact(), {"penalty": "l2", "lambda": 0.5})
    assert made == Configuration("l2", 0.5, 0.0, 0.0, 0.0)


shares = st.sampled_from([0.0, 0.25, [0.0, 0.5], {"low": 0.125, "high": 0.5, "log": True}])
optional_fields = {
    "optimizer": st.sampled_from(["sgd", "adam", "adamw", "exact"]),
    "model": st.sampled_from([{"kind": "linear"}, {"kind": "mlp", "dropout": 0.25}, {}]),
    "search": st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("learning_rate", "weight_decay", "dropout", "label_smoothing", "input_noise"),
            st.none() | shares,
        )
        | {"penalty": st.sampled_from(["none", "l1", "elastic_net"])},
    ),
    "label_smoothing": st.sampled_from([0.0, 0.25]),
    "input_noise": st.sampled_from([0.0, 0.25]),
    "task": st.sampled_from(["classification", "regression"]),
}


def accepted(fields: dict[str, Any]) -> JobSpec | None:
    try:
        job = parse_spec({"dataset": "d", **fields})
        check_spec(job)
    except InvalidInput:
        return None
    return job


@given(st.fixed_dictionaries({}, optional=optional_fields).filter(accepted), st.integers(0, 999))
def test_every_job_that_passes_the_door_has_configurations_that_make_sense(fields, seed):
    job = accepted(fields)
    assert job is not None
    space = search_space(job, (1e-6, 1e-1))
    params = suggest(optuna.create_study(sampler=RandomSampler(seed=seed)).ask(), space)
    made = Configuration.from_params(job, params)
    assert (made.learning_rate == 0) == (job.optimizer == "exact")
    for name in ("dropout", "label_smoothing", "input_noise"):
        if getattr(job.search, name) is None:
            assert name not in params
        else:
            assert params[name] == getattr(made, name)
    if job.model.kind == "linear":
        assert made.dropout == 0
    if job.task == "regression":
        assert made.label_smoothing == 0
    if job.optimizer == "exact":
        assert (made.weight_decay, made.input_noise) == (0, 0)
