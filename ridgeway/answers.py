"""The answer of a job as JSON: what is recommended, and the evidence for it."""

from __future__ import annotations

from textwrap import shorten
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from ridgeway.spec.names import Objective, PenaltyName

Params: TypeAlias = dict[str, float | str]
Interval: TypeAlias = tuple[float, float]
Choice: TypeAlias = Literal["simplest", "best", "baseline"]
ModelRole: TypeAlias = Literal["recommended", "simplest", "best", "none", "linear", "baseline"]
RivalName: TypeAlias = Literal["none", "baseline", "linear", "best", "twin"]
Claim: TypeAlias = Literal["benefit", "none_detected", "no_signal", "beyond_limits"]

# The libraries of `Chosen.equivalents`, as people call them.
LIBRARIES = {
    "sklearn": "scikit-learn",
    "sklearn_raw_target": "scikit-learn, target not standardised",
    "torch": "torch.optim, weights alone",
}

LONGEST_SUMMARY = 240  # characters


class View(BaseModel):
    """Newer services may answer more fields than an older client knows."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def _summary(self) -> str | None:
        """Return in a few words what `repr` shows; None for all fields."""
        return None

    def __repr__(self) -> str:
        summary = self._summary()
        if summary is None:
            return super().__repr__()
        return f"<{type(self).__name__} {shorten(summary, LONGEST_SUMMARY, placeholder='...')}>"

    def __str__(self) -> str:
        return repr(self)


class Chosen(View):
    """A trial that the answer names, and what its refit on the development rows gave."""

    number: int
    value: float
    standard_error: float | None
    params: Params
    nonzero_weights: float = Field(
        description="weights that are not zero in the models of the search, mean over its folds"
    )
    refit_nonzero_weights: int | None = Field(
        description="weights that are not zero in the model that is kept, which was trained again "
        "on all development rows; null where that diverged"
    )
    weights: int
    selected_features: int | None = Field(
        default=None,
        description="input columns with a nonzero outgoing weight in the refitted model",
    )
    settled: bool | None = Field(
        default=None,
        description="whether the same weights were zero in the refit's last epochs: until they "
        "are, more epochs may change which features it uses; null where there are none",
    )
    equivalents: dict[str, dict[str, float]] | None = Field(
        default=None,
        description="the same strength in the terms of `sklearn`, `glmnet` and `torch`, inputs and "
        "target standardised, and of `sklearn_raw_target`, the target as it is; for linear models "
        "without weight decay",
    )


class Baseline(View):
    """The constant predictor: the mean, or the shares of the classes, of the training rows."""

    value: float | None = Field(description="the objective on the sealed test set")
    validation: float | None = Field(
        default=None, description="the objective on the validation rows, mean over folds"
    )
    standard_error: float | None = None


class LinearRival(View):
    """The plain linear model with an L2 penalty, the best of a few strengths, solved exactly."""

    strength: float = Field(description="λ")
    value: float = Field(description="the objective on the job's folds")
    standard_error: float | None
    features: int = Field(description="input columns that the refitted model uses")


class SealedScores(View):
    """Scores on the sealed test set, which was opened `evaluations` times, at the end."""

    evaluations: int
    metric: Objective
    rows: int
    simplest: float | None
    best: float | None
    none: float | None
    baseline: float | None
    linear: float | None = None
    interval: Interval | None = Field(
        default=None,
        description="of what is recommended, 95 %, by resampled rows, or groups of rows",
    )
    loss: dict[str, float | None] = Field(
        description="the unpenalised loss of simplest, best, none, baseline, and debiased"
    )
    metrics: dict[str, dict[str, float]] = Field(
        default={}, description="every usual metric by name, of each role"
    )


class Comparison(View):
    """What is recommended against a rival, pairwise: differences above 0 speak for the former."""

    rival: RivalName
    difference: float = Field(description="mean over the confirmation's folds, of the objective")
    interval: Interval = Field(description="95 %, corrected for folds that share training rows")
    p: float = Field(description="corrected resampled t-test, two-sided (Nadeau & Bengio 2003)")
    folds: int
    detectable: float = Field(
        description="the difference that these folds show with a power of 80 %"
    )
    sealed_difference: float | None = Field(default=None, description="on the sealed rows")
    sealed_interval: Interval | None = Field(
        default=None, description="98 %, by resampled rows or groups"
    )
    claimed: bool = Field(
        description="folds and at least 100 sealed rows agree that the difference is there"
    )


class Verdict(View):
    """What the answer says in words, and what it claims."""

    sentence: str
    claim: Claim
    difference: float | None = Field(default=None, description="against `none`, or the constant")
    interval: Interval | None = None
    p: float | None = None


class PenaltyRow(View):
    """What the search made of one penalty."""

    penalty: PenaltyName
    trials: int = Field(description="complete ones")
    number: int | None = Field(description="of its best trial")
    value: float | None
    standard_error: float | None
    behind: float | None = Field(
        description="mean difference of its best trial to the best of all, fold by fold; 0 or more"
    )
    behind_error: float | None = Field(description="standard error of that mean")
    confirmed: float | None = Field(
        default=None, description="its best trial on the confirmation's folds"
    )


class ConfirmedFinalist(View):
    """A finalist on fresh splits, initial weights and batches."""

    name: str = Field(description="its role, or the penalty that it is the best of")
    number: int | None = Field(description="its trial")
    value: float | None = Field(description="null where it diverged")
    interval: Interval | None = Field(
        default=None, description="95 %, corrected for folds that share training rows"
    )
    twin: float | None = Field(
        default=None, description="the value of the same model at λ = 0, all else equal"
    )


class Confirmation(View):
    """The finalists trained once more, on splits and seeds that chose nothing."""

    splits: int = Field(description="training and validation parts")
    finalists: list[ConfirmedFinalist]
    optimism: float | None = Field(
        description="by which share the best trial's value was better than its confirmed one"
    )
    initialisations: list[float] = Field(
        default=[], description="sealed loss of each refit of what is recommended"
    )


class Debias(View):
    """The recommended columns fitted without a penalty, beside the penalised model of the same."""

    penalised: float | None = Field(description="the objective, mean over fresh splits")
    debiased: float | None = Field(
        description="likewise; on each split of the columns that its own training part chooses"
    )
    difference: float | None = Field(description="above 0 it speaks for the debiased model")
    interval: Interval | None = Field(
        description="95 %, corrected for folds that share training rows"
    )
    p: float | None
    features: int | None
    nonzero_weights: int = Field(description="weights that are not zero in the debiased model")
    sealed_penalised: float | None = Field(description="the `metric` of `test`")
    sealed_debiased: float | None


class Check(View):
    """Something that a careful reader would ask about, found to be so."""

    code: str = Field(description="docs/checks.md has a section for each")
    sentence: str
    remedy: str


class Recommended(View):
    """The answer: `choice` names what we tell the user to use."""

    choice: Choice = "simplest"
    verdict: Verdict | None = None
    simplest: Chosen
    best: Chosen
    none: Chosen | None = Field(description="best with penalty `none`, where one was tried")
    linear: LinearRival | None = None
    baseline: Baseline
    penalties: list[PenaltyRow] = []
    confirmation: Confirmation | None = None
    debias: Debias | None = Field(
        default=None,
        description="with `refit` `debias`; the kept model is the debiased one. null: it is not",
    )
    comparisons: list[Comparison] = []
    checks: list[Check] = []
    test: SealedScores

    def _summary(self) -> str:
        if self.verdict is not None:
            return f"{self.choice}: {self.verdict.sentence}"
        chosen = self.best if self.choice == "best" else self.simplest
        return f"{self.choice}: {chosen.params}"
