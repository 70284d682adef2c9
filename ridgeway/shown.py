"""What only the answer's lease can know of the models, kept for pictures: bounded in size.

No choice rests on it. Each part stands alone: one that could not be had is null, and `absent` says
why by its name.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ridgeway.answers import Choice, Interval, View
from ridgeway.spec.losses import LossName
from ridgeway.spec.names import Objective, PenaltyName

# --- learning curves ------------------------------------------------------------------------------


class LearningCurve(View):
    """The objective over the epochs of one trial's configuration, trained on one split."""

    trial: int
    roles: list[Literal["simplest", "best", "none"]] = Field(
        description="of the trial in the answer"
    )
    penalty: PenaltyName
    strength: float | None = Field(description="λ; null without a penalty")
    epochs: list[int] = Field(description="at most 200, evenly; the first and the last are there")
    training: list[float | None] = Field(description="after each of the epochs; null: diverged")
    validation: list[float | None]
    refit_epochs: int = Field(description="that the answer's models of this trial train")


class Learning(View):
    """Learning curves: the objective, without the penalty, on rows trained on and on others.

    The rows are those of the job's last split, trained and judged as trials are.
    """

    objective: Objective
    loss: LossName | None
    training_rows: int = Field(description="that are judged, at most 2,000 of those trained on")
    validation_rows: int
    curves: list[LearningCurve]


# --- the sealed rows ------------------------------------------------------------------------------


class CalibrationBin(View):
    """Sealed rows that are predicted about the same: what is predicted, and what is."""

    low: float = Field(description="the least prediction in the bin")
    high: float
    predicted: float = Field(description="mean")
    observed: float = Field(description="share of the class, or mean of the target")
    interval: Interval | None = Field(description="95 % of what is observed; Wilson's for a share")
    rows: int


class ClassCurves(View):
    """One class against the rest: the ROC curve and the calibration of its probability."""

    name: str
    rows: int = Field(description="sealed rows of the class")
    false_positive_rate: list[float] = Field(description="at most 200 points, from 0 to 1")
    true_positive_rate: list[float]
    auc: float | None = Field(description="of the whole curve; null where a side has no rows")
    auc_interval: Interval | None = Field(
        description="95 %, DeLong's on the scale of log odds, by groups where rows have some"
    )
    calibration: list[CalibrationBin]


class NumberCurves(View):
    """Predictions beside the truth, of a sample of the sealed rows, and what lies between them."""

    truth: list[float]
    predicted: list[float]
    residuals: list[float]
    residual: Literal["difference", "deviance"] = Field(
        description="truth - predicted, or, of a Poisson distribution, the signed root of the unit "
        "deviance, which is about normal"
    )
    levels: list[float] = Field(description="shares of all sealed rows")
    quantiles: list[float] = Field(description="of their residuals, one for each level")
    calibration: list[CalibrationBin]


class SealedCurves(View):
    """The recommended model on the sealed rows, which were looked at once for all of the answer."""

    choice: Choice
    rows: int
    weighted: bool = Field(description="whether rows count by weights of their own")
    classes: list[ClassCurves] = Field(
        default=[], description="the positive one of two, or each of the ten with the most rows"
    )
    left_out: int = Field(default=0, description="classes beyond the ten")
    numbers: NumberCurves | None = Field(default=None, description="of a regression")


# --- weights --------------------------------------------------------------------------------------


class WeightHistogram(View):
    """The penalised weights of the best trial of one penalty."""

    penalty: PenaltyName
    trial: int
    strength: float | None = Field(description="λ; null without a penalty")
    weights: int
    zeros: int = Field(description="weights that are exactly 0, in no bin")
    counts: list[int] = Field(description="in each bin; the outer two hold what lies beyond, too")
    beyond: int = Field(description="weights that lie beyond the outer edges")
    largest: float = Field(description="|w|")


class Weights(View):
    """Weights under each penalty, on standardised inputs, in the same bins.

    All are trained on the confirmation's first split, from the same initial weights. Where there
    was no confirmation they are the refits of the answer's roles.
    """

    confirmed: bool = Field(description="whether they are the confirmation's")
    edges: list[float]
    histograms: list[WeightHistogram]


class WeightTrace(View):
    """One weight after each of the last steps."""

    name: str = Field(description="of the input, and of the output where there are several")
    subgradient: list[float]
    proximal: list[float]


class Flicker(View):
    """A linear model on rows of this job, trained twice with the same λ Σ |w|.

    One takes the gradient of the whole, with λ sign(w); the other that of the loss alone, and then
    soft thresholds. Both take full-batch steps of one length from zero weights.
    """

    rows: int
    weights: int
    strength: float = Field(description="λ, a tenth of the least that leaves no weight")
    learning_rate: float
    steps: int = Field(description="that are taken; the traces are of the last ones")
    traces: list[WeightTrace]
    subgradient_zeros: list[int] = Field(description="weights exactly 0 after each step shown")
    proximal_zeros: list[int]


class Shown(View):
    """What pictures of an answer need beside its path and features."""

    learning: Learning | None = None
    sealed: SealedCurves | None = None
    weights: Weights | None = None
    flicker: Flicker | None = None
    absent: dict[str, str] = Field(default={}, description="why a part is null, by its name")
