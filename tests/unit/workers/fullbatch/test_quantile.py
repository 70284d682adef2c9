"""Linear quantile regression, against scikit-learn and by its own dual problem."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from populations import CPU, configuration, job, one_fold, train
from sklearn.linear_model import QuantileRegressor

from workers.data.folds import Fold
from workers.data.targets import centre_and_scale
from workers.fullbatch.one_by_one import Solved
from workers.fullbatch.paths import Wanted
from workers.fullbatch.quantile import QuantileFold
from workers.fullbatch.rows import LinearFit, TrainingRows
from workers.models.by_input import ByInput
from workers.objectives.losses import Quantile
from workers.penalties.components import Components
from workers.penalties.concave import concave_value
from workers.penalties.penalties import PENALTIES
from workers.strength.range import critical_strengths

DRAW = np.random.default_rng(0)
INPUTS = DRAW.normal(size=(120, 6))
INPUTS = (INPUTS - INPUTS.mean(0)) / INPUTS.std(0)
TARGETS = INPUTS @ [0.6, -0.4, 0.2, 0, 0, 0] + DRAW.standard_t(2, size=120)
WIDE = DRAW.normal(size=(40, 600))
WIDE_TARGETS = WIDE[:, :3].sum(1) + DRAW.normal(size=40)
OFTEN = DRAW.integers(0, 4, size=120)
GROUPS = [[0, 1, 2], [3, 4], [5]]


def fit_of(inputs: Any, targets: Any, level: float, **fields: Any) -> LinearFit:
    weights = fields.pop("weights", None)
    rows = TrainingRows(torch.tensor(inputs), torch.tensor(targets), weights)
    return LinearFit([rows], Quantile(level), 1, torch.float64, CPU, **fields)


def solved(fit: LinearFit, own: Components) -> tuple[np.ndarray, float]:
    found: Solved = QuantileFold(fit, 0).solve(Wanted(own))
    assert found.converged
    return found.weights[0].numpy(), found.intercepts.item()


def value(fit: LinearFit, own: Components, weights: np.ndarray, intercept: float) -> float:
    """Return the objective, as docs/training.md has it, of a penalty of single columns."""
    rows = fit.folds[0]
    errors = rows.targets.numpy() - rows.inputs.numpy() @ weights - intercept
    assert isinstance(fit.kind, Quantile)
    losses = np.maximum(fit.kind.level * errors, (fit.kind.level - 1) * errors)
    shares = None if rows.weights is None else rows.weights.numpy()
    penalty = own.l1 * np.abs(weights).sum() + own.l2 * np.square(weights).sum()
    for columns in fit.groups or []:
        penalty += own.group * np.sqrt(len(columns)) * np.linalg.norm(weights[columns])
    return float(np.average(losses, weights=shares) + penalty)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.001, 0.03, 0.15])
@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_the_lasso_is_scikit_learns_with_its_zeros(
    level: float, alpha: float, weighted: bool
) -> None:
    often = OFTEN.astype(float) if weighted else None
    weights = None if often is None else torch.tensor(often)
    fit = fit_of(INPUTS, TARGETS, level, weights=weights)
    found, intercept = solved(fit, Components(l1=alpha))
    theirs = QuantileRegressor(quantile=level, alpha=alpha).fit(INPUTS, TARGETS, often)
    own = Components(l1=alpha)
    least = value(fit, own, theirs.coef_, theirs.intercept_)
    assert value(fit, own, found, intercept) == pytest.approx(least, rel=1e-9)
    np.testing.assert_allclose(found, theirs.coef_, atol=1e-6)
    assert ((found == 0) == (np.abs(theirs.coef_) < 1e-9)).all()


@pytest.mark.parametrize("alpha", [0.001, 0.1])
def test_of_many_columns_those_that_matter_are_found(alpha: float) -> None:
    fit, own = fit_of(WIDE, WIDE_TARGETS, 0.3), Components(l1=alpha)
    found, intercept = solved(fit, own)
    theirs = QuantileRegressor(quantile=0.3, alpha=alpha).fit(WIDE, WIDE_TARGETS)
    least = value(fit, own, theirs.coef_, theirs.intercept_)
    assert value(fit, own, found, intercept) == pytest.approx(least, rel=1e-7)
    assert np.count_nonzero(found) == np.count_nonzero(np.abs(theirs.coef_) > 1e-9)


STRENGTHS = st.floats(-4, 0).map(lambda power: 10**power)
PENALTIES_OF_ALL_KINDS = st.one_of(
    st.builds(Components, l1=STRENGTHS),
    st.builds(Components, l2=STRENGTHS),
    st.builds(Components, l1=STRENGTHS, l2=STRENGTHS),
    st.builds(Components, group=STRENGTHS),
    st.builds(Components, l1=STRENGTHS, group=STRENGTHS),
)


@settings(max_examples=60, deadline=None)
@given(
    own=PENALTIES_OF_ALL_KINDS,
    level=st.sampled_from([0.05, 0.5, 0.8]),
    rows=st.integers(3, 120),
    rounded=st.booleans(),
)
def test_no_model_can_be_better(own: Components, level: float, rows: int, rounded: bool) -> None:
    """By weak duality: Σ a y less the penalty's conjugate is below the objective of any model.

    a are slopes of the rows' losses, each between its ends, which add up to 0.
    """
    inputs, targets = INPUTS[:rows], TARGETS[:rows].round() if rounded else TARGETS[:rows]
    groups = GROUPS if own.group > 0 else None
    fit = fit_of(inputs, targets, level, groups=groups)
    found, intercept = solved(fit, own)
    slopes = -QuantileFold(fit, 0).slopes(Wanted(own)).numpy()
    assert slopes.min() >= -(1 - level) / rows - 1e-12
    assert slopes.max() <= level / rows + 1e-12
    assert abs(slopes.sum()) < 1e-9
    least = slopes @ targets
    asked = np.abs(slopes @ inputs)
    for columns in groups or [[column] for column in range(6)]:
        left = np.linalg.norm(np.maximum(asked[columns] - own.l1, 0))
        beyond = max(0.0, left - own.group * np.sqrt(len(columns)))
        if own.l2 > 0:
            least -= beyond**2 / (4 * own.l2)
        else:
            assert beyond < 1e-9
    reached = value(fit, own, found, intercept)
    scale = value(fit, Components(), np.zeros(6), float(np.quantile(targets, level)))
    assert reached - least < 1e-6 * max(scale, 1e-3)


@pytest.mark.parametrize("name", ["mcp", "scad"])
def test_concave_penalties_end_in_a_minimum_that_shrinks_less(name: str) -> None:
    own = PENALTIES[name].components(0.05, 0.5)
    fit = fit_of(INPUTS, TARGETS, 0.5)
    found, intercept = solved(fit, own)
    assert 0 < np.count_nonzero(found) < 6

    def objective(weights: np.ndarray, constant: float) -> float:
        shape = (torch.tensor(each) for each in (own.l1, own.concavity, own.knee))
        penalty = concave_value(torch.from_numpy(weights), *shape).sum().item()
        return value(fit, Components(), weights, constant) + penalty

    reached = objective(found, intercept)
    for step in 1e-3 * np.random.default_rng(1).normal(size=(200, 7)):
        assert objective(found + step[:6], intercept + step[6]) > reached
    lasso, of_lasso = solved(fit, own.straight(1.0))
    assert reached < objective(lasso, of_lasso)
    assert np.abs(found).max() > np.abs(lasso).max()


def test_bounds_are_kept() -> None:
    low = [0.0, -0.1, -np.inf, 0.05, 0.0, -np.inf]
    high = [np.inf, np.inf, np.inf, 0.05, 0.0, np.inf]
    bounds = torch.tensor([[low, high]], dtype=torch.float64)
    found, _ = solved(fit_of(INPUTS, TARGETS, 0.5, bounds=bounds), Components(l2=1e-3))
    assert (found >= low).all()
    assert found[[1, 3, 4]].tolist() == [-0.1, 0.05, 0.0]
    assert found[0] > 0.2


def test_without_a_penalty_the_shortest_weights_of_a_wide_table_are_found() -> None:
    found, intercept = solved(fit_of(WIDE, WIDE_TARGETS, 0.5), Components())
    np.testing.assert_allclose(WIDE @ found + intercept, WIDE_TARGETS, atol=1e-8)
    centred = WIDE - WIDE.mean(0)
    least = np.linalg.pinv(centred) @ (WIDE_TARGETS - WIDE_TARGETS.mean())
    np.testing.assert_allclose(found, least, atol=1e-6)


@pytest.mark.parametrize(("penalize", "free"), [("weights", 0), ("weights", 1), ("all", 0)])
def test_the_last_weight_goes_at_the_largest_strength(penalize: str, free: int) -> None:
    """free: of the inputs, how many no penalty holds; the first ones, which tell the most."""
    centre, scale = centre_and_scale(TARGETS, Quantile(0.7))
    data, own = torch.tensor(INPUTS), torch.tensor((TARGETS - centre) / scale)
    fold = Fold(data, own, data, torch.tensor(TARGETS), centre, scale)
    loss = {"kind": "quantile", "quantile": 0.7}
    fields: dict[str, Any] = {"model": {"kind": "linear"}, "penalize": penalize}
    search = {"penalty": ["l1", "group_lasso"]}
    spec = job(task="regression", loss=loss, search=search, **fields)
    factors = torch.tensor([0.0] * free + [1.0] * (6 - free)).double()
    inputs = ByInput(factors=factors if free else None)
    largest, of_groups = critical_strengths(spec, fold, 1, inputs)
    assert largest == pytest.approx(of_groups)
    fit = fit_of(INPUTS, own.numpy(), 0.7, penalize=penalize, factors=inputs.factors)
    for factor, any_left in ((1 + 1e-6, False), (1 - 1e-3, True)):
        found, intercept = solved(fit, Components(l1=factor * largest))
        assert bool(found[free:].any() or (penalize == "all" and intercept != 0)) is any_left
        assert found[:free].all()


def test_a_strength_that_leaves_nothing_where_targets_are_tied() -> None:
    ties = TARGETS.round()
    centre, scale = centre_and_scale(ties, Quantile(0.5))
    assert (ties == centre).sum() > 10
    own, data = torch.tensor((ties - centre) / scale), torch.tensor(INPUTS)
    fold = Fold(data, own, data, torch.tensor(ties), centre, scale)
    spec = job(task="regression", loss="quantile", model={"kind": "linear"})
    spec = spec.model_copy(update={"search": spec.search.model_copy(update={"penalty": ["l1"]})})
    (largest,) = critical_strengths(spec, fold, 1)
    fit = fit_of(INPUTS, own.numpy(), 0.5)
    assert not solved(fit, Components(l1=1.0001 * largest))[0].any()
    assert solved(fit, Components(l1=0.5 * largest))[0].any()


def test_members_are_trained_to_the_optimum_whatever_company_they_have() -> None:
    fold = one_fold(INPUTS, TARGETS)
    spec = job(
        task="regression", loss="quantile", model={"kind": "linear"}, optimizer="exact", epochs=3
    )
    members = [configuration("l1", 0.03), configuration("group_lasso", 0.1), configuration("none")]
    found = train(spec, members, [fold], dtype=torch.float64)
    assert found.converged is not None
    assert found.converged.all()
    alone = train(spec, members[:1], [fold], dtype=torch.float64)
    own, first = found.parameters(0, 0), alone.parameters(0, 0)
    assert all(torch.equal(own[name], first[name]) for name in own)
