"""The names that a spec has for penalties, objectives, samplers and pruners: a row each.

To add one, add its name to the literal and its row to the list below it. What it does stands on
the workers' side, in the list of the same names: workers/penalties/penalties.py,
workers/objectives/metrics.py, workers/sampling/samplers.py, workers/pruning/rules.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Task: TypeAlias = Literal["classification", "regression"]

# --- penalties --------------------------------------------------------------------------------

BuiltInPenalty: TypeAlias = Literal[
    "none",
    "l1",
    "l2",
    "elastic_net",
    "group_lasso",
    "sparse_group_lasso",
    "mcp",
    "scad",
    "l0.5",
    "adaptive_l1",
    "hierarchical",
]

PenaltyName: TypeAlias = str  # one of these, or what a plug-in offers

UNPENALISED: PenaltyName = "none"
RIDGE: PenaltyName = "l2"  # what a plain linear model has


@dataclass(frozen=True)
class PenaltyRow:
    """A penalty as the spec and the study know it.

    label: its name for people. parameters: the study's parameters that a trial has only beside a
    penalty that names them. by_default: jobs that name no penalties search it. convex: it is known
    to be. optimizers: those that know it; None where all do. kinked: exact knows it beside the
    pinball loss too. needs_skip: it shrinks the weights of a net's skip layer, so that there has to
    be one. grows: within a training its strength grows to λ, so that this must not end before.
    does: what it does to a model, in a line for people who meet it first.
    """

    name: PenaltyName
    label: str
    parameters: tuple[str, ...] = ("lambda",)
    by_default: bool = True
    convex: bool = True
    optimizers: tuple[str, ...] | None = None
    kinked: bool = True
    needs_skip: bool = False
    grows: bool = False
    does: str = ""


PENALTY_ROWS: Mapping[PenaltyName, PenaltyRow] = {
    row.name: row
    for row in (
        PenaltyRow(
            "none",
            "no penalty",
            (),
            does="leaves weights as training finds them: what the others are compared with",
        ),
        PenaltyRow("l1", "L1", does="sets weights of little use to zero, and shrinks the rest"),
        PenaltyRow("l2", "L2", does="makes all weights smaller, and none of them zero"),
        PenaltyRow(
            "elastic_net",
            "elastic net",
            ("lambda", "l1_ratio"),
            does="L1 and L2 at once: chooses inputs, and keeps those that tell the same together",
        ),
        PenaltyRow(
            "group_lasso",
            "group lasso",
            does="keeps or drops all weights of an input, or of a group of inputs, together",
        ),
        PenaltyRow(
            "sparse_group_lasso",
            "sparse group lasso",
            ("lambda", "l1_ratio"),
            by_default=False,
            does="drops whole groups of weights, and single weights within those that it keeps",
        ),
        PenaltyRow(
            "mcp",
            "MCP",
            by_default=False,
            convex=False,
            does="sets small weights to zero as L1 does, and leaves large ones as they are",
        ),
        PenaltyRow(
            "scad",
            "SCAD",
            by_default=False,
            convex=False,
            does="close to MCP: L1 for small weights, then ever less, nothing for large ones",
        ),
        PenaltyRow(
            "l0.5",
            "L0.5",
            by_default=False,
            convex=False,
            kinked=False,
            does="zeroes more weights than L1 for the same fit, and shrinks large ones less",
        ),
        PenaltyRow(
            "adaptive_l1",
            "adaptive L1",
            by_default=False,
            optimizers=("exact",),
            kinked=False,
            does="L1 that spares inputs which a first ridge model finds important",
        ),
        PenaltyRow(
            "hierarchical",
            "hierarchical",
            by_default=False,
            convex=False,
            needs_skip=True,
            grows=True,
            does="drops inputs from a net altogether; needs a skip layer",
        ),
    )
}
PENALTY_NAMES: tuple[PenaltyName, ...] = get_args(BuiltInPenalty)
DEFAULT_PENALTIES: tuple[PenaltyName, ...] = tuple(
    row.name for row in PENALTY_ROWS.values() if row.by_default
)


def penalty_row(name: PenaltyName) -> PenaltyRow:
    """Return a penalty's row; a plug-in's has a strength, and its name is its label."""
    label = name.replace("_", " ")
    return PENALTY_ROWS.get(name) or PenaltyRow(name, label, by_default=False, convex=False)


# --- objectives -------------------------------------------------------------------------------

Objective: TypeAlias = Literal["loss", "accuracy", "balanced_accuracy", "roc_auc", "mse", "r2"]


@dataclass(frozen=True)
class ObjectiveRow:
    """A measure of trials: its name for people, the tasks that have it, and its direction."""

    name: Objective
    label: str
    tasks: tuple[Task, ...]
    maximised: bool
    every_class: bool = False  # whether judging rows without some class have no value


OBJECTIVE_ROWS: Mapping[Objective, ObjectiveRow] = {
    row.name: row
    for row in (
        ObjectiveRow("loss", "loss", ("classification", "regression"), maximised=False),
        ObjectiveRow("accuracy", "accuracy", ("classification",), maximised=True),
        ObjectiveRow("balanced_accuracy", "balanced accuracy", ("classification",), maximised=True),
        ObjectiveRow("roc_auc", "ROC AUC", ("classification",), maximised=True, every_class=True),
        ObjectiveRow("mse", "mean squared error", ("regression",), maximised=False),
        ObjectiveRow("r2", "R²", ("regression",), maximised=True),
    )
}


# What people are shown beside a loss, which says little by itself.
SHOWN_FOR_LOSS: Mapping[Task, Objective] = {"classification": "accuracy", "regression": "r2"}


def objectives_of(task: Task) -> tuple[Objective, ...]:
    """Return the objectives that a job of this task may have."""
    return tuple(row.name for row in OBJECTIVE_ROWS.values() if task in row.tasks)


# --- optimizers -------------------------------------------------------------------------------

# `auto` has no row: a spec that is read has the name that it stands for in its place.
Optimizer: TypeAlias = Literal["auto", "exact", "sgd", "adam", "adamw"]


@dataclass(frozen=True)
class OptimizerRow:
    """An optimizer.

    has_rates: it takes a learning rate and weight decay; `exact` solves to the optimum without.
    decoupled: weight decay is beside the loss, where it is an l2 term of half its strength else.
    """

    name: Optimizer
    has_rates: bool = True
    decoupled: bool = False


OPTIMIZER_ROWS: Mapping[Optimizer, OptimizerRow] = {
    row.name: row
    for row in (
        OptimizerRow("sgd"),
        OptimizerRow("adam"),
        OptimizerRow("adamw", decoupled=True),
        OptimizerRow("exact", has_rates=False),
    )
}

# --- samplers and pruners ---------------------------------------------------------------------

Sampler: TypeAlias = Literal["tpe", "random", "qmc", "grid", "gp"]


@dataclass(frozen=True)
class SamplerRow:
    """A sampler.

    learns: it draws from what trials before have reached in the first objective. finite: it ends.
    """

    name: Sampler
    learns: bool
    finite: bool = False


SAMPLER_ROWS: Mapping[Sampler, SamplerRow] = {
    row.name: row
    for row in (
        SamplerRow("tpe", learns=True),
        SamplerRow("random", learns=False),
        SamplerRow("qmc", learns=False),
        SamplerRow("grid", learns=False, finite=True),
        SamplerRow("gp", learns=True),
    )
}

Pruner: TypeAlias = Literal["none", "median", "halving"]
