"""Nets under the losses that a job names: the steps are those of torch's own losses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from plain_loop import plain_loop
from populations import BACKENDS, configuration, job, made_up_fold, train, using

from workers.backends.compiled import Compiled
from workers.data.folds import Fold
from workers.data.targets import centre_and_scale
from workers.objectives.losses import Huber, Kind, Quantile

LOSSES: dict[str, tuple[Kind, Any]] = {
    "poisson": ("poisson", "poisson"),
    "huber": (Huber(0.5), {"kind": "huber", "delta": 0.5}),
    "quantile": (Quantile(0.8), {"kind": "quantile", "quantile": 0.8}),
}
MEMBERS = [
    configuration("l1", 0.02, learning_rate=0.01),
    configuration("l2", 0.05, learning_rate=0.005, weight_decay=0.01),
]


def fold_of(kind: Kind) -> Fold:
    fold = made_up_fold(40, classes=0, seed=3)
    own, rest = fold.train_targets.double(), fold.valid_targets.double()
    if kind == "poisson":
        own, rest = (3 * own.exp()).round(), (3 * (rest - 10).div(4).exp()).round()
    centre, scale = centre_and_scale(own.numpy(), kind)
    return Fold(fold.train_inputs, (own - centre) / scale, fold.valid_inputs, rest, centre, scale)


# To compile a step takes half a minute, and it is the losses of `Mapped` that it compiles.
@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != Compiled.name])
@pytest.mark.parametrize("name", LOSSES)
def test_steps_and_values_are_those_of_torchs_losses(name: str, backend: str) -> None:
    kind, loss = LOSSES[name]
    model = {"kind": "mlp", "hidden": [5], "activation": "tanh"}
    fields = {"task": "regression", "loss": loss, "model": model, "optimizer": "adam"}
    spec, folds = job(**fields, epochs=3, batch_size=10), [fold_of(kind)]
    result = train(spec, MEMBERS, folds, dtype=torch.float64, engine=using(backend))
    for place, member in enumerate(MEMBERS):
        model, curve = plain_loop(spec, member, folds, 0, 1)
        assert result.curves[place] == pytest.approx(curve, rel=1e-10)
        found = result.parameters(place, 0)
        for key, value in model.named_parameters():
            assert (found[key] - value).abs().max().item() < 1e-10
