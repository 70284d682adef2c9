"""Training and judging with sample weights: against scikit-learn, torch.optim and repeated rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from populations import (
    BACKENDS,
    SIDE_BY_SIDE,
    configuration,
    job,
    made_up_fold,
    train,
    trainer_of,
    using,
)
from sklearn import metrics
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from sklearn.utils.class_weight import compute_sample_weight
from torch import Tensor
from torch.nn import functional

from ridgeway.jobs.plan import Engine
from ridgeway.spec.spec import JobSpec
from workers.backends import Models
from workers.backends.compiled import Compiled
from workers.data.folds import Fold
from workers.minibatch.batches import Minibatches
from workers.models.by_input import PLAIN
from workers.objectives.constant import constant_logits, explained_share
from workers.objectives.losses import row_weights
from workers.objectives.metrics import score
from workers.penalties.conversions import sklearn_least_squares, sklearn_logistic
from workers.population.configuration import Configuration
from workers.strength.range import critical_strength

EXACT: dict[str, Any] = {"model": {"kind": "linear"}, "optimizer": "exact", "precision": "float64"}
WAYS = {"one by one": Engine(), "side by side": SIDE_BY_SIDE}


def weighted(fold: Fold, weights: Tensor) -> Fold:
    """The fold with weights of its training rows, 1 on average as folds have them."""
    return replace(fold, train_weights=weights.double() / weights.double().mean())


def taken(fold: Fold, rows: Tensor) -> Fold:
    return replace(
        fold, train_inputs=fold.train_inputs[rows], train_targets=fold.train_targets[rows]
    )


def times(rows: int, seed: int = 0) -> Tensor:
    """Return how often each row counts, 1 to 4 times."""
    return torch.randint(1, 5, (rows,), generator=torch.Generator().manual_seed(seed))


def coefficients(
    spec: JobSpec, members: list[Configuration], fold: Fold, outputs: int = 1, **options: Any
) -> np.ndarray:
    """Return weights and intercepts (members, ...) of linear models."""
    found = train(spec, members, [fold], outputs, dtype=torch.float64, **options)
    assert not found.diverged_at.any()
    return np.concatenate([found.states[name][:, 0].flatten(1) for name in ("weight", "bias")], 1)


# --- to the optimum -----------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("classes", [0, 2, 3])
def test_whole_weights_solve_as_repeated_rows(way: str, classes: int) -> None:
    fold, often = made_up_fold(60, classes=classes), times(60)
    task = "classification" if classes else "regression"
    spec = job(task=task, epochs=60, class_weights="balanced" if classes else "none", **EXACT)
    members = [configuration(name, 0.02) for name in ("l2", "l1", "group_lasso", "elastic_net")]
    outputs = classes if classes > 2 else 1
    own, its = (
        coefficients(spec, members, each, outputs, engine=WAYS[way])
        for each in (weighted(fold, often), taken(fold, torch.arange(60).repeat_interleave(often)))
    )
    assert own == pytest.approx(its, abs=1e-6)
    plain = coefficients(spec, members, fold, outputs, engine=WAYS[way])
    assert own != pytest.approx(plain, abs=1e-3)
    even = coefficients(spec, members, weighted(fold, torch.full((60,), 2.0)), outputs)
    assert even == pytest.approx(plain, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("way", WAYS)
def test_ridge_and_lasso_are_scikit_learns(way: str) -> None:
    fold, own = made_up_fold(80, classes=0), torch.rand(80).double() + 0.1
    spec = job(task="regression", epochs=60, **EXACT)
    members = [configuration("l2", 0.05), configuration("l1", 0.05), configuration()]
    found = coefficients(spec, members, weighted(fold, own), engine=WAYS[way])
    x, y, total = fold.train_inputs.double().numpy(), fold.train_targets.numpy(), float(own.sum())
    models = [
        Ridge(**sklearn_least_squares("l2", 0.05, 0, total)),
        Lasso(**sklearn_least_squares("l1", 0.05, 0, total), tol=1e-14, max_iter=100_000),
        Ridge(alpha=0),
    ]
    for model, ours in zip(models, found, strict=True):
        model.fit(x, y, sample_weight=own.numpy())
        assert ours == pytest.approx([*model.coef_, model.intercept_], abs=1e-6)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_regressions_are_scikit_learns(way: str, classes: int) -> None:
    fold, own = made_up_fold(80, classes=classes), times(80).double() / 3
    outputs = classes if classes > 2 else 1
    spec = job(epochs=60, **EXACT)
    found = coefficients(
        spec, [configuration("l2", 0.02)], weighted(fold, own), outputs, engine=WAYS[way]
    )
    arguments = sklearn_logistic("l2", 0.02, 0, float(own.sum()))
    model = LogisticRegression(C=arguments["C"], solver="newton-cg", tol=1e-10, max_iter=1000)
    model.fit(fold.train_inputs.double().numpy(), fold.train_targets, sample_weight=own.numpy())
    centred = model.intercept_ - (model.intercept_.mean() if classes > 2 else 0)
    assert found[0] == pytest.approx([*model.coef_.ravel(), *centred], abs=1e-6)


@pytest.mark.parametrize("classes", [0, 3])
def test_the_critical_strength_is_that_of_the_weighted_loss(classes: int) -> None:
    fold = weighted(made_up_fold(60, classes=classes), times(60))
    task = "classification" if classes else "regression"
    spec, outputs = job(task=task, epochs=60, **EXACT), max(1, classes)
    largest = critical_strength(spec, fold, outputs, PLAIN, ("l1", 0.5))
    members = [configuration("l1", largest * by) for by in (1 + 1e-6, 1 - 1e-6)]
    found = coefficients(spec, members, fold, outputs)[:, :-outputs]
    assert (found != 0).any(1).tolist() == [False, True]


# --- in minibatches -----------------------------------------------------------------------------


def steps_of_torch(name: str, fold: Fold, start: Tensor, spec: JobSpec) -> Tensor:
    """Return weights and bias after as many steps of torch.optim on the weighted mean loss."""
    leaf = start.clone().requires_grad_()
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    options = {"momentum": 0.9} if name == "sgd" else {}
    stepper = kind([leaf], lr=0.01, weight_decay=0.0, **options)
    assert fold.train_weights is not None
    shares = fold.train_weights / fold.train_weights.sum()
    for _ in range(spec.epochs):
        stepper.zero_grad()
        logits = fold.train_inputs.double() @ leaf[:-1] + leaf[-1]
        losses = functional.binary_cross_entropy_with_logits(
            logits, fold.train_targets.double(), reduction="none"
        )
        (losses * shares).sum().backward()
        stepper.step()
    return leaf.detach()


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_steps_on_whole_batches_equal_torch_optim_on_the_weighted_loss(name: str) -> None:
    fold = weighted(made_up_fold(50), torch.rand(50) + 0.1)
    spec = job(model={"kind": "linear"}, optimizer=name, epochs=1, batch_size=50)
    for epochs in (1, 5):
        spec = spec.model_copy(update={"epochs": epochs})
        trainer = trainer_of(spec, [fold], dtype=torch.float64)
        (chunk,) = trainer.chunks([configuration()])
        views = trainer.layout.views(chunk.weights[0, 0])
        first = torch.cat([views[part].flatten() for part in ("weight", "bias")])
        (found,) = coefficients(spec, [configuration()], fold)
        theirs = steps_of_torch(name, fold, first, spec)
        assert found == pytest.approx(theirs.numpy(), abs=1e-12)


# To compile takes minutes, and the compiled step reads the same batches (see test_compiled).
@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != Compiled.name])
def test_every_backend_takes_the_gradient_of_the_weighted_loss(backend: str) -> None:
    folds = [weighted(made_up_fold(64, classes=3), times(64)), made_up_fold(40, classes=3)]
    spec = job(model={"kind": "mlp", "hidden": [6]}, batch_size=16)
    trainer = trainer_of(spec, folds, 3, engine=using(backend))
    assert trainer.engine.backend == backend
    (chunk,) = trainer.chunks([configuration(), configuration("l2", 0.1)])
    trainer.full_gradient(chunk)
    weights = chunk.weights[0, 0].double().requires_grad_()
    views = trainer.layout.views(weights)
    hidden = functional.relu(
        functional.linear(folds[0].train_inputs.double(), views["0.weight"], views["0.bias"])
    )
    names = [name.rpartition(".")[0] for name in views if name != "0.weight"]
    last = names[-1]
    logits = functional.linear(hidden, views[f"{last}.weight"], views[f"{last}.bias"])
    losses = functional.cross_entropy(logits, folds[0].train_targets, reduction="none")
    assert folds[0].train_weights is not None
    (gradient,) = torch.autograd.grad((losses * folds[0].train_weights).mean(), weights)
    assert torch.allclose(chunk.gradient[0, 0].double(), gradient, atol=1e-6)


def test_the_mean_gradient_of_minibatches_is_that_of_the_weighted_mean() -> None:
    fold = weighted(made_up_fold(64), times(64))
    trainer = trainer_of(job(model={"kind": "linear"}, batch_size=16), [fold], dtype=torch.float64)
    (chunk,) = trainer.chunks([configuration()])
    trainer.full_gradient(chunk)
    whole, total = chunk.gradient.clone(), torch.zeros_like(chunk.gradient)
    batches = Minibatches([64], 16, 0, trainer.problem.device).epoch()
    for step in trainer.feed.epoch(batches, (0,)):
        models = Models(chunk.weights, chunk.buffers)
        trainer.backend.gradient(models, step, chunk.gradient)
        total += chunk.gradient / len(batches)
    assert torch.allclose(total, whole, rtol=1e-12, atol=1e-14)


def test_equal_weights_train_as_none_do_and_settle_alike() -> None:
    fold = made_up_fold(50)
    spec = job(optimizer="adamw", epochs=20, batch_size=16, model={"kind": "mlp", "hidden": [5]})
    members = [configuration("l1", 0.01), configuration("l2", 0.1)]
    plain = train(spec, members, [fold], dtype=torch.float64)
    even = train(spec, members, [weighted(fold, torch.full((50,), 0.3))], dtype=torch.float64)
    assert even.curves == pytest.approx(plain.curves, rel=1e-9)
    assert (even.nonzero_weights == plain.nonzero_weights).all()


# --- weights, constants and scores --------------------------------------------------------------


def test_balanced_classes_weigh_the_same_together_by_their_weights() -> None:
    targets, often = made_up_fold(60, classes=3).train_targets, times(60)
    spec = job(class_weights="balanced")
    own = row_weights(spec, targets, often / often.double().mean())
    each = compute_sample_weight("balanced", targets.repeat_interleave(often).numpy())
    expected = np.zeros(60)
    np.add.at(expected, np.arange(60).repeat(often.numpy()), each)
    assert own.numpy() == pytest.approx(expected / often.double().mean().item(), rel=1e-12)


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_the_constant_and_what_a_model_explains_are_those_of_repeated_rows(classes: int) -> None:
    fold, often = made_up_fold(60, classes=classes), times(60)
    own, rows = often / often.double().mean(), torch.arange(60).repeat_interleave(often)
    targets, outputs = fold.train_targets, classes if classes > 2 else 1
    torch.testing.assert_close(
        constant_logits(targets, outputs, own), constant_logits(targets[rows], outputs)
    )
    spec = job(task="classification" if classes else "regression")
    logits = fold.train_inputs[:, :outputs].double()
    found = explained_share(spec, logits, targets, own)
    assert found == pytest.approx(explained_share(spec, logits[rows], targets[rows]), rel=1e-9)


def test_values_are_weighted_means_over_the_validation_rows() -> None:
    own = torch.rand(200, generator=torch.Generator().manual_seed(0)).double() + 0.1
    holdout = {"kind": "holdout"}
    for classes, named in ((2, ("loss", "accuracy", "balanced_accuracy", "roc_auc")), (0, ("r2",))):
        fold = replace(made_up_fold(60, classes=classes, valid=200), valid_weights=own)
        task = "classification" if classes else "regression"
        for name in named:
            spec = job(task=task, epochs=60, objective=name, validation=holdout, **EXACT)
            result = train(spec, [configuration("l2", 0.1)], [fold], dtype=torch.float64)
            model = result.parameters(0, 0)
            outputs = fold.valid_inputs.double() @ model["weight"].T + model["bias"]
            logits = (fold.target_mean + fold.target_scale * outputs)[:, 0].numpy()
            truth, weights = fold.valid_targets.numpy(), own.numpy()
            probability = torch.from_numpy(logits).sigmoid().numpy()
            expected: dict[str, Any] = {
                "loss": lambda t, p, w: metrics.log_loss(t, p, sample_weight=w),
                "accuracy": lambda t, p, w: metrics.accuracy_score(t, p > 0.5, sample_weight=w),
                "balanced_accuracy": lambda t, p, w: metrics.balanced_accuracy_score(
                    t, p > 0.5, sample_weight=w
                ),
                "roc_auc": lambda t, p, w: metrics.roc_auc_score(t, p, sample_weight=w),
                "r2": lambda t, p, w: metrics.r2_score(t, p, sample_weight=w),
            }
            given = probability if classes else logits
            assert result.values[0] == pytest.approx(expected[name](truth, given, weights))
            assert result.standard_errors[0] > 0


def test_a_holdouts_error_is_that_of_a_weighted_mean() -> None:
    fold = made_up_fold(60, valid=400)
    own = torch.tensor([1.0, 0.01]).repeat(200).double()
    spec = job(epochs=60, objective="accuracy", validation={"kind": "holdout"}, **EXACT)
    member = [configuration("l2", 0.1)]
    plain = train(spec, member, [fold])
    found = train(spec, member, [replace(fold, valid_weights=own / own.mean())])
    # Half of the rows tell nearly nothing.
    ratio = found.standard_errors[0] / plain.standard_errors[0]
    assert ratio == pytest.approx(np.sqrt(2), rel=0.25)
    logits = torch.randn(1, 400, 1, generator=torch.Generator().manual_seed(1))
    even = score("roc_auc", logits, fold.valid_targets, weights=torch.full((400,), 0.3).double())
    assert torch.allclose(even, score("roc_auc", logits, fold.valid_targets), rtol=1e-12)
