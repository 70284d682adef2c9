"""A job that is planned with a backend gets it where it can do the model."""

from __future__ import annotations

import pytest
import torch
from populations import BACKENDS, job, made_up_fold, trainer_of, using
from torch import nn

from workers.minibatch import program

MLP = {"kind": "mlp", "hidden": [6, 4], "activation": "tanh"}
FOLDS = [made_up_fold(50, classes=3)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("model", [{"kind": "linear"}, MLP])
def test_the_backend_that_a_job_is_planned_with_is_taken(model: dict, backend: str) -> None:
    trainer = trainer_of(job(model=model), FOLDS, 3, engine=using(backend))
    assert trainer.backend.name == backend


@pytest.mark.parametrize("backend", ["fused", "dense"])
def test_a_backend_that_can_not_do_the_model_is_not_taken(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(model: object, inputs: int, outputs: int, **options: bool) -> nn.Module:
        return nn.Sequential(nn.LayerNorm(inputs), nn.Linear(inputs, outputs))

    monkeypatch.setattr(program, "build_model", build)
    with torch.random.fork_rng(devices=[]):
        trainer = trainer_of(job(), FOLDS, 3, engine=using(backend))
    assert trainer.backend.name == "vmap"
