"""The form of a new job: which fields it has, in which order, and what they hold.

Every field is one of the spec's, named by its dotted path. What a spec says beside them stands in
the form's last field as JSON: nothing that a job may have is out of its reach.

    Form.of({"dataset": "digits", "hierarchy": 5.0})   # dataset: "digits", more: {"hierarchy": 5.0}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast, get_args

from ridgeway.spec.models import Activation, MlpModel
from ridgeway.spec.names import (
    DEFAULT_PENALTIES,
    OBJECTIVE_ROWS,
    Optimizer,
    PenaltyRow,
    Pruner,
    Sampler,
    Task,
    penalty_row,
)
from ridgeway.spec.spec import JobSpec, Rule, Stop
from ridgeway.spec.validation import FoldsValidation, HoldoutValidation

# How a control's text is read: see static/job-form.js.
Kind: TypeAlias = Literal["text", "integer", "number", "choice", "flag", "integers", "lines"]

_ABSENT = object()


@dataclass(frozen=True)
class Field:
    """A field of the form.

    path: in the spec, dotted. default: what the spec means where it does not say. choices: values
    with their labels. when: the field and value beside which alone it is. columns: columns of the
    data set are offered.
    """

    path: str
    label: str
    kind: Kind = "text"
    note: str = ""
    default: Any = None
    choices: Sequence[tuple[str, str]] = ()
    when: tuple[str, str] | None = None
    columns: bool = False

    @property
    def id(self) -> str:
        """Return the control's id: a path is none that a style sheet could name."""
        return self.path.replace(".", "-")


@dataclass(frozen=True)
class Form:
    """What the form shows: values by path, penalties that are ticked, and the rest as JSON."""

    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    penalties: Sequence[str] = DEFAULT_PENALTIES
    more: str = ""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Form:
        """Spread a job's body over the form."""
        rest: dict[str, Any] = deepcopy(dict(body))
        values: dict[str, Any] = {}
        for each in FIELDS:
            value = _look(rest, each.path)
            if _shows(each, value):
                values[each.path] = value
                _take(rest, each.path)
        told = _look(rest, "search.penalty")
        penalties = [told] if isinstance(told, str) else told
        if isinstance(penalties, list):
            _take(rest, "search.penalty")
        else:
            penalties = DEFAULT_PENALTIES
        more = json.dumps(rest, indent=2, ensure_ascii=False) if rest else ""
        return cls(values, cast("Sequence[str]", penalties), more)

    def text(self, own: Field) -> str:
        """Return what a control of text holds."""
        value = self.values.get(own.path)
        if value is None:
            return ""
        if own.kind == "integers":
            return ", ".join(map(str, value))
        return "\n".join(value) if own.kind == "lines" else str(value)

    def chosen(self, own: Field, value: str) -> bool:
        """Tell whether a choice is the one."""
        return self.values.get(own.path, own.default) == value


def default_text(own: Field) -> str:
    """Return what a control shows where nothing is said."""
    if own.default is None:
        return ""
    return ", ".join(map(str, own.default)) if own.kind == "integers" else str(own.default)


def offered_penalties(names: Iterable[str], ticked: Iterable[str]) -> list[PenaltyRow]:
    """Return the penalties to choose from: what workers offer, and what a job to clone has."""
    return [penalty_row(name) for name in dict.fromkeys([*names, *ticked])]


def _shows(own: Field, value: Any) -> bool:
    """Tell whether the field can show the value; what it can't is left to the JSON."""
    if value is _ABSENT:
        return False
    if own.kind == "choice":
        return isinstance(value, str)
    if own.kind in ("integers", "lines"):
        return isinstance(value, list)
    return isinstance(value, str | int | float)


def _look(body: Mapping[str, Any], path: str) -> Any:
    value: Any = body
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return _ABSENT
        value = cast("Mapping[str, Any]", value)[name]
    return value


def _take(body: dict[str, Any], path: str) -> None:
    """Take an entry out of the body, and its object where that is empty then."""
    *above, name = path.split(".")
    if not above:
        del body[name]
        return
    holder = body[above[0]]
    del holder[name]
    if not holder:
        del body[above[0]]


def _named(*names: str) -> list[tuple[str, str]]:
    return [(name, name.replace("_", " ")) for name in names]


def _default(name: str) -> Any:
    return JobSpec.model_fields[name].default


DATA = (
    Field("dataset", "Data set", note="Its name, or its id."),
    Field("target", "Column to predict", note="Left empty, it is the last column.", columns=True),
    Field(
        "task",
        "Task",
        "choice",
        "Classes, or numbers. Told from the column, unless you say.",
        "",
        [("", "told from the column"), *_named(*get_args(Task))],
    ),
    Field("name", "Name of the job", note="For lists; it changes nothing."),
)

_MLP = ("model.kind", "mlp")
MODEL = (
    Field("model.kind", "Model", "choice", default="mlp"),
    Field(
        "model.hidden",
        "Hidden layers",
        "integers",
        "The width of each, first to last.",
        MlpModel().hidden,
        when=_MLP,
    ),
    Field(
        "model.activation",
        "Activation",
        "choice",
        default="relu",
        choices=_named(*get_args(Activation)),
        when=_MLP,
    ),
)

JUDGING = (
    Field(
        "objective",
        "Objective",
        "choice",
        "What trials are compared by.",
        _default("objective"),
        [(row.name, row.label) for row in OBJECTIVE_ROWS.values()],
    ),
    Field(
        "validation.kind",
        "Validation",
        "choice",
        "How a trial is judged on rows that it was not trained on.",
        "folds",
        [
            ("folds", "cross-validation in folds"),
            ("holdout", "one holdout"),
            ("forward", "forward in time"),
        ],
    ),
    Field(
        "validation.folds",
        "Folds",
        "integer",
        default=FoldsValidation().folds,
        note="Each trial trains as many models.",
        when=("validation.kind", "folds forward"),
    ),
    Field(
        "validation.fraction",
        "Share held out",
        "number",
        default=HoldoutValidation().fraction,
        when=("validation.kind", "holdout"),
    ),
    Field(
        "validation.by",
        "In the order of",
        note="A column of numbers or dates.",
        when=("validation.kind", "forward"),
        columns=True,
    ),
)

BUDGET = (
    Field("trials", "Trials", "integer", "Settings that are tried.", _default("trials")),
    Field(
        "epochs",
        "Epochs",
        "integer",
        "Passes of each training over its rows.",
        _default("epochs"),
    ),
    Field(
        "timeout_seconds",
        "Time limit in seconds",
        "number",
        "The search ends then, and is answered from what there is. Left empty: none.",
    ),
)

ADVANCED = (
    Field(
        "optimizer",
        "Optimizer",
        "choice",
        "auto: exact for linear models, adamw for all others.",
        "auto",
        _named(*get_args(Optimizer)),
    ),
    Field(
        "search.l1_ratio",
        "Mixing of two penalties",
        "number",
        "The L1 part of penalties that mix. A range by default.",
    ),
    Field("batch_size", "Rows a step", "integer", default=_default("batch_size")),
    Field("model.dropout", "Dropout", "number", default=MlpModel().dropout, when=_MLP),
    Field(
        "model.skip",
        "Skip layer",
        "flag",
        "From the inputs straight to the outputs.",
        MlpModel().skip,
        when=_MLP,
    ),
    Field(
        "sampler",
        "Sampler",
        "choice",
        "How settings to try are chosen.",
        _default("sampler"),
        _named(*get_args(Sampler)),
    ),
    Field(
        "pruner",
        "Pruner",
        "choice",
        "Ends trials early that do badly.",
        _default("pruner"),
        _named(*get_args(Pruner)),
    ),
    Field(
        "stop",
        "Stop early",
        "choice",
        "auto: once further trials are not expected to gain anything.",
        _default("stop"),
        _named(*get_args(Stop)),
    ),
    Field(
        "rule",
        "Recommend",
        "choice",
        "The simplest that can't be told from the best, or the best.",
        _default("rule"),
        _named(*get_args(Rule)),
    ),
    Field(
        "test_fraction",
        "Share sealed for the test",
        "number",
        "Rows that nothing sees before the answer.",
        _default("test_fraction"),
    ),
    Field("drop", "Columns left out", "lines", "One a line.", []),
    Field("weights", "Column of sample weights", columns=True),
    Field("groups", "Column of groups", note="Rows of equal values stay together.", columns=True),
    Field(
        "missing_target",
        "Rows without a target",
        "choice",
        default=_default("missing_target"),
        choices=[("refuse", "refuse the job"), ("drop", "leave them out")],
    ),
    Field(
        "class_weights",
        "Weights of classes",
        "choice",
        default=_default("class_weights"),
        choices=[("none", "as many as there are"), ("balanced", "all the same")],
    ),
    Field("seed", "Seed", "integer", default=_default("seed")),
    Field("priority", "Priority", "integer", "Highest first, of your jobs.", _default("priority")),
)

FIELDS = (*DATA, *MODEL, *JUDGING, *BUDGET, *ADVANCED)
