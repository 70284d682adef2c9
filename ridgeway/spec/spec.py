"""JobSpec: the REST body, the stored JSON and the worker's input are one and the same model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias, cast, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from ridgeway.errors import FieldError, InvalidInput
from ridgeway.spec.names import (
    OBJECTIVE_ROWS,
    PENALTIES,
    Objective,
    PenaltyName,
    Pruner,
    Sampler,
    Task,
)

Optimizer: TypeAlias = Literal["sgd", "adam", "adamw", "fista"]
Activation: TypeAlias = Literal["relu", "gelu", "tanh", "silu"]
Schedule: TypeAlias = Literal["constant", "cosine"]
Precision: TypeAlias = Literal["float32", "float64", "tf32", "bf16"]

MAX_TRIALS = 1_000_000
MAX_EPOCHS = 100_000


def _storable(text: str) -> str:
    """PostgreSQL keeps no NUL, and no database keeps half of a surrogate pair."""
    if "\x00" in text:
        raise PydanticCustomError("nul", "must not contain the NUL character")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise PydanticCustomError("surrogate", "must be valid Unicode; met a lone surrogate")
    return text


MAX_DEPTH = 30  # of a plug-in's options; pydantic writes no JSON deeper than some 250


def _plain_json(value: JsonValue, depth: int = 0) -> JsonValue:
    """Options of a plug-in: any JSON that both databases keep, numbers finite."""
    if depth > MAX_DEPTH:
        raise PydanticCustomError(
            "depth", "must not be nested deeper than {most} levels", {"most": MAX_DEPTH}
        )
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        raise PydanticCustomError("finite", "must be a finite number")
    if isinstance(value, list):
        return [_plain_json(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_storable(key): _plain_json(item, depth + 1) for key, item in value.items()}
    return value


Text: TypeAlias = Annotated[str, Field(max_length=200), AfterValidator(_storable)]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_storable)]


class Part(BaseModel):
    """A part of a spec: unknown fields, infinities and numbers in quotes are refused."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        serialize_by_alias=True,
    )


# --- the search space -------------------------------------------------------------------------


class Range(Part):
    """Every number from `low` to `high`; uniform in the logarithm where `log` is true."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high:
            raise PydanticCustomError(
                "empty_range",
                "is an empty range: low must be less than high (for one value, give one number)",
            )
        if self.log and self.low <= 0:
            raise PydanticCustomError(
                "log_range", "a logarithmic range needs low > 0; met low = {low}", {"low": self.low}
            )
        return self


def _distinct(choices: list[Any]) -> list[Any]:
    if len(set(choices)) != len(choices):
        raise PydanticCustomError("repeated", "every choice may be named once")
    return choices


Choices: TypeAlias = Annotated[
    list[float], Field(min_length=1, max_length=100), AfterValidator(_distinct)
]


def _kind_of_dimension(value: Any) -> str:
    """Which way of writing a dimension this is; the tag never reaches a client."""
    if isinstance(value, Mapping | Range):
        return "@range"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "@choices"
    return "@auto" if isinstance(value, str) else "@number"


Dimension: TypeAlias = Annotated[
    Annotated[Range, Tag("@range")]
    | Annotated[Choices, Tag("@choices")]
    | Annotated[float, Tag("@number")],
    Discriminator(
        _kind_of_dimension,
        custom_error_type="dimension",
        custom_error_message="must be a range {low, high, log}, a list of numbers or one number",
    ),
]
Strength: TypeAlias = Annotated[
    Annotated[Range, Tag("@range")]
    | Annotated[Choices, Tag("@choices")]
    | Annotated[float, Tag("@number")]
    | Annotated[Literal["auto"], Tag("@auto")],
    Discriminator(_kind_of_dimension),
]


def _bounds(dimension: Dimension | Literal["auto"] | None) -> list[tuple[str, float]]:
    """The numbers that a dimension can reach at its ends, each with its place in the spec."""
    if isinstance(dimension, Range):
        return [("low", dimension.low), ("high", dimension.high)]
    if isinstance(dimension, list):
        return [(str(index), value) for index, value in enumerate(dimension)]
    return [("", dimension)] if isinstance(dimension, int | float) else []


def _out_of_bounds(place: str, value: float, accepted: str) -> PydanticCustomError:
    """Names the place below the field: pydantic's own location ends at the field."""
    return PydanticCustomError(
        "out_of_bounds",
        "must be {accepted}; met {value}",
        {"accepted": accepted, "place": place, "value": value},
    )


def _within(
    low: float, high: float, *, low_open: bool = False, high_open: bool = False
) -> AfterValidator:
    """Every value that the dimension can take lies between low and high."""
    accepted = f"{'more than' if low_open else 'at least'} {low:g}"
    if high != float("inf"):
        accepted += f" and {'less than' if high_open else 'at most'} {high:g}"

    def check(dimension: Any) -> Any:
        for place, value in _bounds(dimension):
            too_low = value <= low if low_open else value < low
            too_high = value >= high if high_open else value > high
            if too_low or too_high:
                raise _out_of_bounds(place, value, accepted)
        return dimension

    return AfterValidator(check)


class Search(Part):
    """The space: each entry a range, a list of choices, or one fixed value."""

    penalty: Annotated[
        list[PenaltyName], Field(min_length=1, max_length=len(PENALTIES)), AfterValidator(_distinct)
    ] = list(PENALTIES)
    strength: Annotated[Strength, _within(0, 1e6)] = Field(
        default="auto", alias="lambda", description="λ; absent from trials whose penalty is `none`"
    )
    l1_ratio: Annotated[Dimension, _within(0, 1)] = Field(
        default=Range(low=0.05, high=0.95), description="only for `elastic_net`"
    )
    learning_rate: Annotated[Dimension | None, _within(0, 1e3, low_open=True)] = Field(
        default=None, description="default 1e-4 to 1e-1; `fista` finds its own"
    )
    weight_decay: Annotated[Dimension | None, _within(0, 1e3)] = Field(
        default=None,
        description="means what it means in the optimiser; default 1e-6 to 1e-1 for `adamw`, "
        "0 for `sgd` and `adam`, where it is an l2 term; `fista` has none",
    )
    dropout: Annotated[Dimension | None, _within(0, 1, high_open=True)] = Field(
        default=None,
        description="rate of every dropout layer: behind each hidden layer of an `mlp`, "
        "in a plug-in's model where it has some",
    )
    label_smoothing: Annotated[Dimension | None, _within(0, 1)] = Field(
        default=None, description="share of a training target spread over all classes"
    )
    input_noise: Annotated[Dimension | None, _within(0, 1e3)] = Field(
        default=None,
        description="standard deviation of normal noise on standardised inputs in training",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_penalty(cls, value: Any) -> Any:
        """`"penalty": "l1"` is one fixed choice."""
        if isinstance(value, Mapping):
            fields = dict(cast("Mapping[str, Any]", value))
            if isinstance(fields.get("penalty"), str):
                return {**fields, "penalty": [fields["penalty"]]}
            return fields
        return value


DEFAULT_LEARNING_RATE = Range(low=1e-4, high=1e-1, log=True)
DEFAULT_WEIGHT_DECAY = Range(low=1e-6, high=1e-1, log=True)


# --- model, validation ------------------------------------------------------------------------


class LinearModel(Part):
    """Linear or logistic (softmax) regression."""

    kind: Literal["linear"] = "linear"


class MlpModel(Part):
    """A multilayer perceptron: `hidden` lists the width of each hidden layer."""

    kind: Literal["mlp"] = "mlp"
    hidden: list[Annotated[int, Field(ge=1, le=8192)]] = Field(
        default=[128, 128], min_length=1, max_length=16
    )
    activation: Activation = "relu"
    dropout: float = Field(default=0.0, ge=0, lt=1, description="rate behind each hidden layer")


class PluginModel(Part):
    """An nn.Module that a package beside the workers offers; other keys are its options."""

    model_config = ConfigDict(extra="allow")

    kind: Name

    @model_validator(mode="after")
    def _plain_options(self) -> PluginModel:
        _plain_json(self.options)
        return self

    @property
    def options(self) -> dict[str, JsonValue]:
        """What the model's callable takes beside inputs and outputs."""
        return dict(self.model_extra or {})


def _kind_of_model(value: Any) -> str | None:
    kind: Any = (
        cast("Mapping[str, Any]", value).get("kind", "mlp")
        if isinstance(value, Mapping)
        else getattr(value, "kind", None)
    )
    if not isinstance(kind, str):
        return None
    return f"@{kind}" if kind in ("linear", "mlp") else "@plugin"


ModelSpec: TypeAlias = Annotated[
    Annotated[LinearModel, Tag("@linear")]
    | Annotated[MlpModel, Tag("@mlp")]
    | Annotated[PluginModel, Tag("@plugin")],
    Discriminator(
        _kind_of_model,
        custom_error_type="model",
        custom_error_message='must be an object with a "kind": linear, mlp or a plug-in\'s name',
    ),
]


class FoldsValidation(Part):
    """Cross-validation."""

    kind: Literal["folds"] = "folds"
    folds: int = Field(default=5, ge=2, le=100)


class HoldoutValidation(Part):
    """One split; the standard error is a bootstrap over its rows."""

    kind: Literal["holdout"] = "holdout"
    fraction: float = Field(default=0.2, gt=0, lt=1)


def _kind_of_validation(value: Any) -> str | None:
    kind: Any = (
        cast("Mapping[str, Any]", value).get("kind", "folds")
        if isinstance(value, Mapping)
        else getattr(value, "kind", None)
    )
    return f"@{kind}" if kind in ("folds", "holdout") else None


Validation: TypeAlias = Annotated[
    Annotated[FoldsValidation, Tag("@folds")] | Annotated[HoldoutValidation, Tag("@holdout")],
    Discriminator(
        _kind_of_validation,
        custom_error_type="validation",
        custom_error_message='must be {"kind": "folds", "folds": 5} or '
        '{"kind": "holdout", "fraction": 0.2}',
    ),
]


# --- the job ----------------------------------------------------------------------------------


class EarlyStopping(Part):
    """A trial ends when its mean curve has not improved for `patience` epochs."""

    patience: int = Field(ge=1, le=MAX_EPOCHS)


class WarmStart(Part):
    """Where the sampler learns from before the first trial: a job, or a study that was imported."""

    job: Name | None = None
    study: Name | None = None

    @model_validator(mode="after")
    def _one(self) -> WarmStart:
        if (self.job is None) is (self.study is None):
            raise PydanticCustomError("one_source", 'must be {"job": ID} or {"study": NAME}')
        return self

    @property
    def named(self) -> tuple[str, str]:
        """The field that is given, and the name of the study: a job's is its id."""
        if self.job is not None:
            return "warm_start.job", self.job
        assert self.study is not None
        return "warm_start.study", self.study


def _objective_first(objectives: list[str]) -> list[str]:
    """What a trial is trained for comes first; beside it only what every trial counts anyway."""
    if objectives[0] == "nonzero_weights" or objectives[1:] not in ([], ["nonzero_weights"]):
        raise PydanticCustomError(
            "objectives",
            "must be one of {accepted}, alone or followed by nonzero_weights",
            {"accepted": ", ".join(get_args(Objective))},
        )
    return objectives


class JobSpec(Part):
    """A search job. Only `dataset` is required."""

    name: Text = ""
    dataset: Name = Field(description="a bundled, uploaded or plug-in data set's name, or its id")
    target: Name | None = Field(None, description="column to predict; the last one by default")
    groups: Name | None = Field(None, description="column whose equal values stay in one split")
    task: Task | None = Field(None, description="told from the target column by default")
    model: ModelSpec = MlpModel()
    optimizer: Optimizer = Field(
        "adamw", description="`fista` solves `linear` models to convergence, without minibatches"
    )
    schedule: Schedule = Field("constant", description="of the learning rate, over all epochs")
    warmup_epochs: int = Field(
        0, ge=0, le=MAX_EPOCHS, description="epochs over which the learning rate rises from 0"
    )
    clip_norm: float | None = Field(
        None, gt=0, le=1e9, description="largest norm of a member's gradient"
    )
    search: Search = Search()
    penalize: Literal["weights", "all"] = "weights"
    group_by: Literal["input", "neuron"] = "input"
    l1_method: Literal["proximal", "subgradient"] = "proximal"
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
            AfterValidator(_objective_first),
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
    validation: Validation = FoldsValidation()
    test_fraction: float = Field(0.2, gt=0, le=0.9)
    trials: int = Field(200, ge=1, le=MAX_TRIALS)
    epochs: int = Field(30, ge=1, le=MAX_EPOCHS)
    early_stopping: EarlyStopping | None = None
    batch_size: int = Field(128, ge=1, le=1_000_000)
    precision: Precision = Field(
        "float32", description="of training; `tf32` and `bf16` round matrix products"
    )
    seed: int = Field(0, ge=0, le=2**32 - 1)
    timeout_seconds: float | None = Field(None, gt=0, le=1e9)
    priority: int = Field(0, ge=-100, le=100)

    @model_validator(mode="after")
    def _first_objective(self) -> JobSpec:
        """Who names the objectives need not name the first of them again."""
        if self.objectives is not None and "objective" not in self.model_fields_set:
            object.__setattr__(self, "objective", self.objectives[0])
        return self

    @model_validator(mode="after")
    def _rates_of_the_optimizer(self) -> JobSpec:
        """In sgd and adam weight decay IS an l2 term, so there it is off unless asked for."""
        if self.optimizer == "fista":
            return self
        decay = DEFAULT_WEIGHT_DECAY if self.optimizer == "adamw" else 0.0
        defaults = {"learning_rate": DEFAULT_LEARNING_RATE, "weight_decay": decay}
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
        """How many models a trial trains."""
        return self.validation.folds if isinstance(self.validation, FoldsValidation) else 1

    @property
    def maximise(self) -> bool:
        """Whether more of the objective is better."""
        return OBJECTIVE_ROWS[self.objective].maximised

    @property
    def further_objectives(self) -> tuple[str, ...]:
        """Objectives after the first: attributes of a trial, the fewer the better."""
        return tuple(self.objectives[1:]) if self.objectives else ()

    @property
    def directions(self) -> list[bool]:
        """Whether more is better, for each objective of the study."""
        return [self.maximise, *(False for _ in self.further_objectives)]


# --- errors in a person's words ---------------------------------------------------------------


def parse_spec(data: Any) -> JobSpec:
    """The spec from decoded JSON; InvalidInput names every bad field."""
    try:
        return JobSpec.model_validate(data)
    except ValidationError as error:
        errors = field_errors(error.errors())
        raise InvalidInput(_summary(errors), errors) from None


def field_errors(errors: Sequence[Any]) -> list[FieldError]:
    """pydantic's error dicts as field, value and message; tags of unions are left out."""
    return [_field_error(error) for error in errors]


def _field_error(error: Mapping[str, Any]) -> FieldError:
    context: Mapping[str, Any] = error.get("ctx") or {}
    path = [str(item) for item in error["loc"] if not str(item).startswith("@")]
    value = error.get("input")
    if error["type"] == "out_of_bounds":
        path += [context["place"]] if context["place"] else []
        value = context["value"]
    if error["type"] == "missing":
        value = None
    return FieldError(".".join(path), value, _sentence(error))


def _sentence(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown field"
    if error["type"] == "missing":
        return "is required"
    message: str = error["msg"].replace("Input should", "should").replace("Value error, ", "")
    return message[0].lower() + message[1:]


def _summary(errors: Sequence[FieldError]) -> str:
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{first.field or 'body'}: {first.message}{more}"
