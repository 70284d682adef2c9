"""A plug-in's step compiled: the same as under vmap, whoever else is in the population."""

from __future__ import annotations

import shutil

import pytest
import torch
from populations import (
    CPU,
    job,
    made_up_fold,
    mixed,
    trainer_of,
)
from torch import Tensor, nn

from ridgeway.jobs.plan import Engine
from workers.minibatch import planner
from workers.minibatch.batches import Minibatches
from workers.minibatch.planner import pays_to_compile
from workers.minibatch.trainer import Trainer
from workers.models.building import build_model

PLAN = Engine(device="cpu", backend="compiled", compiled=True)
FOLDS = [made_up_fold(64, classes=3, seed=seed) for seed in (1, 2)]


class Normed(nn.Module):
    """A layer that only vmap can do for many."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm, self.out = nn.LayerNorm(inputs), nn.Linear(inputs, outputs)
        self.register_buffer("shift", torch.linspace(0, 1, inputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.norm(x) + self.shift))


class Masked(Normed):
    """Draws numbers of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(super().forward(x), 0.5, self.training)


@pytest.fixture(autouse=True)
def _plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {"normed": Normed, "masked": Masked}

    def build(model, inputs: int, outputs: int, **options) -> nn.Module:
        own = made.get(model.kind)
        return own(inputs, outputs) if own else build_model(model, inputs, outputs, **options)

    monkeypatch.setattr("workers.minibatch.program.build_model", build)


def trainer(plan: Engine | None, kind: str = "normed") -> Trainer:
    spec = job(model={"kind": kind}, label_smoothing=0.1, input_noise=0.1)
    return trainer_of(spec, FOLDS, 3, engine=plan)


def trained(own: Trainer, members: list) -> Tensor:
    """Return weights (F, P, columns) after an epoch."""
    own.together = len(members)
    (chunk,) = own.chunks(members)
    problem = own.problem
    rows, size = problem.fold_rows, problem.spec.batch_size
    batches = Minibatches(rows, size, problem.seed, CPU).epoch()
    own.train_epoch(chunk, batches)
    order = sorted(range(len(members)), key=lambda place: chunk.members[place])
    return chunk.weights[:, order]


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler here")
def test_a_compiled_step_is_the_one_under_vmap_in_any_company() -> None:
    members = mixed(19)
    compiled, mapped = trainer(PLAN), trainer(None)
    assert compiled.engine == PLAN, compiled.notes
    assert mapped.engine.backend == "vmap"
    together = trained(compiled, members)
    torch.testing.assert_close(together, trained(mapped, members), rtol=1e-4, atol=1e-5)
    for few in ([18], [3, 7]):
        alone = trained(compiled, [members[place] for place in few])
        assert torch.equal(alone, together[:, few])


def test_what_can_not_be_compiled_stays_under_vmap_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_compiler(*args, **options):
        def step(*args):
            raise RuntimeError("no C++ compiler")

        return step

    monkeypatch.setattr(torch, "compile", no_compiler)
    own = trainer(PLAN)
    assert own.engine.backend == "vmap"
    assert any("can't be compiled, which is slower (RuntimeError: no C++" in n for n in own.notes)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler here")
def test_a_model_that_draws_numbers_is_not_compiled() -> None:
    assert trainer(PLAN, "masked").engine.backend == "vmap"


def test_only_long_jobs_of_whole_blocks_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    own = trainer(None)
    assert not pays_to_compile(own, 64)  # a job of seconds
    monkeypatch.setattr(planner, "COMPILED_SECONDS", 0.0)
    assert pays_to_compile(own, 64)
    assert not pays_to_compile(own, 20)  # two blocks, the second nearly empty
    dense = trainer_of(job(), [made_up_fold(64)], 1)
    assert not pays_to_compile(dense, 64)  # has kernels of its own
