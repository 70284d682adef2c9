"""How trials are judged: by folds, once or repeated, by one holdout, or forward in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias, cast

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from ridgeway.spec.strict import NAMES_ITS_KIND, Integer, Name, Strict

MAX_FOLDS = 100


class FoldsValidation(Strict):
    """Cross-validation, repeated over partitions that are drawn independently."""

    kind: Literal["folds"] = "folds"
    folds: Integer = Field(default=5, ge=2, le=MAX_FOLDS)
    repeats: Integer = Field(
        default=1,
        ge=1,
        le=MAX_FOLDS,
        description="partitions into folds; those of fewer repeats come first",
    )

    @property
    def models(self) -> int:
        """Return how many models a trial trains."""
        return self.folds * self.repeats

    @property
    def parts(self) -> int:
        """Return how many parts of the rows beside the test set must hold some."""
        return self.folds


class _OnePartition(Strict):
    """What has one partition of the rows, and tells who asks for more."""

    @model_validator(mode="before")
    @classmethod
    def _without_repeats(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and "repeats" in value:
            kind = cls.model_fields["kind"].default
            raise PydanticCustomError(
                "out_of_bounds",
                "is of folds, and {kind} has one partition; accepted: no repeats",
                {"place": "repeats", "value": value["repeats"], "kind": kind},
            )
        return cast("Any", value)


class HoldoutValidation(_OnePartition):
    """One split; the standard error is a bootstrap over its rows."""

    model_config = NAMES_ITS_KIND

    kind: Literal["holdout"] = "holdout"
    fraction: float = Field(default=0.2, gt=0, lt=1)

    @property
    def models(self) -> int:
        """Return how many models a trial trains."""
        return 1

    @property
    def parts(self) -> int:
        """Return how many parts of the rows beside the test set must hold some."""
        return 2


class ForwardValidation(_OnePartition):
    """Folds in the order of a column: each is judged by the rows that follow what it trains on."""

    model_config = ConfigDict(json_schema_extra={"required": ["kind", "by"]})

    kind: Literal["forward"] = "forward"
    folds: Integer = Field(default=5, ge=2, le=MAX_FOLDS)
    by: Name = Field(
        description="column of numbers, or of dates or times of ISO 8601; it is no input"
    )

    @property
    def models(self) -> int:
        """Return how many models a trial trains."""
        return self.folds

    @property
    def parts(self) -> int:
        """Return how many parts of the rows beside the test set must hold some."""
        return self.folds + 1


KINDS = ("folds", "holdout", "forward")


def _kind_of_validation(value: Any) -> str | None:
    kind: Any = (
        cast("Mapping[str, Any]", value).get("kind", "folds")
        if isinstance(value, Mapping)
        else getattr(value, "kind", None)
    )
    return f"@{kind}" if kind in KINDS else None


Validation: TypeAlias = Annotated[
    Annotated[FoldsValidation, Tag("@folds")]
    | Annotated[HoldoutValidation, Tag("@holdout")]
    | Annotated[ForwardValidation, Tag("@forward")],
    Discriminator(
        _kind_of_validation,
        custom_error_type="validation",
        custom_error_message='must be {"kind": "folds", "folds": 5}, '
        '{"kind": "holdout", "fraction": 0.2} or {"kind": "forward", "folds": 5, "by": COLUMN}',
    ),
]
