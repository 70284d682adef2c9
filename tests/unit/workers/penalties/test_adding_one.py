"""To add a penalty: a class, its entry in the list, its row in the spec. Nothing else asks."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from populations import configuration, job, made_up_fold, same_bits, train

from ridgeway.spec.names import PENALTY_ROWS, PenaltyName, PenaltyRow
from ridgeway.spec.spec import JobSpec
from workers.penalties.base import Penalty
from workers.penalties.components import Components
from workers.penalties.penalties import PENALTIES
from workers.population.outcomes import outcomes_of

NAME = cast("PenaltyName", "heavy_lasso")


class HeavyLasso(Penalty):
    """R = 2 Σ |w|: a new penalty whose solutions an old one has at twice the strength."""

    name = NAME
    sparse = True

    def components(self, strength: float, l1_ratio: float) -> Components:
        return Components(l1=2 * strength)


@pytest.fixture
def heavy_lasso(monkeypatch: pytest.MonkeyPatch) -> PenaltyName:
    """Add the list entry on the workers' side, and the row in the spec."""
    monkeypatch.setitem(cast("dict[str, Penalty]", PENALTIES), NAME, HeavyLasso())
    rows = cast("dict[str, PenaltyRow]", PENALTY_ROWS)
    monkeypatch.setitem(rows, NAME, PenaltyRow(NAME, "heavy lasso"))
    return NAME


def searching(penalty: PenaltyName, **fields: Any) -> JobSpec:
    """Return a job that searches this penalty, which the spec's literal need not know yet."""
    spec = job(epochs=4, batch_size=16, **fields)
    search = spec.search.model_copy(update={"penalty": [penalty]})
    return spec.model_copy(update={"search": search})


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "exact"])
def test_a_new_penalty_trains_like_the_one_it_stands_for(
    heavy_lasso: PenaltyName, optimizer: str
) -> None:
    fields = {"optimizer": optimizer, "model": {"kind": "linear"}}
    folds = [made_up_fold(seed=0), made_up_fold(seed=1)]
    strengths = [0.001, 0.01, 0.1]
    new = [configuration(heavy_lasso, strength) for strength in strengths]
    old = [configuration("l1", 2 * strength) for strength in strengths]
    ours = train(searching(heavy_lasso, **fields), new, folds)
    theirs = train(searching("l1", **fields), old, folds)
    for member in range(len(strengths)):
        for name, weights in ours.parameters(member, 0).items():
            assert same_bits(weights, theirs.parameters(member, 0)[name])
    assert (ours.parameters(2, 0)["weight"] == 0).any()
    told = outcomes_of(searching(heavy_lasso, **fields), new, ours, 0)
    assert all(outcome.facts.settled is not None for outcome in told)


def test_a_new_penalty_has_a_label_and_a_largest_strength_worth_searching(
    heavy_lasso: PenaltyName,
) -> None:
    penalty = PENALTIES[heavy_lasso]
    assert (penalty.label, penalty.parameters) == ("heavy lasso", ("lambda",))
    assert penalty.largest_useful_strength(torch.tensor([0.5, -2.0]), 0.5, ()) == 2.0
