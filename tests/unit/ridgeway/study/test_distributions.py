"""A search space in Optuna's distributions, and which parameters exist beside which penalty."""

from __future__ import annotations

from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution

from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec
from ridgeway.study.distributions import search_space


def spec(search: dict[str, Any] | None = None, **fields: Any) -> JobSpec:
    return parse_spec({"dataset": "digits", "search": search or {}, **fields})


def test_each_way_of_writing_a_dimension_has_its_distribution():
    job = spec({"lambda": "auto", "l1_ratio": [0.1, 0.9], "weight_decay": 0.25})
    assert search_space(job, (1e-3, 1e2)) == {
        "penalty": CategoricalDistribution(("none", "l1", "l2", "elastic_net", "group_lasso")),
        "lambda": FloatDistribution(1e-3, 1e2, log=True),
        "l1_ratio": CategoricalDistribution((0.1, 0.9)),
        "learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
        "weight_decay": FloatDistribution(0.25, 0.25),
    }


def test_exact_searches_the_penalty_alone():
    assert list(search_space(spec(optimizer="exact", model={"kind": "linear"}), (1e-3, 1.0))) == [
        "penalty",
        "lambda",
        "l1_ratio",
    ]


def test_dropout_smoothing_and_noise_are_searched_only_where_the_search_names_them():
    fixed = spec(label_smoothing=0.1, input_noise=0.2, model={"kind": "mlp", "dropout": 0.3})
    plain = ["penalty", "lambda", "l1_ratio", "learning_rate", "weight_decay"]
    assert list(search_space(fixed, (1e-6, 1e-1))) == plain
    searched = spec(
        {
            "input_noise": 0.5,
            "label_smoothing": {"low": 0.01, "high": 0.2, "log": True},
            "dropout": [0.0, 0.5],
        }
    )
    space = search_space(searched, (1e-6, 1e-1))
    assert list(space) == [*plain, "dropout", "label_smoothing", "input_noise"]
    assert space["dropout"] == CategoricalDistribution((0.0, 0.5))
    assert space["label_smoothing"] == FloatDistribution(0.01, 0.2, log=True)
    assert space["input_noise"] == FloatDistribution(0.5, 0.5)
