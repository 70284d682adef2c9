"""Path jobs: one penalty over many strengths, as a search whose trials are the strengths.

PathSpec is what `POST /v1/jobs` takes of kind `path`. `path_of` makes it the JobSpec that is stored
and trained, with all that a search varies held at one value:

    PathSpec.model_validate({"kind": "path", "dataset": "diabetes", "penalty": "l1"}).job_spec()
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, cast

from pydantic import ConfigDict, Discriminator, Field, GetJsonSchemaHandler, Tag, create_model
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from ridgeway.errors import FieldError, InvalidInput
from ridgeway.spec.dimensions import Range
from ridgeway.spec.names import OPTIMIZER_ROWS, PENALTY_ROWS, PenaltyName, penalty_row
from ridgeway.spec.space import dimensions, exists_beside
from ridgeway.spec.spec import JobSpec, Search
from ridgeway.spec.strengths import EXACT_STRENGTHS, TRAINED_STRENGTHS, Strengths, count_of
from ridgeway.spec.strict import Name, Strict

MIXING = 0.5  # `l1_ratio` where nobody says another
# What a search has and a path has not: its trials are given, and nothing is learned from them.
HELD: dict[str, Any] = {"sampler": "grid", "pruner": "none", "stop": "never", "warm_start": None}
OF_SEARCHES = {"kind", "search", "strengths", "trials", *HELD}


class PathRequest(Strict):
    """A path of one penalty; `penalty` is required."""

    penalty: Name = Field(description="one that has a strength, or what a plug-in offers")
    strengths: Strengths | None = Field(
        None,
        description="how many, from the strongest down, or which; default "
        f"{EXACT_STRENGTHS} of linear models by `exact`, {TRAINED_STRENGTHS} of all others",
    )
    l1_ratio: float | None = Field(
        None, ge=0, le=1, description=f"for penalties that mix two, default {MIXING}"
    )


class PathFields(PathRequest):
    """The fields of a path that a search has not, or has as dimensions; PathSpec has the rest."""

    model_config = ConfigDict(json_schema_extra={"required": ["kind", "dataset", "penalty"]})

    kind: Literal["path"] = "path"
    learning_rate: float | None = Field(
        None, gt=0, le=1e3, description="default 0.01; `exact` has none"
    )
    weight_decay: float | None = Field(
        None, ge=0, le=1e3, description="default 0; `exact` has none"
    )

    def job_spec(self) -> JobSpec:
        """Return the job as it is stored and trained; InvalidInput names what does not fit."""
        given = self.model_fields_set - PathFields.model_fields.keys()
        rates = {
            name: value
            for name in ("learning_rate", "weight_decay")
            if (value := getattr(self, name)) is not None
        }
        search = Search(penalty=[self.penalty], l1_ratio=mixing(self.penalty, self.l1_ratio))
        search = search.model_copy(update=rates)
        fields = {name: getattr(self, name) for name in given}
        spec = JobSpec(kind="path", search=search, **fields)
        if rates and not OPTIMIZER_ROWS[spec.optimizer].has_rates:
            name, value = next(iter(rates.items()))
            message = "does not fit the optimizer exact; accepted: null"
            raise InvalidInput.of(name, value, message)
        return path_of(spec, spec.search, self.strengths)


if TYPE_CHECKING:
    PathSpec = PathFields
else:
    PathSpec = create_model(
        "PathSpec",
        __base__=PathFields,
        __doc__="A path job. `dataset` and `penalty` are required; what it shares with a search "
        "means the same.",
        **{
            name: (field.annotation, field)
            for name, field in JobSpec.model_fields.items()
            if name not in OF_SEARCHES
        },
    )


def _kind_of_job(value: Any) -> str:
    """Return the tag of a job's kind; a path with a `search` is one as jobs show it."""
    if isinstance(value, Mapping):
        told = cast("Mapping[str, Any]", value)
        shown = "search" in told and "penalty" not in told
        return "@path" if told.get("kind") == "path" and not shown else "@search"
    return "@path" if isinstance(value, PathFields) else "@search"


class _AnyOf:
    """Behind a union: says in the OpenAPI document that a value may fit several of its members."""

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        told = handler(schema)
        return {("anyOf" if name == "oneOf" else name): own for name, own in told.items()}


# What `POST /v1/jobs` takes.
JobBody: TypeAlias = Annotated[
    Annotated[JobSpec, Tag("@search")] | Annotated[PathSpec, Tag("@path")],
    Discriminator(_kind_of_job),
    _AnyOf(),
]


def job_spec_of(body: JobSpec | PathFields) -> JobSpec:
    """Return the spec that a body stands for; InvalidInput names what does not fit a path."""
    return body if isinstance(body, JobSpec) else body.job_spec()


def mixing(penalty: PenaltyName, l1_ratio: float | None) -> float:
    """Return a path's mixing; InvalidInput for a penalty without a strength, or without mixing."""
    parameters = penalty_row(penalty).parameters
    if "lambda" not in parameters:
        accepted = ", ".join(row.name for row in PENALTY_ROWS.values() if row.parameters)
        message = f"has no strength, and so no path; accepted: {accepted}"
        raise InvalidInput.of("penalty", penalty, message)
    if l1_ratio is not None and "l1_ratio" not in parameters:
        raise InvalidInput.of("l1_ratio", l1_ratio, f"is no part of {penalty}; accepted: null")
    return MIXING if l1_ratio is None else l1_ratio


def path_of(spec: JobSpec, search: Search, strengths: Strengths | None) -> JobSpec:
    """Return the job of a path, with everything else as the spec has it."""
    if strengths is None:
        stepped = OPTIMIZER_ROWS[spec.optimizer].has_rates
        strengths = TRAINED_STRENGTHS if stepped else EXACT_STRENGTHS
    own = {"kind": "path", "search": search, "strengths": strengths, "trials": count_of(strengths)}
    return spec.model_copy(update={**own, **HELD})


def path_errors(spec: JobSpec) -> list[FieldError]:
    """Return what a job of its kind can't have: a search strengths, a path anything to search."""
    if spec.kind == "search":
        if spec.strengths is None:
            return []
        message = "are of a path, and this job is a search; accepted: null"
        return [FieldError("strengths", spec.strengths, message)]
    if spec.strengths is None:
        return [FieldError("strengths", None, "is required of a path: how many, or which")]
    fixed = {**HELD, "trials": count_of(spec.strengths)}
    errors = [
        FieldError(name, value, f"does not fit a path; accepted: {accepted}")
        for name, accepted in fixed.items()
        if (value := getattr(spec, name)) != accepted
    ]
    return errors + _searched_errors(spec)


def _searched_errors(spec: JobSpec) -> list[FieldError]:
    """Refuse whatever is searched beside the strengths."""
    names = spec.search.penalty
    if len(names) > 1 or "lambda" not in penalty_row(names[0]).parameters:
        message = "is not one penalty with a strength, which a path has"
        return [FieldError("search.penalty", list(names), message)]
    errors = [
        FieldError(
            f"search.{name}",
            each.model_dump() if isinstance(each, Range) else each,
            "is searched, and a path varies its strength alone; accepted: one number",
        )
        for name, each in dimensions(spec.search).items()
        if name != "lambda" and exists_beside(names[0], name) and not isinstance(each, float | int)
    ]
    if spec.search.strength != "auto":
        message = "is said by `strengths`; accepted: auto"
        errors.append(FieldError("search.lambda", None, message))
    return errors
