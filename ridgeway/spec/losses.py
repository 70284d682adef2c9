"""What a regression is trained by in the place of the squared error, and the losses' names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, cast

from pydantic import BeforeValidator, Discriminator, Field, Tag

from ridgeway.errors import FieldError
from ridgeway.spec.names import OBJECTIVE_ROWS, Objective
from ridgeway.spec.strict import NAMES_ITS_KIND, Strict

if TYPE_CHECKING:
    from ridgeway.spec.profiles import ColumnProfile

LossName: TypeAlias = Literal["huber", "poisson", "quantile"]


class HuberLoss(Strict):
    """e² up to |e| = delta and 2 delta |e| - delta² beyond, as in scikit-learn's HuberRegressor."""

    model_config = NAMES_ITS_KIND

    kind: Literal["huber"] = "huber"
    delta: float = Field(
        default=1.35, ge=1e-4, le=1e6, description="in standard deviations of the target"
    )


class PoissonLoss(Strict):
    """The deviance of counts or other targets of at least 0, whose expectation is exp(f(x))."""

    model_config = NAMES_ITS_KIND

    kind: Literal["poisson"] = "poisson"


class QuantileLoss(Strict):
    """The pinball loss: quantile e for e = y - f(x) above 0, (quantile - 1) e below.

    Its expectation is least where f(x) is that quantile of y (Koenker & Bassett 1978).
    """

    model_config = NAMES_ITS_KIND

    kind: Literal["quantile"] = "quantile"
    quantile: float = Field(
        default=0.5, ge=1e-4, le=0.9999, description="which one; 0.5 is the median"
    )


LossSpec: TypeAlias = HuberLoss | PoissonLoss | QuantileLoss

LABELS: Mapping[LossName, str] = {
    "huber": "Huber loss",
    "poisson": "Poisson deviance",
    "quantile": "pinball loss",
}


def _kind_of_loss(value: Any) -> str | None:
    if value is None:
        return "@null"
    kind: Any = (
        cast("Mapping[str, Any]", value).get("kind")
        if isinstance(value, Mapping)
        else getattr(value, "kind", None)
    )
    return f"@{kind}" if isinstance(kind, str) and kind in LABELS else None


def _with_kind(value: Any) -> Any:
    """Read a bare name as the loss with its defaults."""
    return {"kind": value} if isinstance(value, str) else value


_Loss: TypeAlias = Annotated[
    Annotated[HuberLoss, Tag("@huber")]
    | Annotated[PoissonLoss, Tag("@poisson")]
    | Annotated[QuantileLoss, Tag("@quantile")]
    | Annotated[None, Tag("@null")],
    Discriminator(
        _kind_of_loss,
        custom_error_type="loss",
        custom_error_message='must be null, {"kind": "huber", "delta": 1.35}, '
        '{"kind": "poisson"} or {"kind": "quantile", "quantile": 0.5}, or one of these names alone',
    ),
]
Loss: TypeAlias = Annotated[
    _Loss, BeforeValidator(_with_kind, json_schema_input_type=_Loss | LossName)
]


def objective_label(objective: Objective, loss: LossName | None) -> str:
    """Return an objective's name for people; that of a loss tells which one, if a job names it."""
    if objective == "loss" and loss is not None:
        return LABELS[loss]
    return OBJECTIVE_ROWS[objective].label


def target_errors(loss: LossSpec | None, target: ColumnProfile) -> list[FieldError]:
    """Refuse a target that the loss is not defined for."""
    least = target.minimum
    if not isinstance(loss, PoissonLoss) or least is None or least >= 0:
        return []
    message = f"needs a target of at least 0, and the least of '{target.name}' is {least:g}"
    return [FieldError("loss", loss.model_dump(), f"{message}; accepted: null, huber, quantile")]
