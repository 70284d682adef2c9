"""JobSpec: the REST body, the stored JSON and the worker's input are one and the same model."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import (
    BeforeValidator,
    Field,
    JsonValue,
    model_validator,
)
from pydantic_core import PydanticCustomError

from ridgeway.spec.bounds import Bounds
from ridgeway.spec.by_column import FeatureGroups, PenaltyFactors
from ridgeway.spec.columns import NO_INPUT, Columns
from ridgeway.spec.dimensions import DISTINCT, Dimension, Range, Strength, within
from ridgeway.spec.losses import Loss, LossName
from ridgeway.spec.models import LinearModel, MlpModel, ModelSpec
from ridgeway.spec.names import (
    DEFAULT_PENALTIES,
    OBJECTIVE_ROWS,
    OPTIMIZER_ROWS,
    PENALTY_NAMES,
    Objective,
    Optimizer,
    Pruner,
    Sampler,
    Task,
)
from ridgeway.spec.notify import Notify
from ridgeway.spec.refits import RefitKind
from ridgeway.spec.steps import asks_for_steps
from ridgeway.spec.strengths import Strengths
from ridgeway.spec.strict import WHOLE, Check, Integer, Name, Strict, Text
from ridgeway.spec.validation import FoldsValidation, ForwardValidation, Validation
from ridgeway.spec.warm_start import WarmStart

Schedule: TypeAlias = Literal["constant", "cosine"]
Stop: TypeAlias = Literal["never", "auto"]
Rule: TypeAlias = Literal["simplest", "one_standard_error", "best"]
Precision: TypeAlias = Literal["float32", "float64", "tf32", "bf16"]

MAX_TRIALS = 1_000_000
MAX_EPOCHS = 100_000
MAX_DROPPED = 10_000


_Penalties: TypeAlias = Annotated[list[Name], Field(min_length=1, max_length=100), DISTINCT]


def _listed(value: Any) -> Any:
    """Read `"penalty": "l1"` as one fixed choice."""
    return [value] if isinstance(value, str) else value


PENALTIES_SHOWN = f"one or some of {', '.join(PENALTY_NAMES)}, or of what plug-ins offer"


class Search(Strict):
    """The space: each entry a range, a list of choices, or one fixed value."""

    penalty: Annotated[
        _Penalties, BeforeValidator(_listed, json_schema_input_type=Name | _Penalties)
    ] = Field(default=list(DEFAULT_PENALTIES), description=PENALTIES_SHOWN)
    strength: Annotated[Strength, within(0, 1e6)] = Field(
        default="auto", alias="lambda", description="λ; absent from trials whose penalty is `none`"
    )
    l1_ratio: Annotated[Dimension, within(0, 1)] = Field(
        default=Range(low=0.05, high=0.95), description="for `elastic_net`, `sparse_group_lasso`"
    )
    learning_rate: Annotated[Dimension | None, within(0, 1e3, low_open=True)] = Field(
        default=None, description="default 1e-4 to 1e-1; `exact` has none"
    )
    weight_decay: Annotated[Dimension | None, within(0, 1e3)] = Field(
        default=None,
        description="means what it means in the optimiser; default 1e-6 to 1e-1 for `adamw`, "
        "0 for `sgd` and `adam`, where it is an l2 term; `exact` has none",
    )
    dropout: Annotated[Dimension | None, within(0, 1, high_open=True)] = Field(
        default=None,
        description="rate of every dropout layer: behind each hidden layer of an `mlp`, "
        "in a plug-in's model where it has some",
    )
    label_smoothing: Annotated[Dimension | None, within(0, 1)] = Field(
        default=None, description="share of a training target spread over all classes"
    )
    input_noise: Annotated[Dimension | None, within(0, 1e3)] = Field(
        default=None,
        description="standard deviation of normal noise on standardised inputs in training",
    )


DEFAULT_LEARNING_RATE = Range(low=1e-4, high=1e-1, log=True)
DEFAULT_WEIGHT_DECAY = Range(low=1e-6, high=1e-1, log=True)
PATH_RATES = {"learning_rate": 1e-2, "weight_decay": 0.0}


class EarlyStopping(Strict):
    """A trial ends when its mean curve has not improved for `patience` epochs."""

    patience: Integer = Field(ge=1, le=MAX_EPOCHS)


class AtMost(Strict):
    """Limits on what is recommended."""

    features: Annotated[int, Field(ge=0), WHOLE] | None = None
    nonzero_weights: Annotated[int, Field(ge=0), WHOLE] | None = None


def _objective_first(objectives: list[str]) -> list[str]:
    """Refuse all but one objective of training, alone or followed by `nonzero_weights`."""
    if objectives[0] == "nonzero_weights" or objectives[1:] not in ([], ["nonzero_weights"]):
        raise PydanticCustomError(
            "objectives",
            "must be one of {accepted}, alone or followed by nonzero_weights",
            {"accepted": ", ".join(get_args(Objective))},
        )
    return objectives


_OBJECTIVE_FIRST: dict[str, JsonValue] = {
    "prefixItems": [{"enum": [*get_args(Objective)]}, {"const": "nonzero_weights"}]
}


def _present_name(value: Any) -> Any:
    return "exact" if value == "fista" else value


class JobSpec(Strict):
    """A search job. Only `dataset` is required."""

    kind: Literal["search", "path"] = "search"
    name: Text = ""
    dataset: Name = Field(
        examples=["digits"], description="a bundled, uploaded or plug-in data set's name, or its id"
    )
    target: Name | None = Field(None, description="column to predict; the last one by default")
    groups: Name | None = Field(None, description="column whose equal values stay in one split")
    weights: Name | None = Field(
        None, description="a column of sample weights, numbers >= 0; it is no input"
    )
    drop: Annotated[list[Name], Field(max_length=MAX_DROPPED), DISTINCT] = Field(
        default=[], description="columns that are no inputs"
    )
    columns: Columns = Field({})
    missing_target: Literal["refuse", "drop"] = Field(
        "refuse",
        exclude_if=lambda asked: asked == "refuse",  # as of `columns`
        description="`drop`: rows without a target are left out",
    )
    task: Task | None = Field(None, description="told from the target column by default")
    loss: Loss = Field(None, description="of a regression; the squared error by default")
    model: ModelSpec = MlpModel()
    optimizer: Annotated[
        Optimizer,
        BeforeValidator(_present_name, json_schema_input_type=Optimizer | Literal["fista"]),
    ] = Field(
        "auto",
        description="`exact` solves `linear` models to the optimum (once called `fista`); `auto`: "
        "`exact` for them unless the job asks for rates or for what else only steps have, "
        "`adamw` for all others",
    )
    schedule: Schedule = Field("constant", description="of the learning rate, over all epochs")
    warmup_epochs: Integer = Field(
        0, ge=0, le=MAX_EPOCHS, description="epochs over which the learning rate rises from 0"
    )
    clip_norm: float | None = Field(
        None, gt=0, le=1e9, description="largest norm of a trial's gradient"
    )
    search: Search = Search()
    strengths: Strengths | None = Field(None, description="of a path: how many, or which")
    penalize: Literal["weights", "all"] = "weights"
    penalty_factors: PenaltyFactors = Field({})
    feature_groups: FeatureGroups = Field({})
    bounds: Bounds = Field({})
    group_by: Literal["input", "neuron"] = "input"
    hierarchy: float = Field(
        10.0,
        gt=0,
        le=1e6,
        description="M of `hierarchical`: how many times as large as the norm of a column's skip "
        "weights each of its weights in the first layer may be",
    )
    l1_method: Literal["proximal", "subgradient"] = Field(
        "proximal",
        description="`proximal`: each step ends with one that makes small weights exactly zero; "
        "`subgradient`: the penalty's slope is added to the gradient, and hardly a weight is zero",
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="`balanced`: rows of each class weigh as much together as any other's"
    )
    label_smoothing: float = Field(
        0.0, ge=0, le=1, description="share of a training target spread over all classes"
    )
    input_noise: float = Field(
        0.0,
        ge=0,
        le=1e3,
        description="standard deviation of normal noise on standardised inputs in training",
    )
    sampler: Sampler = "tpe"
    pruner: Pruner = "none"
    objective: Objective = "loss"
    objectives: (
        Annotated[
            list[Objective | Literal["nonzero_weights"]],
            Field(min_length=1, max_length=2),
            Check(_objective_first, _OBJECTIVE_FIRST),
        ]
        | None
    ) = Field(
        None,
        description="`[loss, nonzero_weights]` gives a Pareto front; best and recommended go by "
        "the first, which `objective` repeats",
    )
    warm_start: WarmStart | None = Field(
        None,
        description="complete trials of another job teach the sampler; they are copied into the "
        "study and count in nothing",
    )
    rule: Rule = Field(
        "simplest",
        description="what is recommended: the `simplest` trial that neither its value nor its "
        "folds tell from the best, the one with the fewest weights within `one_standard_error` of "
        "it, or the `best`",
    )
    at_most: AtMost | None = Field(
        None,
        description="what is recommended uses no more `features` or `nonzero_weights` in the mean "
        "over folds",
    )
    refit: RefitKind = Field(
        "penalised", description="`debias`: the chosen columns once more, without a penalty"
    )
    validation: Validation = FoldsValidation()
    test_fraction: float = Field(0.2, gt=0, le=0.9)
    trials: Integer = Field(200, ge=1, le=MAX_TRIALS)
    stop: Stop = Field(
        "never",
        description="`auto`: before the budget is spent, once further trials are expected to gain "
        "less than a tenth of the standard error of differences between the best ones",
    )
    epochs: Integer = Field(30, ge=1, le=MAX_EPOCHS)
    early_stopping: EarlyStopping | None = None
    batch_size: Integer = Field(128, ge=1, le=1_000_000)
    precision: Precision = Field(
        "float32", description="of training; `tf32` and `bf16` round matrix products"
    )
    seed: Integer = Field(0, ge=0, le=2**32 - 1)
    timeout_seconds: float | None = Field(None, gt=0, le=1e9)
    priority: Integer = Field(0, ge=-100, le=100)
    notify: Notify = Field([])

    @model_validator(mode="after")
    def _first_objective(self) -> JobSpec:
        """Fill in `objective` from the first of `objectives`, where it is not named again."""
        if self.objectives is not None and "objective" not in self.model_fields_set:
            object.__setattr__(self, "objective", self.objectives[0])
        return self

    @model_validator(mode="after")
    def _optimizer_of_the_model(self) -> JobSpec:
        """Put in the place of `auto` what it stands for."""
        if self.optimizer == "auto":
            exact = isinstance(self.model, LinearModel) and not asks_for_steps(self)
            object.__setattr__(self, "optimizer", "exact" if exact else "adamw")
        return self

    @model_validator(mode="after")
    def _rates_of_the_optimizer(self) -> JobSpec:
        """Fill in the optimizer's default rates.

        In sgd and adam weight decay IS an l2 term, so there it is off unless asked for.
        """
        row = OPTIMIZER_ROWS[self.optimizer]
        if not row.has_rates:
            return self
        decay = DEFAULT_WEIGHT_DECAY if row.decoupled else 0.0
        searched = {"learning_rate": DEFAULT_LEARNING_RATE, "weight_decay": decay}
        defaults = searched if self.kind == "search" else PATH_RATES
        missing = {
            name: default
            for name, default in defaults.items()
            if getattr(self.search, name) is None
        }
        search = self.search.model_copy(update=missing)
        # A model validator may only return self (pydantic warns otherwise); the model is frozen
        # for everybody else.
        object.__setattr__(self, "search", search)
        return self

    @property
    def folds(self) -> int:
        """Return how many models a trial trains."""
        return self.validation.models

    @property
    def loss_name(self) -> LossName | None:
        """Return the name of the loss, if the job names one."""
        return None if self.loss is None else self.loss.kind

    @property
    def order(self) -> str | None:
        """Return the column that puts the rows in order, if one does."""
        return self.validation.by if isinstance(self.validation, ForwardValidation) else None

    @property
    def apart(self) -> set[str]:
        """Return the columns beside the target that are no inputs."""
        left_out = (name for name, kind in self.columns.items() if kind in NO_INPUT)
        named = (self.groups, self.weights, self.order, *self.drop, *left_out)
        return {name for name in named if name is not None}

    @property
    def maximise(self) -> bool:
        """Return True where more of the objective is better."""
        return OBJECTIVE_ROWS[self.objective].maximised

    @property
    def further_objectives(self) -> tuple[str, ...]:
        """Return the objectives after the first: facts of a trial, the fewer the better."""
        return tuple(self.objectives[1:]) if self.objectives else ()

    @property
    def directions(self) -> list[bool]:
        """Return for each objective of the study whether more of it is better."""
        return [self.maximise, *(False for _ in self.further_objectives)]
