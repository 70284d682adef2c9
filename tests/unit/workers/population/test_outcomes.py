"""What the study keeps of a trained population."""

from __future__ import annotations

import pytest
from populations import configuration, job, made_up_fold, train

from workers.population.outcomes import outcomes_of


def test_how_far_a_strength_could_pull_is_told_where_there_is_a_learning_rate():
    spec = job(model={"kind": "linear"}, epochs=2, batch_size=10, optimizer="sgd")
    members = [configuration("l1", 0.5, learning_rate=0.25), configuration("none")]
    result = train(spec, members, [made_up_fold(rows=50)])
    l1, none = (outcome.facts for outcome in outcomes_of(spec, members, result, 0))
    assert l1.lambda_lr_updates == pytest.approx(0.5 * 0.25 * 2 * 5)
    assert none.lambda_lr_updates is None
    warm = spec.model_copy(update={"warmup_epochs": 1})
    warmed = train(warm, members, [made_up_fold(rows=50)])
    (outcome, _) = outcomes_of(warm, members, warmed, 0)
    rising = sum(step / 5 for step in range(1, 6))
    assert outcome.facts.lambda_lr_updates == pytest.approx(0.5 * 0.25 * (rising + 5))
    # `exact` has no steps, and no weight decay that could be an l2 term.
    exact = spec.model_copy(update={"optimizer": "exact"})
    without_rates = [configuration("l1", 0.5, learning_rate=0.0)]
    solved = train(exact, without_rates, [made_up_fold(rows=50)])
    (outcome,) = outcomes_of(exact, without_rates, solved, 0)
    assert outcome.value == solved.values[0]
    assert not {"lambda_lr_updates", "lambda_l2_effective"} & outcome.facts.attributes().keys()
