"""Companions never matter: a member is bitwise its own in any company, a poisoned one included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from populations import (
    BACKENDS,
    CPU,
    STEPPED,
    assert_same_member,
    configuration,
    job,
    made_up_fold,
    refit,
    same_bits,
    train,
    train_by,
    trainer_of,
    using,
)
from torch import Tensor

from ridgeway.spec.spec import JobSpec
from workers.minibatch import trainer
from workers.minibatch.batches import Minibatches
from workers.models.building import predict
from workers.population.configuration import Configuration

EAGER = [name for name in BACKENDS if name != "compiled"]  # which draws no masks: test_compiled.py
UNEVEN = [made_up_fold(50, classes=3, seed=1), made_up_fold(43, classes=3, valid=27, seed=2)]
OUTPUTS = 3
UNSHRUNK = (Phase.explicit, Phase.generate)  # each example trains: shrinking would take minutes

optimizers = st.sampled_from(["sgd", "adam", "adamw"])
configurations = st.builds(
    configuration,
    penalty=st.sampled_from(STEPPED),
    strength=st.floats(0, 1),
    l1_ratio=st.floats(0, 1),
    learning_rate=st.floats(1e-4, 0.3),
    weight_decay=st.floats(0, 0.1),
    dropout=st.floats(0, 0.9),
    label_smoothing=st.floats(0, 1),
    input_noise=st.floats(0, 2),
)


@st.composite
def companies(draw: st.DrawFn, most: int = 20) -> tuple[list[Configuration], int]:
    """A population, and which of its members is watched."""
    members = draw(st.lists(configurations, min_size=1, max_size=most))
    return members, draw(st.integers(0, len(members) - 1))


def everything(optimizer: str, model: str) -> JobSpec:
    """A job that perturbs, clips and shrinks groups."""
    kinds = {
        "linear": {"kind": "linear"},
        "mlp": {"kind": "mlp", "hidden": [17, 9], "activation": "gelu"},
    }
    search: dict[str, object] = {
        "label_smoothing": {"low": 0, "high": 1},
        "input_noise": {"low": 0, "high": 2},
    }
    if model == "mlp":
        search["dropout"] = {"low": 0, "high": 0.9}
    return job(
        model=kinds[model],
        optimizer=optimizer,
        clip_norm=0.5,
        schedule="cosine",
        search=search,
        epochs=2,
        batch_size=16,
    )


@contextmanager
def quick_settling(unchanged: int = 1) -> Iterator[None]:
    """Two steps of settling; members leave them where a support stays the same for some."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.Trainer, "settling_limit", 2)
        patch.setattr(trainer, "UNCHANGED_STEPS", unchanged)
        yield


@pytest.mark.parametrize("backend", EAGER)
@pytest.mark.parametrize("model", ["linear", "mlp"])
@settings(max_examples=10, phases=UNSHRUNK)
@given(company=companies(), optimizer=optimizers, folds=st.integers(1, 2))
def test_a_member_is_bitwise_the_same_alone_and_in_any_company(
    backend: str,
    model: str,
    company: tuple[list[Configuration], int],
    optimizer: str,
    folds: int,
) -> None:
    members, watched = company
    members = members[: watched + 5] if backend == "loop" else members
    spec = everything(optimizer, model)
    with quick_settling():
        crowd = train(spec, members, UNEVEN[:folds], OUTPUTS, engine=using(backend))
        alone = train(spec, [members[watched]], UNEVEN[:folds], OUTPUTS, engine=using(backend))
    assert_same_member(alone, 0, crowd, watched)


@pytest.mark.parametrize("backend", EAGER)
@pytest.mark.parametrize("folds", [1, 2])
def test_a_step_of_one_member_leaves_the_rows_as_they_are_for_the_next(
    backend: str, folds: int
) -> None:
    members = [configuration(penalty, 0.1, input_noise=0.5) for penalty in ("none", "l1", "l2")]
    spec = everything("adamw", "mlp")
    with quick_settling():
        together = train(spec, members, UNEVEN[:folds], OUTPUTS, engine=using(backend))
        trainer = trainer_of(spec, UNEVEN[:folds], OUTPUTS, engine=using(backend))
        trainer.together = 1
        one_by_one = train_by(trainer, members)
    for member in range(len(members)):
        assert_same_member(one_by_one, member, together, member)


# --- poison ---------------------------------------------------------------------------------------


def one_epoch(
    spec: JobSpec,
    backend: str,
    members: Sequence[Configuration],
    poison: tuple[int, float] | None = None,
) -> dict[int, tuple[Tensor, Tensor]]:
    """Weights (F, columns) and values (F,) of each member; `poison` fills one's first weights."""
    trainer = trainer_of(spec, UNEVEN, OUTPUTS, engine=using(backend))
    minibatches = Minibatches(trainer.problem.fold_rows, spec.batch_size, 0, CPU)
    (chunk,) = trainer.chunks(members)
    if poison is not None:
        chunk.weights[:, chunk.members.index(poison[0])] = poison[1]
    trainer.train_epoch(chunk, minibatches.epoch())
    ended = [part for part, _ in trainer.settle(chunk, minibatches.steps)]
    return {
        member: (
            part.weights[:, place],
            trainer.judge.scores(part, with_errors=False).values[place],
        )
        for part in ended
        for place, member in enumerate(part.members)
    }


@pytest.mark.parametrize("backend", EAGER)
@settings(max_examples=12, phases=UNSHRUNK)
@given(
    company=companies(most=6),
    optimizer=optimizers,
    poison=st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e38]),
)
def test_what_is_not_finite_in_one_members_weights_reaches_no_other(
    backend: str, company: tuple[list[Configuration], int], optimizer: str, poison: float
) -> None:
    members, poisoned = company
    spec = everything(optimizer, "mlp")
    with quick_settling(), torch.random.fork_rng(devices=[]):
        found = one_epoch(spec, backend, [*members, configuration()], (poisoned, poison))
        others = [own for place, own in enumerate(members) if place != poisoned]
        expected = one_epoch(spec, backend, [*others, configuration()])
    assert not torch.isfinite(found.pop(poisoned)[1]).any()
    for member, (weights, values) in found.items():
        alike = expected[member - (member > poisoned)]
        assert same_bits(weights, alike[0])
        assert same_bits(values, alike[1])


@pytest.mark.parametrize("backend", EAGER)
@settings(max_examples=10, phases=UNSHRUNK)
@given(company=companies(most=6), optimizer=optimizers)
def test_a_diverging_member_ends_with_its_epoch_and_touches_nobody(
    backend: str, company: tuple[list[Configuration], int], optimizer: str
) -> None:
    members, place = company
    wild = configuration("elastic_net", 0.1, learning_rate=1e30)
    folds = [made_up_fold(50, classes=0, seed=fold) for fold in range(2)]
    spec = job(
        task="regression",
        model={"kind": "mlp", "hidden": [9]},
        optimizer=optimizer,
        epochs=3,
        batch_size=32,
    )
    with quick_settling():
        calm = train(spec, members, folds, engine=using(backend))
        crowd = [*members[:place], wild, *members[place:]]
        found = train(spec, crowd, folds, engine=using(backend))
    for member in range(len(members)):
        assert_same_member(found, member + (member >= place), calm, member)
    epoch = found.diverged_at[place]
    assert 1 <= epoch <= 3
    assert np.isfinite(found.curves[place, : epoch - 1]).all()
    assert np.isnan(found.curves[place, epoch - 1 :]).all()
    assert np.isnan(found.values[place])
    assert np.isnan(found.standard_errors[place])
    for value in found.parameters(place, 0).values():
        assert torch.isfinite(value).all()


# --- folds and precision --------------------------------------------------------------------------


@pytest.mark.parametrize("backend", EAGER)
def test_a_fold_is_bitwise_the_same_whichever_folds_train_beside_it(backend: str) -> None:
    """It has minibatches of its own; as many rows beside it leave it the same number of steps."""
    members = [configuration(penalty, 0.1, dropout=0.3, input_noise=0.1) for penalty in STEPPED]
    first, second, other = (made_up_fold(50, classes=3, seed=seed) for seed in range(3))
    spec = everything("adamw", "mlp")
    with quick_settling(unchanged=3):  # never: a member leaves once it has settled on all its folds
        alone, pair, another = (
            train(spec, members, folds, OUTPUTS, engine=using(backend))
            for folds in ([first], [first, second], [other, second])
        )
    for member in range(len(members)):
        assert np.array_equal(pair.fold_values[member, 0], alone.fold_values[member, 0])
        assert np.array_equal(pair.fold_values[member, 1], another.fold_values[member, 1])
        assert pair.fold_values[member, 0] != another.fold_values[member, 0]
        for name, value in pair.parameters(member, 0).items():
            assert same_bits(value, alone.parameters(member, 0)[name])
        for name, value in pair.parameters(member, 1).items():
            assert same_bits(value, another.parameters(member, 1)[name])


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", torch.float32), ("float64", torch.float64)]
)
def test_the_specs_precision_is_that_of_training_refit_and_prediction(
    precision: str, dtype: torch.dtype
) -> None:
    spec = job(model={"kind": "mlp", "hidden": [9]}, precision=precision, epochs=2, batch_size=16)
    other = job(model={"kind": "mlp", "hidden": [9]}, epochs=2, batch_size=16)
    members, fold = [configuration("l1", 0.01)], made_up_fold()
    result = train(spec, members, [fold], 1)
    refitted = refit(spec, members, fold)
    explicit = train(other, members, [fold], dtype=dtype)
    for name, value in result.parameters(0, 0).items():
        assert value.dtype == dtype
        assert same_bits(value, refitted.parameters(0, 0)[name])
        assert same_bits(value, explicit.parameters(0, 0)[name])
    assert predict(spec, result.parameters(0, 0), fold.valid_inputs, 1).dtype == dtype
    double = result.parameters(0, 0)["0.weight"].double()
    assert torch.equal(double, double.float().double()) == (precision == "float32")
