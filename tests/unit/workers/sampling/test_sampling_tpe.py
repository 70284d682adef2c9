"""Population TPE against Optuna's own estimators, and as a sampler of Optuna's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator, _ParzenEstimatorParameters
from optuna.samplers._tpe.sampler import default_gamma, default_weights
from scipy.stats import kstest

from workers.sampling import PopulationTPESampler, tpe
from workers.sampling.axes import Axis
from workers.sampling.parzen import Parzen, recency_weights
from workers.sampling.tpe import FAILED, PENDING, History, good_count, propose

SPACE = {
    "penalty": CategoricalDistribution(("none", "l1", "l2")),
    "rate": FloatDistribution(1e-4, 1e-1, log=True),
    "share": FloatDistribution(-1.0, 3.0),
    "depth": IntDistribution(1, 9, step=2),
    "width": IntDistribution(4, 64, log=True),
}
AXES = [Axis.of(name, each) for name, each in SPACE.items()]
# Densities are ours in [0, 1], Optuna's in the parameter or its logarithm; cells have masses.
LOG_VOLUME = math.log(math.log(1e3)) + math.log(4)


def drawn(count: int, seed: int) -> dict[str, np.ndarray]:
    """Draw columns in Optuna's internal representation."""
    quantiles = np.random.default_rng(seed).random((len(AXES), count))
    return {d.name: d.decode(d.spread(row)) for d, row in zip(AXES, quantiles, strict=True)}


def encoded(columns: dict[str, np.ndarray]) -> np.ndarray:
    return np.stack([d.encode(columns[d.name]) for d in AXES], axis=1)


def theirs(columns: dict[str, np.ndarray]) -> _ParzenEstimator:
    parameters = _ParzenEstimatorParameters(1.0, True, False, default_weights, True)
    return _ParzenEstimator(columns, SPACE, parameters)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [0, 1, 2, 12, 24, 25, 26, 300])
def test_a_density_is_that_of_optunas_estimator(count):
    observed, points = drawn(count, seed=1), drawn(40, seed=2)
    if count > 2:
        # Equal observations have bandwidths in the order of a sort; Optuna's is not a stable one.
        apart = np.linspace(0.01, 0.99, count)
        for name in ("depth", "width"):
            low, high = SPACE[name].low, SPACE[name].high
            observed[name] = low + np.random.default_rng(3).permutation(apart) * (high - low)
    ours = Parzen(AXES, encoded(observed), recency_weights(np.arange(count), count))
    expected = theirs(observed).log_pdf(points) + LOG_VOLUME
    np.testing.assert_allclose(ours.log_density(encoded(points)), expected, rtol=1e-5, atol=1e-5)


@given(st.integers(0, 2000))
def test_good_trials_and_weights_are_counted_as_optuna_counts_them(count):
    assert good_count(count) == default_gamma(count)
    weights = recency_weights(np.arange(count), count)
    np.testing.assert_allclose(weights, default_weights(count), rtol=1e-12)


@pytest.mark.parametrize("name", list(SPACE))
def test_samples_are_spread_as_those_of_optunas_estimator(name):
    observed = drawn(12, seed=3)
    mine = Parzen(AXES, encoded(observed), recency_weights(np.arange(12), 12))
    column = [d.name for d in AXES].index(name)
    ours = mine.sample(4000, np.random.default_rng(0))[:, column]
    ours = AXES[column].decode(ours)
    expected = theirs(observed).sample(np.random.RandomState(0), 4000)[name]
    if isinstance(SPACE[name], CategoricalDistribution):
        shares = [np.bincount(each.astype(int), minlength=3) / 4000 for each in (ours, expected)]
        np.testing.assert_allclose(*shares, atol=0.04)
    else:
        assert kstest(ours, expected).statistic < 0.04


# --- histories --------------------------------------------------------------------------------

ONE = {"x": FloatDistribution(0.0, 1.0)}


def history(x: np.ndarray, values: np.ndarray, tiers: np.ndarray | None = None) -> History:
    return History({"x": x}, np.zeros(len(x), np.int64) if tiers is None else tiers, values)


def test_a_thinned_history_proposes_from_the_same_places_as_a_whole_one(monkeypatch):
    x = np.random.default_rng(0).random(2000)
    told = history(x, np.abs(x - 0.3))
    thinned = propose(told, ONE, 300, np.random.default_rng(1))["x"]
    monkeypatch.setattr(tpe, "NEAREST", 10_000)
    whole = propose(told, ONE, 300, np.random.default_rng(1))["x"]
    assert kstest(thinned, whole).statistic < 0.1
    assert abs(np.median(thinned) - 0.3) < 0.02


unruly = st.lists(
    st.tuples(
        st.floats(0, 1) | st.just(math.nan),
        st.sampled_from([0.0, 1.0, -1e300, 1e300]),
        st.sampled_from([0, 5, FAILED, PENDING]),
    ),
    max_size=60,
)


@given(unruly, st.integers(1, 9))
def test_no_history_keeps_proposals_from_coming_or_lying_in_range(trials, count):
    x, values, tiers = (
        (np.array(each) for each in zip(*trials, strict=True)) if trials else 3 * (np.empty(0),)
    )
    told = history(x, values, tiers.astype(np.int64))
    found = propose(told, ONE, count, np.random.default_rng(0))["x"]
    assert found.shape == (count,)
    assert ((found >= 0) & (found <= 1)).all()


def test_what_failed_is_worse_than_every_value():
    x = np.linspace(0, 1, 60)
    failed = np.where(x > 0.5, FAILED, 0)
    found = propose(history(x, 1 - x, failed), ONE, 200, np.random.default_rng(0))["x"]
    assert np.mean(found > 0.55) < 0.3
    assert np.mean((found > 0.35) & (found < 0.55)) > 0.5  # 0.2 by chance


# --- Optuna's interface -----------------------------------------------------------------------


def conditional(trial: optuna.Trial) -> float:
    kind = trial.suggest_categorical("kind", ["a", "b"])
    x = trial.suggest_float("x", -5, 5)
    if kind == "a":
        return (x - 1) ** 2 + abs(math.log10(trial.suggest_float("y", 1e-5, 1, log=True)) + 2)
    return (x + 2) ** 2 + 1 + 0.1 * trial.suggest_int("n", 1, 20)


def best(sampler: optuna.samplers.BaseSampler, trials: int = 60) -> float:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=sampler)
    study.optimize(conditional, trials)
    return study.best_value


def test_it_searches_a_conditional_space_better_than_chance():
    ours = np.median([best(PopulationTPESampler(seed=seed)) for seed in range(3)])
    by_chance = np.median([best(optuna.samplers.RandomSampler(seed=seed)) for seed in range(3)])
    assert ours < by_chance / 2


def test_asked_one_by_one_trials_keep_away_from_those_that_run():
    def near(told_apart: bool) -> int:
        study = optuna.create_study(sampler=PopulationTPESampler(seed=1))
        for x in np.linspace(0, 1, 40):
            study.add_trial(optuna.create_trial(params={"x": x}, distributions=ONE, value=x))
        trials = []
        for _ in range(30):
            trials.append(study.ask(ONE))
            if not told_apart:
                study.tell(trials[-1], trials[-1].params["x"])
        return sum(trial.params["x"] < 0.02 for trial in trials)

    assert near(told_apart=True) < near(told_apart=False)


def test_it_maximises_learns_of_failures_and_pruned_trials_and_shares_a_study():
    study = optuna.create_study(direction="maximize", sampler=PopulationTPESampler(seed=0))

    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        if x > 0.8:
            raise ArithmeticError
        trial.report(x, step=1)
        if x < 0.2:
            raise optuna.TrialPruned
        return x

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study.optimize(objective, 40, catch=(ArithmeticError,))
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    study.optimize(objective, 10, catch=(ArithmeticError,))  # another process's, say
    study.sampler = PopulationTPESampler(seed=1)
    found = study.sampler.propose(study, ONE, 64)["x"]
    assert np.mean((found > 0.6) & (found < 0.85)) > 0.5  # 0.25 by chance


def test_several_objectives_are_refused():
    study = optuna.create_study(directions=["minimize"] * 2, sampler=PopulationTPESampler())
    with pytest.raises(ValueError, match="one objective"):
        study.ask({"x": FloatDistribution(0, 1)})


def test_the_same_seed_asks_for_the_same_trials():
    def params(seed: int) -> list[dict[str, Any]]:
        study = optuna.create_study(sampler=PopulationTPESampler(seed=seed))
        study.optimize(conditional, 30)
        return [trial.params for trial in study.trials]

    assert params(3) == params(3) != params(4)
