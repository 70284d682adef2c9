"""Both solvers of linear models: against scikit-learn, and by what an optimum must meet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from populations import CPU, job, made_up_fold, one_fold, same_bits
from scipy.optimize import minimize
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
)
from torch import Tensor

from workers.data.folds import Fold
from workers.fullbatch.exact import Exact, ExactFold
from workers.fullbatch.fista import Fista
from workers.fullbatch.rows import LinearFit, TrainingRows
from workers.fullbatch.solver import Rounds
from workers.fullbatch.terms import Strengths
from workers.kernels import load
from workers.kernels.linear import Columns
from workers.objectives.losses import Kind, row_losses, row_weights
from workers.penalties.components import Components
from workers.penalties.conversions import sklearn_least_squares, sklearn_logistic
from workers.penalties.penalties import PENALTIES
from workers.strength.range import linear_range

COUNT = 64
RATIO = 0.4
ROUNDS = 60
WAYS = ("side by side", "one by one")


def training(fold: Fold, weights: Tensor | None = None) -> TrainingRows:
    return TrainingRows(fold.train_inputs, fold.train_targets, weights)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return request.param


def solved(
    way: str,
    rows: Sequence[TrainingRows],
    kind: Kind,
    parts: Sequence[Components],
    outputs: int = 1,
    smoothing: Sequence[float] = (),
    dtype: torch.dtype = torch.float64,
    rounds: int = ROUNDS,
    **options: Any,
) -> Rounds:
    """Members after some rounds, or when all have arrived: side by side, or one by one."""
    fit = LinearFit(rows, kind, outputs, dtype, CPU, **options)
    own = Strengths.of(parts, smoothing)
    solver = Fista(fit, own)
    if way == "one by one":
        library = load(dtype)
        if isinstance(library, str):
            pytest.skip(library)
        solver = Exact(fit, own, [ExactFold(fit, fold, library) for fold in rows])
    for _ in range(rounds):
        if not solver.active.any():
            break
        solver.advance()
    return solver


def path(name: str, largest: float, lowest: float = 1e-4) -> tuple[list[float], list[Components]]:
    """64 strengths; the last is just above the largest one that leaves any weight."""
    values = (largest * (1 + 1e-6) * torch.logspace(math.log10(lowest), 0, COUNT).double()).tolist()
    return values, [PENALTIES[name].components(value, RATIO) for value in values]  # type: ignore[index]


def digits(every: int = 9) -> Fold:
    inputs, targets = load_digits(return_X_y=True)
    inputs, targets = inputs[::every], targets[::every]
    return one_fold(inputs[:, inputs.std(0) > 0], targets)


def arrays(fold: Fold) -> tuple[np.ndarray, np.ndarray]:
    return fold.train_inputs.double().numpy(), fold.train_targets.numpy()


def critical(name: str, fold: Fold, kind: Kind, outputs: int = 1, **fields: Any) -> float:
    """λ_max."""
    spec = job(
        task="regression" if kind == "regression" else "classification",
        model={"kind": "linear"},
        search={"penalty": [name], "l1_ratio": RATIO},
        **fields,
    )
    return linear_range(spec, fold, outputs).high


def violation(
    solver: Rounds,
    rows: TrainingRows,
    kind: Kind,
    member: int,
    parts: Components,
    smoothing: float = 0.0,
    fold: int = 0,
    group_by: str = "input",
) -> float:
    """The largest entry of the smallest subgradient, by autograd on the loss that jobs train."""
    weights = solver.weights[fold, member].double().requires_grad_()
    intercepts = solver.intercepts[fold, member].double().requires_grad_()
    logits = rows.inputs.double() @ weights.T + intercepts
    share = torch.tensor([smoothing], dtype=torch.float64)
    losses = row_losses(kind, logits, rows.targets, share)
    shares = torch.ones_like(losses) if rows.weights is None else rows.weights
    loss = (losses * shares).sum() / shares.sum()
    slope, free = torch.autograd.grad(loss, (weights, intercepts))
    found = weights.detach()
    slope = slope + 2 * parts.l2 * found + parts.l1 * found.sign()
    slope = torch.where(found == 0, slope - slope.clamp(-parts.l1, parts.l1), slope)
    axis = 0 if group_by == "input" else 1
    norms, limit = found.norm(dim=axis, keepdim=True), parts.group * math.sqrt(found.shape[axis])
    pull = slope + limit * found / norms.clamp_min(1e-300)
    beyond = slope * (1 - limit / slope.norm(dim=axis, keepdim=True).clamp_min(1e-300)).clamp_min(0)
    left = torch.where(norms > 0, pull, beyond)
    return max(left.abs().max().item(), free.abs().max().item())


# --- against scikit-learn -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["l1", "l2", "elastic_net"])
def test_least_squares_of_64_strengths_are_scikit_learns(way: str, name: str) -> None:
    fold = one_fold(*load_diabetes(return_X_y=True))
    inputs, targets = arrays(fold)
    values, parts = path(name, critical(name, fold, "regression"))
    solver = solved(way, [training(fold)], "regression", parts)
    assert solver.converged.all()
    kinds = {"l1": Lasso, "l2": Ridge, "elastic_net": ElasticNet}
    for member, value in enumerate(values):
        arguments = sklearn_least_squares(name, value, RATIO, len(targets))  # type: ignore[arg-type]
        exact = {"tol": 1e-14, "max_iter": 1_000_000} if name != "l2" else {}
        theirs = kinds[name](**arguments, **exact).fit(inputs, targets).coef_
        found = solver.weights[0, member, 0].numpy()
        assert found == pytest.approx(theirs, abs=1e-6)
        assert ((found != 0) == (theirs != 0)).all()


@cache
def scikit_learns_coefficients(load: str, name: str, strength: float) -> np.ndarray:
    """Fitted once for both solvers: saga takes its time."""
    fold = digits() if load == "digits" else one_fold(*load_breast_cancer(return_X_y=True))
    inputs, targets = arrays(fold)
    arguments = sklearn_logistic(name, strength, RATIO, len(targets))  # type: ignore[arg-type]
    exact = {"solver": "newton-cg" if name == "l2" else "saga", "tol": 1e-10, "max_iter": 20_000}
    return LogisticRegression(**arguments, **exact).fit(inputs, targets).coef_


@pytest.mark.parametrize(("name", "compared"), [("l2", 64), ("elastic_net", 24), ("l1", 12)])
def test_logistic_regressions_of_64_strengths_are_scikit_learns(
    way: str, name: str, compared: int
) -> None:
    fold = one_fold(*load_breast_cancer(return_X_y=True))
    values, parts = path(name, critical(name, fold, "binary"))
    solver = solved(way, [training(fold)], "binary", parts)
    assert solver.converged.all()
    for member, part in enumerate(parts):
        assert violation(solver, training(fold), "binary", member, part) < 1e-9
    step = 1 if name == "l2" else 6  # saga is slow; with weak strengths it takes minutes
    for member in range(COUNT - compared, COUNT, step):
        theirs = scikit_learns_coefficients("breast_cancer", name, values[member])
        found = solver.weights[0, member].numpy()
        assert found == pytest.approx(theirs, abs=1e-6)
        assert ((found != 0) == (theirs != 0)).all()


@pytest.mark.parametrize(("name", "lowest"), [("l2", 1e-4), ("l1", 1e-2), ("group_lasso", 1e-2)])
def test_softmax_regressions_of_64_strengths_are_optimal(
    way: str, name: str, lowest: float
) -> None:
    fold = digits()
    values, parts = path(name, critical(name, fold, "multiclass", 10), lowest)
    solver = solved(way, [training(fold)], "multiclass", parts, outputs=10)
    assert solver.converged.all()
    for member, part in enumerate(parts):
        assert violation(solver, training(fold), "multiclass", member, part) < 1e-9
    compared = {"l2": range(0, COUNT, 9), "l1": [COUNT - 4], "group_lasso": []}[name]
    for member in compared:
        theirs = scikit_learns_coefficients("digits", name, values[member])
        assert solver.weights[0, member].numpy() == pytest.approx(theirs, abs=1e-6)
    sums = solver.intercepts.sum(-1).numpy()
    assert sums == pytest.approx(np.zeros_like(sums), abs=1e-12)


def test_balanced_classes_are_scikit_learns(way: str) -> None:
    fold = one_fold(*load_breast_cancer(return_X_y=True))
    inputs, targets = arrays(fold)
    weights = torch.tensor(len(targets) / (2 * np.bincount(targets)))[fold.train_targets]
    solver = solved(way, [training(fold, weights)], "binary", [Components(l2=0.05)])
    arguments = sklearn_logistic("l2", 0.05, 0.0, len(targets))
    theirs = LogisticRegression(
        **arguments, solver="newton-cg", tol=1e-10, class_weight="balanced"
    ).fit(inputs, targets)
    assert solver.weights[0, 0].numpy() == pytest.approx(theirs.coef_, abs=1e-6)
    assert solver.intercepts[0, 0].numpy() == pytest.approx(theirs.intercept_, abs=1e-6)


@pytest.mark.parametrize("inputs", [5, 120])
def test_rows_that_are_not_centred_weigh_as_told_in_every_fold(way: str, inputs: int) -> None:
    """With 120 columns of 30 rows the Gram matrix doesn't pay, and isn't used."""
    draw = torch.Generator().manual_seed(0)
    rows = [
        TrainingRows(
            3 + 2 * torch.randn(count, inputs, generator=draw).double(),
            torch.randn(count, generator=draw).double(),
            torch.rand(count, generator=draw).double(),
        )
        for count in (20, 30)
    ]
    solver = solved(way, rows, "regression", [Components(l2=0.3), Components(l2=0.03)])
    assert solver.converged.all()
    for fold, part in enumerate(rows):
        assert part.weights is not None
        total = part.weights.sum().item()
        for member, strength in enumerate((0.3, 0.03)):
            theirs = Ridge(alpha=strength * total).fit(part.inputs, part.targets, part.weights)
            found = solver.weights[fold, member, 0].numpy()
            assert found == pytest.approx(theirs.coef_, abs=1e-6)
            assert solver.intercepts[fold, member].item() == pytest.approx(theirs.intercept_)


def test_a_penalised_intercept_is_one_more_weight(way: str) -> None:
    fold = made_up_fold(60, classes=0)
    inputs, targets = arrays(fold)
    inputs, targets = inputs + 0.5, targets + 1
    rows = TrainingRows(torch.tensor(inputs), torch.tensor(targets))
    parts = [Components(l1=0.2), Components(l1=0.2, l2=0.1), Components(group=0.2)]
    solver = solved(way, [rows], "regression", parts, penalize="all")
    wide = np.column_stack([inputs, np.ones(len(inputs))])
    for member, (name, strength, ratio) in enumerate(
        (("l1", 0.2, 1.0), ("elastic_net", 0.3, 2 / 3), ("l1", 0.2, 1.0))
    ):
        arguments = sklearn_least_squares(name, strength, ratio, len(targets))  # type: ignore[arg-type]
        kind = Lasso if name == "l1" else ElasticNet
        theirs = kind(**arguments, fit_intercept=False, tol=1e-12).fit(wide, targets).coef_
        found = torch.cat([solver.weights[0, member, 0], solver.intercepts[0, member]])
        assert found.numpy() == pytest.approx(theirs, abs=1e-6)


# --- where zeros start --------------------------------------------------------------------------


@pytest.mark.parametrize("load", [load_diabetes, load_breast_cancer, load_wine])
@pytest.mark.parametrize("name", ["l1", "elastic_net", "group_lasso", "sparse_group_lasso"])
def test_everything_is_zero_from_the_critical_strength_on(way: str, load: Any, name: str) -> None:
    fold = one_fold(*load(return_X_y=True))
    regression = fold.train_targets.is_floating_point()
    kind: Kind = "regression" if regression else "binary"
    outputs = 1
    if load is load_wine:
        kind, outputs = "multiclass", 3
    largest = critical(name, fold, kind, outputs)
    own = [PENALTIES[name].components(largest * by, RATIO) for by in (1 + 1e-6, 0.99)]  # type: ignore[index]
    solver = solved(way, [training(fold)], kind, own, outputs)
    assert solver.converged.all()
    assert (solver.weights != 0).flatten(2).any(-1).tolist() == [[False, True]]


@pytest.mark.parametrize("penalize", ["weights", "all"])
@pytest.mark.parametrize(
    ("class_weights", "smoothing"), [("balanced", 0.0), ("none", 0.2), ("balanced", 0.7)]
)
@pytest.mark.parametrize("load", [load_breast_cancer, load_wine])
@pytest.mark.parametrize("name", ["l1", "elastic_net", "group_lasso", "sparse_group_lasso"])
def test_the_critical_strength_knows_of_class_weights_smoothing_and_intercepts(
    way: str, load: Any, name: str, class_weights: str, smoothing: float, penalize: Any
) -> None:
    fold = one_fold(*load(return_X_y=True))
    kind: Kind = "multiclass" if load is load_wine else "binary"
    outputs = 3 if load is load_wine else 1
    fields = {"class_weights": class_weights, "label_smoothing": smoothing, "penalize": penalize}
    largest = critical(name, fold, kind, outputs, **fields)
    rows = training(fold, row_weights(job(**fields), fold.train_targets))
    strengths = [largest * by for by in (1 + 1e-6, 1 - 1e-6, 0.99)]
    own = [PENALTIES[name].components(strength, RATIO) for strength in strengths]  # type: ignore[index]
    solver = solved(way, [rows], kind, own, outputs, [smoothing] * 3, penalize=penalize)
    assert solver.converged.all()
    nonzero = (solver.weights != 0).flatten(2).any(-1)
    if penalize == "all":
        nonzero = nonzero | (solver.intercepts != 0).any(-1)
    assert nonzero.tolist() == [[False, True, True]]


@pytest.mark.parametrize("penalize", ["weights", "all"])
def test_the_critical_strength_of_numbers_knows_of_their_intercept(way: str, penalize: Any) -> None:
    fold = one_fold(*load_diabetes(return_X_y=True))
    shifted = replace(
        fold, train_inputs=fold.train_inputs + 1, train_targets=fold.train_targets + 2
    )
    largest = critical("l1", shifted, "regression", penalize=penalize)
    own = [Components(l1=largest * by) for by in (1 + 1e-6, 1 - 1e-6)]
    solver = solved(way, [training(shifted)], "regression", own, penalize=penalize)
    nonzero = (solver.weights != 0).flatten(2).any(-1)
    if penalize == "all":
        nonzero = nonzero | (solver.intercepts != 0).any(-1)
    assert nonzero.tolist() == [[False, True]]


# --- group lasso, label smoothing ---------------------------------------------------------------


@pytest.mark.parametrize("group_by", ["input", "neuron"])
def test_group_lasso_is_what_another_parametrisation_finds(way: str, group_by: str) -> None:
    """τ‖w‖ is the least τ(‖u‖² + v²)/2 over all u v = w: smooth, so L-BFGS minimises it."""
    fold = made_up_fold(60, inputs=4, classes=3)
    strength = 0.06
    solver = solved(
        way, [training(fold)], "multiclass", [Components(group=strength)], 3, group_by=group_by
    )
    size, shared = (3, (1, 4)) if group_by == "input" else (4, (3, 1))
    inputs, targets = fold.train_inputs.double(), fold.train_targets

    def split(flat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return flat[:12].view(3, 4), flat[12:-3].view(shared), flat[-3:]

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        point = torch.tensor(flat, requires_grad=True)
        u, v, b = split(point)
        loss = row_losses("multiclass", inputs @ (u * v).T + b, targets).mean()
        total = loss + strength * math.sqrt(size) / 2 * (u.square().sum() + v.square().sum())
        total.backward()
        assert point.grad is not None
        return total.item(), point.grad.numpy()

    start = np.random.default_rng(0).normal(size=15 + math.prod(shared))
    best = minimize(
        objective,
        start,
        jac=True,
        method="L-BFGS-B",
        options={"ftol": 1e-16, "gtol": 1e-10, "maxiter": 10_000},
    )
    u, v, _ = split(torch.tensor(best.x))
    found = solver.weights[0, 0]
    assert found.numpy() == pytest.approx((u * v).numpy(), abs=1e-5)
    zero = (found == 0).all(0 if group_by == "input" else 1)
    assert not zero.all()
    assert (
        violation(
            solver, training(fold), "multiclass", 0, Components(group=strength), group_by=group_by
        )
        < 1e-9
    )


@pytest.mark.parametrize(("kind", "classes"), [("binary", 2), ("multiclass", 3)])
def test_smoothed_labels_and_weighted_rows_are_those_of_training(
    way: str, kind: Kind, classes: int
) -> None:
    folds = [made_up_fold(rows, classes=classes, seed=rows) for rows in (50, 61)]
    draw = torch.Generator().manual_seed(0)
    rows = [
        training(fold, torch.rand(len(fold.train_targets), generator=draw).double())
        for fold in folds
    ]
    parts = [
        Components(),
        Components(l1=0.02),
        Components(l2=0.01),
        Components(l1=0.01, l2=0.01),
        Components(group=0.01),
    ]
    smoothing = [0.3, 0.0, 0.1, 0.2, 0.1]
    outputs = 1 if kind == "binary" else classes
    solver = solved(way, rows, kind, parts, outputs, smoothing)
    assert solver.converged.all()
    for fold, part in enumerate(rows):
        for member, own in enumerate(parts):
            share = smoothing[member]
            assert violation(solver, part, kind, member, own, share, fold) < 1e-8


def test_members_of_many_smoothings_share_a_ladder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ladder of some ten rungs for each of them would cost ten times the members."""
    solves: list[object] = []
    real = Columns.solve
    monkeypatch.setattr(
        Columns, "solve", lambda self, *given: solves.append(given) or real(self, *given)
    )
    parts = [Components(l1=0.005)] * 20
    shares = [0.01 * place for place in range(20)]
    rows = training(made_up_fold(60))
    solver = solved("one by one", [rows], "binary", parts, smoothing=shares)
    assert solver.converged.all()
    for member, share in enumerate(shares):
        assert violation(solver, rows, "binary", member, parts[0], share) < 1e-8
    assert 20 < len(solves) < 60


# --- company ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("classes", [0, 2, 3, 5])
def test_a_member_is_bitwise_the_same_in_any_company(
    way: str, dtype: torch.dtype, classes: int
) -> None:
    kind: Kind = "regression" if classes == 0 else "binary" if classes == 2 else "multiclass"
    outputs = max(1, classes) if kind == "multiclass" else 1
    rows = [training(made_up_fold(count, inputs=7, classes=classes)) for count in (80, 71)]
    parts = [
        PENALTIES[name].components(10 ** (-1 - member / 5), RATIO)
        for member, name in enumerate(("l1", "l2", "elastic_net", "group_lasso", "none") * 4)
    ]
    everyone = solved(way, rows, kind, parts, outputs, dtype=dtype, rounds=4)
    for chosen in ([5], [3, 13, 19], list(range(2, 18))):
        own = [parts[member] for member in chosen]
        few = solved(way, rows, kind, own, outputs, dtype=dtype, rounds=4)
        assert same_bits(few.weights, everyone.weights[:, chosen])
        assert same_bits(few.intercepts, everyone.intercepts[:, chosen])
        assert same_bits(few.residuals, everyone.residuals[:, chosen])


@pytest.mark.parametrize("poison", [math.nan, math.inf])
@pytest.mark.parametrize("part", ["l1", "l2", "group", "smoothing"])
def test_a_poisoned_member_leaves_and_touches_nobody(way: str, part: str, poison: float) -> None:
    rows = [training(made_up_fold(60, classes=3))]
    healthy = [Components(l1=0.02), Components(), Components(group=0.01)]
    alone = solved(way, rows, "multiclass", healthy, 3)
    smoothing = [0.0] * 4
    sick = Components()
    if part == "smoothing":
        smoothing[1] = poison
    else:
        sick = Components(**{part: poison})
    own = [healthy[0], sick, *healthy[1:]]
    solver = solved(way, rows, "multiclass", own, 3, smoothing)
    assert solver.failed.tolist() == [False, True, False, False]
    assert not solver.active.any()
    assert same_bits(solver.weights[:, [0, 2, 3]], alone.weights)


def test_a_broken_fold_ends_and_says_so(way: str) -> None:
    for broken in (math.nan, math.inf):
        fold = made_up_fold(40)
        fold.train_inputs[3, 2] = broken
        solver = solved(way, [training(fold)], "binary", path("l1", 0.2)[1][:3])
        assert not solver.active.any()
        assert solver.failed.all()


# --- what has no optimum, or nothing to learn ---------------------------------------------------


def test_classes_that_a_line_separates_give_finite_weights(way: str) -> None:
    inputs = torch.linspace(-1, 1, 20).double().unsqueeze(1)
    rows = TrainingRows(inputs, (inputs.squeeze(1) > 0).long())
    solver = solved(way, [rows], "binary", [Components(), Components(l2=1e-3)])
    assert solver.weights.isfinite().all()
    assert solver.weights[0, 0].item() > 2 * solver.weights[0, 1].item() > 0


def test_constant_inputs_leave_the_mean_to_the_intercept(way: str) -> None:
    rows = TrainingRows(torch.full((20, 3), 7.0).double(), (torch.arange(20) < 5).long())
    solver = solved(way, [rows], "binary", [Components(l1=0.1), Components()])
    assert solver.converged.all()
    assert (solver.weights == 0).all()
    assert solver.intercepts.flatten().tolist() == pytest.approx([math.log(5 / 15)] * 2)


@pytest.mark.parametrize("name", ["l1", "l2", "elastic_net"])
def test_float32_converges_to_what_it_can_resolve(way: str, name: str) -> None:
    fold = one_fold(*load_breast_cancer(return_X_y=True))
    parts = path(name, critical(name, fold, "binary"), 1e-3)[1]
    single = solved(way, [training(fold)], "binary", parts, dtype=torch.float32)
    assert single.converged.all()
    for member, part in enumerate(parts):
        assert violation(single, training(fold), "binary", member, part) < 1e-5


# --- shapes that a solver may stumble over ------------------------------------------------------


def simulated(rows: int, columns: int, *, classes: bool, seed: int = 0) -> tuple[Any, Any]:
    """Ten columns tell something; in each pair of columns one nearly repeats the other."""
    draw = np.random.default_rng(seed)
    inputs = draw.normal(size=(rows, columns))
    inputs[:, 1::2] = 0.99 * inputs[:, : columns // 2 * 2 : 2] + 0.14 * inputs[:, 1::2]
    inputs = (inputs - inputs.mean(0)) / inputs.std(0)
    signal = inputs[:, :20:2] @ draw.normal(size=10)
    if classes:
        return inputs, (signal > 0).astype(np.int64)
    targets = signal + draw.normal(size=rows)
    return inputs, (targets - targets.mean()) / targets.std()


def rows_of(inputs: np.ndarray, targets: np.ndarray) -> TrainingRows:
    return TrainingRows(torch.tensor(inputs), torch.tensor(targets))


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize(("rows", "columns"), [(60, 1000), (300, 60)])
def test_correlated_columns_are_solved_as_scikit_learn_solves_them(
    rows: int, columns: int, share: float
) -> None:
    inputs, targets = simulated(rows, columns, classes=False)
    largest = 2 * np.abs(inputs.T @ targets).max() / rows / share
    strengths = [largest * by for by in (0.5, 0.1, 0.02)]
    parts = [Components(l1=own * share, l2=own * (1 - share)) for own in strengths]
    solver = solved("one by one", [rows_of(inputs, targets)], "regression", parts)
    assert solver.converged.all()
    for member, part in enumerate(parts):
        alpha = part.l1 / 2 + part.l2
        kind = ElasticNet(alpha=alpha, l1_ratio=part.l1 / 2 / alpha, tol=1e-12, max_iter=1_000_000)
        theirs = kind.fit(inputs, targets).coef_
        found = solver.weights[0, member, 0].numpy()
        assert found == pytest.approx(theirs, abs=1e-6)
        assert ((found != 0) == (np.abs(theirs) > 1e-9)).all()


@pytest.mark.parametrize("columns", [60, 200, 1200])
def test_without_a_penalty_many_columns_get_the_shortest_weights(way: str, columns: int) -> None:
    """All that fit the rows are optima: which one is no matter of the columns' order."""
    inputs, targets = simulated(40, columns, classes=False)
    solver = solved(way, [rows_of(inputs, targets)], "regression", [Components()])
    assert solver.converged.all()
    theirs = LinearRegression().fit(inputs, targets)
    assert solver.weights[0, 0, 0].numpy() == pytest.approx(theirs.coef_, abs=1e-6)


@pytest.mark.parametrize("kind", ["regression", "binary"])
def test_ridge_of_more_columns_than_rows_is_scikit_learns(kind: Kind) -> None:
    """A thousand columns are too many for one working set: only the rows' directions matter."""
    inputs, targets = simulated(40, 1200, classes=kind == "binary")
    strengths = [1.0, 0.01]
    parts = [Components(l2=own) for own in strengths]
    solver = solved("one by one", [rows_of(inputs, targets)], kind, parts)
    assert solver.converged.all()
    for member, own in enumerate(strengths):
        if kind == "regression":
            theirs = Ridge(alpha=own * len(targets)).fit(inputs, targets)
        else:
            arguments = sklearn_logistic("l2", own, 0.0, len(targets))
            theirs = LogisticRegression(**arguments, solver="newton-cg", tol=1e-12).fit(
                inputs, targets
            )
        assert solver.weights[0, member].numpy() == pytest.approx(
            theirs.coef_.reshape(1, -1), abs=1e-6
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_separable_classes_end_at_scikit_learns_objective(way: str, dtype: torch.dtype) -> None:
    """Of 60 rows by 2,000 columns a logistic regression saturates: steps that overshoot rise."""
    inputs, targets = simulated(60, 2000, classes=True)
    inputs = inputs.astype(np.float32).astype(np.float64)
    largest = np.abs(inputs.T @ (targets - targets.mean())).max() / 60
    strengths = [largest * by for by in (0.5, 0.1, 0.01, 0.001)]
    parts = [Components(l1=own) for own in strengths]
    rows = [rows_of(inputs, targets)]
    solver = solved(way, rows, "binary", parts, dtype=dtype, rounds=400)

    def objective(weights: np.ndarray, intercept: float, strength: float) -> float:
        logits = inputs @ weights + intercept
        losses = np.logaddexp(0, np.where(targets > 0, -logits, logits))
        return losses.mean() + strength * np.abs(weights).sum()

    for member, own in enumerate(strengths):
        found = solver.weights[0, member, 0].double().numpy()
        reached = objective(found, solver.intercepts[0, member].item(), own)
        theirs = LogisticRegression(
            C=1 / (60 * own),
            l1_ratio=1,
            solver="liblinear",
            intercept_scaling=1e4,
            tol=1e-6,
            max_iter=100_000,
        ).fit(inputs, targets)
        reference = objective(theirs.coef_[0], theirs.intercept_[0], own)
        assert reached <= reference * (1 + 1e-5)


def test_a_net_with_little_lasso_keeps_more_columns_than_a_working_set_holds() -> None:
    inputs, targets = simulated(80, 3000, classes=False)
    part = Components(l1=0.002, l2=0.5)
    solver = solved("one by one", [rows_of(inputs, targets)], "regression", [part])
    assert solver.converged.all()
    assert (solver.weights != 0).sum() > 1024
    assert violation(solver, rows_of(inputs, targets), "regression", 0, part) < 1e-8


@pytest.mark.parametrize("name", ["l1", "elastic_net", "group_lasso", "sparse_group_lasso"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_levels_of_categories_and_three_classes_are_solved_in_one_round(
    dtype: torch.dtype, name: str
) -> None:
    """Levels of a category determine each other, and so do the classes: curvature is singular."""
    draw = np.random.default_rng(0)
    codes = draw.integers(4, size=(300, 12))
    levels = (codes[:, :, None] == np.arange(4)).reshape(300, 48).astype(float)
    scores = levels[:, :24] @ draw.normal(size=(24, 3)) + draw.gumbel(size=(300, 3))
    fold = one_fold(levels, scores.argmax(1))
    rows = TrainingRows(fold.train_inputs.to(dtype), fold.train_targets)
    largest = critical(name, fold, "multiclass", 3)
    _, parts = path(name, largest)
    solver = solved("one by one", [rows], "multiclass", parts[::9], 3, dtype=dtype, rounds=1)
    assert solver.converged.all()
    bound = 1e-8 if dtype is torch.float64 else 1e-6
    for member, own in enumerate(parts[::9]):
        assert violation(solver, rows, "multiclass", member, own) < bound


@pytest.mark.parametrize("classes", [2, 3])
def test_members_of_many_rows_start_from_a_sample_and_end_at_their_own_optimum(
    classes: int,
) -> None:
    """A class that no sampled row has must not keep the others from their optimum either."""
    draw = np.random.default_rng(classes)
    inputs = draw.normal(size=(8000, 4))
    scores = inputs @ draw.normal(size=(4, classes)) + draw.gumbel(size=(8000, classes))
    targets = np.sort(scores.argmax(1)) if classes == 2 else scores.argmax(1)
    if classes == 3:
        targets[::16] = draw.integers(2, size=500)
    kind: Kind = "binary" if classes == 2 else "multiclass"
    rows = rows_of(inputs, targets)
    parts = [
        Components(),
        Components(l2=1e-3),
        Components(l1=5e-3),
        Components(l1=1e-3, l2=1e-3),
        Components(group=5e-3),
    ]
    outputs = 1 if classes == 2 else 3
    solver = solved("one by one", [rows], kind, parts, outputs, rounds=1)
    assert solver.converged.all()
    for member, own in enumerate(parts):
        assert violation(solver, rows, kind, member, own) < 1e-8
    alone = solved("one by one", [rows], kind, parts[3:4], outputs, rounds=1)
    assert torch.equal(alone.weights[:, 0], solver.weights[:, 3])
