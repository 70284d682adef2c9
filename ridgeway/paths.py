"""A regularisation path as JSON: one penalty over a grid of strengths, and what each came to."""

from __future__ import annotations

from pydantic import Field

from ridgeway.answers import View
from ridgeway.spec.losses import LossName
from ridgeway.spec.names import Objective, PenaltyName


class PathPoint(View):
    """One strength: its values on the folds, and its model of every development row."""

    strength: float
    value: float | None = Field(description="mean over folds; null where training diverged")
    standard_error: float | None = Field(description="of that mean")
    paired_error: float | None = Field(
        default=None, description="of its mean difference to the best strength, fold by fold"
    )
    nonzero_weights: float | None = Field(
        description="weights that are not zero, mean over the models of the folds"
    )
    features: float | None = Field(
        default=None, description="input columns that are used, mean over folds"
    )
    settled: bool | None = Field(
        default=None, description="whether a net's zeros had come to rest in every fold"
    )
    refit_nonzero_weights: int | None = Field(
        None, description="weights that are not zero in the model refitted on all development rows"
    )
    refit_features: int | None = None
    coefficients: dict[str, list[float]] | None = Field(
        default=None,
        description="of linear models: by encoded column, one for each output, in the units of the "
        "table; columns that are left out of it have zeros",
    )
    intercepts: list[float] | None = Field(
        default=None,
        description="of linear models, one for each output, in the target's units; beside the loss "
        "poisson in those of its logarithm",
    )
    norms: dict[str, float] | None = Field(
        default=None,
        description="of nets: by input column, the Euclidean norm of its outgoing weights on "
        "standardised inputs; columns that are left out of it have zeros",
    )


class RegularisationPath(View):
    """One penalty over strengths from the largest down, at one learning rate and weight decay."""

    penalty: PenaltyName
    l1_ratio: float | None = None
    learning_rate: float | None = Field(default=None, description="null for exact solutions")
    weight_decay: float | None = None
    objective: Objective
    loss: LossName | None = Field(default=None, description="which, where the job names one")
    outputs: list[str] = Field(
        description="what the coefficients predict: the target, the second of two classes, or each "
        "class"
    )
    columns: list[str] = Field(description="those whose coefficients or norms are told")
    scales: dict[str, float] = Field(
        default={},
        description="of linear models: the standard deviation of each of these columns; times it, "
        "a coefficient is that of the standardised column",
    )
    left_out: int = Field(
        default=0, description="columns, those with the smallest coefficients, that are not told"
    )
    best_strength: float | None = Field(description="the strength with the best value: λ_min")
    one_standard_error_strength: float | None = Field(
        description="the largest whose value is within one standard error of the best: λ_1se"
    )
    recommended_strength: float | None = Field(
        default=None, description="of the trial whose rate and mixing it has; null where that is 0"
    )
    confirmed: float | None = Field(
        default=None, description="that trial's value on the confirmation's splits"
    )
    trial: int | None = Field(
        default=None, description="the trial whose rate, decay and mixing the path has"
    )
    points: list[PathPoint]

    def _summary(self) -> str:
        named = {"λ_min": self.best_strength, "λ_1se": self.one_standard_error_strength}
        told = [f"{name} {own:.4g}" for name, own in named.items() if own is not None]
        return f"{self.penalty}: " + ", ".join([f"{len(self.points)} strengths", *told])
