"""A subgradient flickers about zero, and a proximal step lands on it, whatever the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import Lasso

from ridgeway.spec.wording import parse_spec
from workers.answer.shown import flicker as module
from workers.answer.shown.flicker import flicker
from workers.answer.shown.parts import Absent
from workers.data.prepare import Prepared, check_and_prepare
from workers.objectives.losses import row_losses

DRAW = np.random.default_rng(0)
TABLE = pd.DataFrame(DRAW.normal(size=(300, 12))).rename(columns="x{}".format)
TOLD = TABLE["x0"] - TABLE["x1"]
TARGETS: dict[str, Any] = {
    "regression": 5 * TOLD + DRAW.normal(size=300),
    "huber": 5 * TOLD + DRAW.standard_t(2, size=300),
    "poisson": DRAW.poisson(np.exp(0.5 * TOLD)),
    "binary": np.where(TOLD + DRAW.normal(size=300) > 0, "a", "b"),
    "multiclass": np.digitize(TOLD + 0.5 * DRAW.normal(size=300), [-0.7, 0.7]).astype(str),
}


def prepared_for(target: str, **fields: Any) -> Prepared:
    loss = {"loss": target} if target in ("huber", "poisson") else {}
    spec = {"dataset": "made up", "target": "y", "model": {"kind": "linear"}, **loss, **fields}
    return check_and_prepare(parse_spec(spec), TABLE.assign(y=TARGETS[target]))


@pytest.mark.parametrize("target", TARGETS)
def test_only_proximal_steps_land_on_zero(target: str) -> None:
    found = flicker(prepared_for(target))
    outputs = 3 if target == "multiclass" else 1
    assert found.weights == 12 * outputs
    assert set(found.subgradient_zeros) == {0}
    assert min(found.proximal_zeros) >= 4 * outputs
    reach = 2.5 * found.learning_rate * found.strength
    for trace in found.traces:
        assert len(trace.subgradient) == len(trace.proximal) == len(found.proximal_zeros)
        assert set(trace.proximal) == {0.0}
        signs = np.sign(trace.subgradient)
        assert (signs[1:] != signs[:-1]).sum() > len(signs) / 4
        assert np.abs(trace.subgradient).max() < reach
        assert (" → " in trace.name) is (outputs > 1)


def test_its_proximal_zeros_are_the_lassos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEPS", 400)
    prepared = prepared_for("regression")
    found, split = flicker(prepared), prepared.folds[-1]
    theirs = Lasso(alpha=found.strength / 2, tol=1e-10)  # of half the mean squared error
    theirs.fit(split.train_inputs.double().numpy(), split.train_targets.double().numpy())
    assert found.proximal_zeros[-1] == (theirs.coef_ == 0).sum()
    at_zero = {f"x{place}" for place in np.flatnonzero(theirs.coef_ == 0)}
    assert {trace.name for trace in found.traces} <= at_zero


@pytest.mark.parametrize("target", TARGETS)
def test_its_gradient_is_autograds(target: str) -> None:
    rows = module._rows(prepared_for(target))
    outputs = len(rows.start)
    weights = 0.3 * torch.randn(2, outputs, 12, dtype=torch.float64, generator=torch.manual_seed(0))
    intercepts = 0.3 * torch.ones(2, outputs, dtype=torch.float64)
    ours = rows.gradient(weights, intercepts)
    given = weights.requires_grad_(), intercepts.requires_grad_()
    logits = torch.einsum("nd,mkd->mnk", rows.inputs, given[0]) + given[1][:, None]
    losses = row_losses(rows.kind, logits, rows.targets.expand(2, -1)).mean(-1).sum()
    torch.testing.assert_close(ours, torch.autograd.grad(losses, given))


def test_a_target_that_inputs_do_not_tell_has_nothing_to_show() -> None:
    spec = {"dataset": "made up", "target": "y", "model": {"kind": "linear"}}
    empty = pd.DataFrame({"x": np.zeros(60), "y": np.arange(60.0)})
    with pytest.raises(Absent, match="No input tells anything"):
        flicker(check_and_prepare(parse_spec(spec), empty))
