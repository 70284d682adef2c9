"""Descents: a dense net that members share, and strengths that grow from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from plain_loop import plain_loop
from populations import (
    BACKENDS,
    NET,
    STEPPED,
    UNEVEN,
    assert_same_member,
    assert_same_results,
    configuration,
    job,
    problem_of,
    same_bits,
    using,
)
from torch import Tensor

from ridgeway.spec.spec import JobSpec
from workers.minibatch.batches import Batch
from workers.minibatch.chunks import Chunk
from workers.minibatch.trainer import Trainer
from workers.population.configuration import Configuration
from workers.population.problem import path_problem
from workers.population.results import PopulationResult
from workers.population.state import PopulationState
from workers.population.watch import Watch
from workers.train import solver_of, train

EPOCHS = 10  # of two steps; the first is the dense net's, and by step 12 strengths have grown
SKIPPING = {**NET, "skip": True}


def path(spec: JobSpec, members: Sequence[Configuration], **options: Any) -> PopulationResult:
    watch = options.pop("watch", Watch())
    return train(path_problem(problem_of(spec, UNEVEN, **options)), members, watch)


def net(**fields: Any) -> JobSpec:
    return job(**{"model": NET, "epochs": EPOCHS, "batch_size": 25, **fields})


def strengths(penalty: str, *rates: float) -> list[Configuration]:
    return [
        configuration(penalty, strength, learning_rate=rate, l1_ratio=0.2 + strength)
        for rate in rates
        for strength in (0.001, 0.05, 0.4)
    ]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The steps that chunks had taken before each epoch, and how many members trained."""
    seen: list[tuple[int, int]] = []
    real = Trainer.train_epoch

    def watched(self: Trainer, chunk: Chunk, batches: Sequence[Batch]) -> Tensor:
        seen.append((chunk.steps, len(chunk.members)))
        return real(self, chunk, batches)

    monkeypatch.setattr(Trainer, "train_epoch", watched)
    return seen


EAGER = [name for name in BACKENDS if name != "compiled"]  # whose steps take long to compile


@pytest.mark.parametrize("backend", EAGER)
def test_a_dense_net_is_shared_and_no_bit_changes(
    backend: str, trained: list[tuple[int, int]]
) -> None:
    plain = {"model": {"kind": "mlp", "hidden": [7]}} if backend == "fused" else {}
    members = [*strengths("l1", 0.01, 0.03), *strengths("group_lasso", 0.01)]
    spec, engine = net(optimizer="adam", **plain), using(backend)
    together = path(spec, members, engine=engine)
    assert trained == [(0, 3), *((2 * epoch, 9) for epoch in range(1, EPOCHS))]
    trained.clear()
    for place in (1, 5, 8):
        assert_same_member(path(spec, [members[place]], engine=engine), 0, together, place)
    assert {members for _, members in trained} == {1}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_members_of_any_penalty_share_theirs(
    optimizer: str, trained: list[tuple[int, int]]
) -> None:
    members = [own for penalty in STEPPED for own in strengths(penalty, 0.01)]
    together = path(net(optimizer=optimizer), members)
    assert trained[:2] == [(0, len(STEPPED)), (2, len(members))]
    for place in range(1, len(members), 3):
        assert_same_member(path(net(optimizer=optimizer), [members[place]]), 0, together, place)


def test_a_hierarchical_penalty_descends_in_searches_too(trained: list[tuple[int, int]]) -> None:
    search = {"penalty": ["none", "l1", "hierarchical"]}
    spec = net(model=SKIPPING, search=search, optimizer="adam")
    members = [*strengths("hierarchical", 0.01), *strengths("l1", 0.01)]
    problem = problem_of(spec, UNEVEN)
    together = train(problem, members)
    assert trained[:2] == [(0, 4), (2, 6)]
    for place in (1, 4):
        assert_same_member(train(replace(problem), [members[place]]), 0, together, place)


def test_nothing_is_penalised_before_and_all_of_it_from_there_on() -> None:
    spec = net(optimizer="sgd", search={"penalty": ["none", "l1", "l2", "group_lasso"]})
    members = [configuration("none"), *strengths("l1", 0.01), *strengths("group_lasso", 0.01)]
    states: list[PopulationState] = []
    path(spec, members, watch=Watch(keep=lambda state: states.append(state())))
    first, second = (state.parts[0].tensors["weights"] for state in states[:2])
    for other in range(1, len(members)):
        assert same_bits(first[:, other], first[:, 0])
        assert not same_bits(second[:, other], second[:, 0])

    trainer = solver_of(path_problem(problem_of(spec, UNEVEN)))
    assert isinstance(trainer, Trainer)
    (chunk,) = trainer.chunks([configuration("l1", 0.4), configuration("group_lasso", 0.3)])
    _, _, l1, last, *_ = trainer.coefficients(chunk, 0, 2 * EPOCHS, 2).double().unbind(1)
    share = ((torch.arange(1, 2 * EPOCHS + 1) - 2) / 10).double().clamp(0, 1)[:, None]
    expected = [torch.tensor(own, dtype=torch.float64) for own in ([0.4, 0] * 2, [0, 0.3] * 2)]
    for found, whole in zip((l1, last), expected, strict=True):
        torch.testing.assert_close(found[..., 0], 0.01 * share * whole, rtol=1e-6, atol=0)


@pytest.mark.parametrize("epochs", [1, 2, EPOCHS - 1])
def test_a_descent_goes_on_from_a_checkpoint_bit_for_bit(epochs: int) -> None:
    spec, members = net(epochs=EPOCHS), strengths("l1", 0.01, 0.03)
    states: list[PopulationState] = []

    def keep(state: Callable[[], PopulationState]) -> None:
        states.append(state())

    whole = path(spec, members, watch=Watch(keep=keep))
    resumed = path(spec, members, watch=Watch(start=lambda solver: states[epochs - 1]))
    assert_same_results(resumed, whole)


@pytest.mark.parametrize("penalty", ["l1", "elastic_net", "group_lasso", "hierarchical"])
def test_a_descent_is_the_one_by_torch_itself(penalty: str) -> None:
    spec = net(
        model={"kind": "mlp", "hidden": [7], "activation": "tanh", "skip": True},
        search={"penalty": [penalty]},
        optimizer="adam",
        precision="float64",
    ).model_copy(update={"kind": "path"})
    member = configuration(penalty, 0.5 if penalty == "hierarchical" else 0.02)
    problem = replace(path_problem(problem_of(spec, UNEVEN)), settling_share=0.0)
    result = train(problem, [member, replace(member, strength=2 * member.strength)])
    for fold in range(len(UNEVEN)):
        model, curve = plain_loop(spec, member, UNEVEN, fold, 1)
        for name, value in result.parameters(0, fold).items():
            torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-7, atol=1e-9)
        assert result.fold_values[0, fold] == pytest.approx(curve[-1], rel=1e-7)


def test_what_ends_early_and_what_is_linear_starts_as_it_does_in_a_search() -> None:
    early = net(early_stopping={"patience": 3})
    linear = net(model={"kind": "linear"}, optimizer="sgd")
    for spec, descends in ((early, False), (linear, False), (net(), True)):
        problem = path_problem(problem_of(spec, UNEVEN))
        assert problem.descends is descends
        assert problem.settling_share == 1.0
