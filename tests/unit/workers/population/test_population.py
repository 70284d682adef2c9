"""Populations: a member alone, in company, diverged, sparse; folds, plug-ins and repeatability."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from populations import (
    UNEVEN,
    assert_same_member,
    configuration,
    install_models,
    job,
    made_up_fold,
    mixed,
    own_notes,
    problem_of,
    refit,
    same_bits,
    train,
)
from torch import nn

from ridgeway.errors import JobUnrunnable
from ridgeway.spec.spec import JobSpec
from workers import train as training
from workers.minibatch import feed, trainer
from workers.models.building import build_model, predict, trainable_models
from workers.population import judging
from workers.population.configuration import Configuration
from workers.population.results import PopulationResult

COMPANY = 37


# --- a member is the same in any company --------------------------------------------------------


def company_job(model: str, optimizer: str) -> JobSpec:
    kinds = {
        "linear": {"kind": "linear"},
        "mlp": {"kind": "mlp", "hidden": [17, 9], "activation": "gelu"},
    }
    return job(model=kinds[model], optimizer=optimizer, epochs=3, batch_size=16)


@cache
def crowd(model: str, optimizer: str, folds: int) -> PopulationResult:
    """The whole company, trained once."""
    return train(company_job(model, optimizer), mixed(COMPANY), UNEVEN[:folds])


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_refits_are_bitwise_the_models_that_would_have_been_scored(
    optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = job(model={"kind": "mlp", "hidden": [9]}, optimizer=optimizer, epochs=30, batch_size=16)
    members = [*mixed(7), configuration(learning_rate=1e30)]
    expected = train(spec, members, UNEVEN[:1])

    def never(*args: object, **options: object) -> None:
        raise AssertionError("a refit is scored by nobody")

    monkeypatch.setattr(judging, "score", never)
    monkeypatch.setattr(judging, "bootstrap_error", never)
    monkeypatch.setattr(trainer, "MEMORY_FLOATS", 2**10)  # several parts
    seen: list[tuple[int, int]] = []
    refits = refit(
        spec,
        members,
        UNEVEN[0],
        1,
        on_epoch=lambda done, of: seen.append((done, of)),
    )
    assert refits.weights == expected.weights
    assert refits.notes == expected.notes
    assert refits.settled.tolist() == expected.settled.tolist()
    assert refits.nonzero_weights.tolist() == expected.nonzero_weights.tolist()
    for member in range(len(members)):
        for name, value in expected.parameters(member, 0).items():
            assert same_bits(refits.parameters(member, 0)[name], value), name
    assert seen == [(done, len(seen)) for done in range(1, len(seen) + 1)]
    assert len(seen) > spec.epochs


@pytest.mark.parametrize("epochs", [1, 6])
def test_a_refit_that_diverges_says_in_which_epoch(epochs: int) -> None:
    spec = job(
        task="regression", optimizer="sgd", epochs=epochs, model={"kind": "mlp", "hidden": [9]}
    )
    wild, calm = configuration("l1", 0.1, learning_rate=1e30), configuration("l1", 0.1)
    refits = refit(spec, [calm, wild], made_up_fold(50, classes=0))
    assert refits.diverged_at[0] == 0
    assert 1 <= refits.diverged_at[1] <= epochs
    assert not any(value.any() for value in refits.parameters(1, 0).values())


def test_the_size_of_chunks_and_parts_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = crowd("mlp", "adamw", 2)
    monkeypatch.setitem(trainer.CHUNK_FLOATS, "cpu", 2**14)
    monkeypatch.setattr(trainer, "MEMORY_FLOATS", 2**14)
    seen: list[tuple[int, int]] = []
    parts = train(
        company_job("mlp", "adamw"),
        mixed(COMPANY),
        UNEVEN,
        on_epoch=lambda done, of: seen.append((done, of)),
    )
    assert len(seen) > 3
    assert seen == [(done + 1, len(seen)) for done in range(len(seen))]
    for member in range(COMPANY):
        assert_same_member(parts, member, whole, member)


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not() -> None:
    spec = company_job("mlp", "adamw")
    once, again = (train(spec, mixed(4), UNEVEN) for _ in range(2))
    other = train(spec, mixed(4), UNEVEN, seed=1)
    for member in range(4):
        assert_same_member(once, member, again, member)
        assert once.values[member] != other.values[member]


def test_training_leaves_torchs_own_generator_alone() -> None:
    before = torch.random.get_rng_state()
    train(company_job("mlp", "sgd"), mixed(2), UNEVEN)
    assert torch.equal(torch.random.get_rng_state(), before)


# --- what a population computes -----------------------------------------------------------------


def test_values_are_fold_means_of_the_last_point_and_errors_their_spread() -> None:
    folds = [made_up_fold(30 + 7 * fold, seed=fold) for fold in range(3)]
    result = train(job(epochs=2), mixed(5), folds)
    assert result.curves.shape == (5, 2)
    assert np.array_equal(result.values, result.curves[:, -1])
    assert result.values == pytest.approx(result.fold_values.mean(1))
    expected = result.fold_values.std(axis=1, ddof=1) / math.sqrt(3)
    assert result.standard_errors == pytest.approx(expected)


def test_repeated_folds_have_the_corrected_error_and_are_members_as_any_others() -> None:
    folds = [made_up_fold(30, valid=15, seed=fold % 3) for fold in range(6)]
    repeated = job(epochs=2, validation={"folds": 3, "repeats": 2})
    result = train(repeated, mixed(5), folds)
    once = train(job(epochs=2, validation={"folds": 3}), mixed(5), folds[:3])
    assert np.array_equal(result.fold_values[:, :3], once.fold_values)
    variances = result.fold_values.var(axis=1, ddof=1)
    expected = np.sqrt((1 / 6 + 1 / 2) * variances)  # half as many rows judge as train
    assert result.standard_errors == pytest.approx(expected)


def test_a_fold_is_trained_on_its_own_rows_whatever_its_neighbours() -> None:
    spec = job(model={"kind": "linear"}, epochs=5, batch_size=100)
    both = train(spec, mixed(5), UNEVEN, dtype=torch.float64)
    for fold in range(2):
        alone = train(spec, mixed(5), UNEVEN[fold : fold + 1], dtype=torch.float64)
        assert alone.values == pytest.approx(both.fold_values[:, fold], rel=1e-12)


def test_a_regression_is_judged_in_the_targets_own_units() -> None:
    fold = made_up_fold(200, classes=0, valid=100)
    spec = job(task="regression", model={"kind": "linear"}, epochs=60, optimizer="adam")
    result = train(spec, [configuration(learning_rate=0.05)], [fold])
    logits = predict(spec, result.parameters(0, 0), fold.valid_inputs, 1).squeeze(1)
    errors = fold.target_mean + fold.target_scale * logits - fold.valid_targets
    assert result.values[0] == pytest.approx(errors.square().mean().item(), rel=1e-5)
    assert result.values[0] < 0.3 * fold.valid_targets.var().item()


def test_a_holdouts_standard_error_shrinks_with_more_rows() -> None:
    errors = [
        train(job(epochs=2), mixed(1), [made_up_fold(50, valid=rows)]).standard_errors[0]
        for rows in (50, 800)
    ]
    assert 2 < errors[0] / errors[1] < 8


# --- zeros --------------------------------------------------------------------------------------


def test_strong_sparse_penalties_set_every_weight_to_zero_and_others_none() -> None:
    members = [configuration(name, 50.0) for name in ("l1", "elastic_net", "group_lasso", "l2")]
    members.append(configuration("none"))
    for optimizer in ("sgd", "adamw"):
        spec = job(model={"kind": "mlp", "hidden": [8]}, optimizer=optimizer, epochs=200)
        rates = [Configuration(c.penalty, c.strength, 0.5, 0.004, 0.0) for c in members]
        result = train(spec, rates, UNEVEN)
        assert (result.nonzero_weights[:3] == 0).all(), optimizer
        assert (result.nonzero_weights[4] == result.weights).all()
        assert result.weights == 5 * 8 + 8
        assert result.settled.all()
        bias = result.parameters(0, 0)["0.bias"]
        assert (bias != 0).any(), "biases are not penalised"


def test_penalize_all_takes_biases_too() -> None:
    spec = job(model={"kind": "linear"}, penalize="all", optimizer="sgd", epochs=30)
    result = train(spec, [configuration("l1", 50.0)], UNEVEN)
    assert result.weights == 6
    assert (result.parameters(0, 0)["bias"] == 0).all()


@pytest.mark.parametrize(("group_by", "axis"), [("input", 0), ("neuron", 1)])
def test_group_lasso_removes_whole_units(group_by: str, axis: int) -> None:
    spec = job(model={"kind": "mlp", "hidden": [8]}, group_by=group_by, epochs=150, batch_size=50)
    result = train(spec, [configuration("group_lasso", 0.01)], UNEVEN[:1])
    zero = result.parameters(0, 0)["0.weight"] == 0
    gone = zero.all(axis)
    assert 0 < gone.sum() < len(gone)
    assert torch.equal(zero, gone.unsqueeze(axis).expand(zero.shape))


def test_settling_takes_a_share_of_the_samples_and_tells_whether_it_held_still() -> None:
    members = [configuration("l1", 0.02, learning_rate=0.05), configuration("l2", 0.02)]
    long = train(job(model={"kind": "linear"}, epochs=400, batch_size=20), members, UNEVEN)
    short = train(job(model={"kind": "linear"}, epochs=30, batch_size=20), members, UNEVEN)
    assert long.settled.tolist() == [True, True]
    assert short.settled.tolist() == [False, True]
    assert not own_notes(short.notes)
    finalists = problem_of(job(model={"kind": "linear"}, epochs=30, batch_size=20), UNEVEN)
    patient = training.train(replace(finalists, settling_share=6.0), members)
    assert patient.settled.tolist() == [True, True]


def test_settling_goes_over_many_rows_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = job(model={"kind": "linear"}, epochs=20, search={"penalty": "l1"})
    members, folds = [configuration("l1", 0.01), configuration("l1", 0.1)], [made_up_fold(90)]
    at_once = train(spec, members, folds, dtype=torch.float64)
    monkeypatch.setattr(feed, "ROWS_AT_ONCE", 64)  # of 96, padding included
    in_blocks = train(spec, members, folds, dtype=torch.float64)
    np.testing.assert_allclose(in_blocks.values, at_once.values, rtol=1e-12)
    np.testing.assert_array_equal(in_blocks.nonzero_weights, at_once.nonzero_weights)


def test_only_sparse_members_move_while_settling() -> None:
    members = [configuration("l1", 0.02), configuration("l2", 0.02)]
    spec = job(model={"kind": "linear"}, epochs=30, batch_size=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "SETTLING_STEPS", 0)
        unsettled = train(spec, members, UNEVEN)
    settled = train(spec, members, UNEVEN)
    assert_same_member(settled, 1, unsettled, 1)
    assert settled.values[0] != unsettled.values[0]
    assert np.array_equal(settled.curves[0, :-1], unsettled.curves[0, :-1])


# --- divergence ---------------------------------------------------------------------------------


def test_a_population_that_diverges_as_a_whole_still_ends() -> None:
    spec = job(task="regression", optimizer="sgd", epochs=6, model={"kind": "mlp", "hidden": [9]})
    wild = [configuration(name, 0.1, learning_rate=1e30) for name in ("none", "l1")]
    result = train(spec, wild, [made_up_fold(50, classes=0)])
    assert (result.diverged_at > 0).all()
    assert np.isnan(result.values).all()


def test_what_on_epoch_raises_ends_the_training() -> None:
    class Enough(Exception):
        pass

    def stop(epoch: int, epochs: int) -> None:
        if (epoch, epochs) == (2, 9):
            raise Enough

    with pytest.raises(Enough):
        train(job(epochs=9), mixed(2), UNEVEN, on_epoch=stop)


# --- plug-ins -----------------------------------------------------------------------------------

PLUGINS = '''
import torch
from torch import nn

def normed(inputs, outputs, norm="batch", dropout=0.0):
    kind = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}[norm]
    first = nn.Linear(inputs, 7), kind(7), nn.ReLU()
    return nn.Sequential(*first, nn.Dropout(dropout), nn.Linear(7, outputs))

def convolution(inputs, outputs):
    first = nn.Unflatten(1, (1, inputs)), nn.Conv1d(1, 3, 2), nn.ReLU(), nn.Flatten()
    return nn.Sequential(*first, nn.Linear(3 * (inputs - 1), outputs))

class Stubborn(nn.Module):
    """Control flow on values: nothing for vmap."""
    def __init__(self, inputs, outputs):
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)
    def forward(self, x):
        return self.layer(x) if x.sum().item() > -1e30 else self.layer(-x)

class Quarrelsome(Stubborn):
    def forward(self, x):
        if self.training:
            raise ValueError("never in training")
        return self.layer(x)

def raising(inputs, outputs, width=3):
    raise RuntimeError("no width is wide enough")

def nothing(inputs, outputs):
    return None

def wide(inputs, outputs):
    return nn.Linear(inputs, outputs + 1)

def weightless(inputs, outputs):
    return nn.AvgPool1d(inputs)
'''
NAMES = [
    "normed",
    "convolution",
    "Stubborn",
    "Quarrelsome",
    "raising",
    "nothing",
    "wide",
    "weightless",
]


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_models(tmp_path, monkeypatch, PLUGINS, NAMES)


@pytest.mark.usefixtures("plugins")
def test_trainable_models_are_our_own_and_the_plugins() -> None:
    assert trainable_models() == ["linear", "mlp", *sorted(NAMES)]


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    "model",
    [
        {"kind": "normed", "norm": "batch"},
        {"kind": "normed", "norm": "layer", "dropout": 0.5},
        {"kind": "normed", "norm": "batch", "dropout": 0.3},
        {"kind": "convolution"},
        {"kind": "Stubborn"},
    ],
    ids=str,
)
def test_plugin_members_are_bitwise_the_same_in_any_company(model: dict[str, object]) -> None:
    spec = job(model=model, epochs=3, batch_size=16)
    nine = train(spec, mixed(9), UNEVEN)
    pair = train(spec, [mixed(9)[4], mixed(9)[7]], UNEVEN)
    alone = train(spec, [mixed(9)[4]], UNEVEN)
    assert_same_member(alone, 0, nine, 4)
    assert_same_member(pair, 1, nine, 7)


@pytest.mark.usefixtures("plugins")
def test_running_statistics_are_those_of_a_plain_loop_on_unpadded_batches() -> None:
    spec = job(model={"kind": "normed"}, epochs=4, batch_size=100)
    result = train(spec, mixed(3), UNEVEN, dtype=torch.float64)
    member = mixed(3)[0]  # penalty none
    for fold, data in enumerate(UNEVEN):
        state = result.parameters(0, fold)
        assert state["1.num_batches_tracked"].item() == 4
        frozen = [Configuration("none", 0, 0, 1e-300, 0.0)]
        start = train(
            job(model={"kind": "normed"}, epochs=1, batch_size=100),
            frozen,
            UNEVEN,
            dtype=torch.float64,
        )
        model = build_model(spec.model, 5, 1).double()
        fresh = {
            k: v
            for k, v in start.parameters(0, fold).items()
            if k in dict(model.named_parameters())
        }
        model.load_state_dict(fresh, strict=False)
        stepper = torch.optim.AdamW(
            model.parameters(), lr=member.learning_rate, weight_decay=member.weight_decay
        )
        model.train()
        for _ in range(4):
            stepper.zero_grad()
            logits = model(data.train_inputs.double()).squeeze(1)
            nn.functional.binary_cross_entropy_with_logits(
                logits, data.train_targets.double()
            ).backward()
            stepper.step()
        for name, value in model.state_dict().items():
            assert torch.allclose(state[name].double(), value.double(), rtol=0, atol=1e-9), name


@pytest.mark.usefixtures("plugins")
def test_dropout_is_on_in_training_and_off_in_evaluation() -> None:
    plain, dropped = (
        job(model={"kind": "normed", "norm": "layer", "dropout": share}, epochs=3)
        for share in (0.0, 0.5)
    )
    without, with_dropout = (train(spec, mixed(2), UNEVEN) for spec in (plain, dropped))
    assert without.values[0] != with_dropout.values[0]
    logits = predict(dropped, with_dropout.parameters(0, 0), UNEVEN[0].valid_inputs, 1).squeeze(1)
    loss = nn.functional.binary_cross_entropy_with_logits(logits, UNEVEN[0].valid_targets.float())
    assert with_dropout.fold_values[0, 0] == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.usefixtures("plugins")
def test_normalisation_under_a_penalty_is_noted_and_its_gain_not_penalised() -> None:
    result = train(job(model={"kind": "normed", "norm": "layer"}, epochs=1), mixed(1), UNEVEN)
    assert any("LayerNorm" in note for note in result.notes)
    assert result.weights == 5 * 7 + 7


@pytest.mark.usefixtures("plugins")
def test_a_model_that_vmap_cannot_do_runs_member_by_member_and_says_so() -> None:
    spec = job(model={"kind": "Stubborn"}, epochs=3)
    result = train(spec, mixed(5), UNEVEN)
    assert any("member by member" in note for note in result.notes)
    assert (result.curves[:, -1] < result.curves[:, 0]).any()


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("raising", "could not be built .* RuntimeError: no width is wide enough"),
        ("nothing", "gave a NoneType, not a torch.nn.Module"),
        ("wide", r"answered the shape \(2, 2\) .* \(2, 1\) is expected"),
        ("Quarrelsome", "failed in training: ValueError: never in training"),
        ("weightless", "no parameters to train"),
        ("missing", "model 'missing' is not installed here"),
    ],
)
def test_a_plugin_that_cannot_be_trained_says_why(kind: str, words: str) -> None:
    with pytest.raises(JobUnrunnable, match=words):
        train(job(model={"kind": kind}, epochs=1), mixed(1), UNEVEN)


@pytest.mark.usefixtures("plugins")
def test_unknown_options_of_a_plugin_are_refused_with_their_name() -> None:
    with pytest.raises(JobUnrunnable, match="depth"):
        train(job(model={"kind": "normed", "depth": 3}, epochs=1), mixed(1), UNEVEN)
