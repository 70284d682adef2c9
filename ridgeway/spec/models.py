"""The model that a job trains: linear, mlp, or one that a plug-in offers."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeAlias, cast

from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    model_validator,
)

from ridgeway.spec.strict import NAMES_ITS_KIND, WHOLE, Name, Strict, check_plain

BUILT_IN = ("linear", "mlp")  # every other kind is a plug-in's name

Activation: TypeAlias = Literal["relu", "gelu", "tanh", "silu"]


class LinearModel(Strict):
    """Linear or logistic (softmax) regression."""

    model_config = NAMES_ITS_KIND

    kind: Literal["linear"] = "linear"

    def weights(self, inputs: int, outputs: int) -> int:
        """Return how many weights it has, biases left out."""
        return inputs * outputs


class MlpModel(Strict):
    """A multilayer perceptron: `hidden` lists the width of each hidden layer."""

    kind: Literal["mlp"] = "mlp"
    hidden: list[Annotated[int, Field(ge=1, le=8192), WHOLE]] = Field(
        default=[128, 128], min_length=1, max_length=16
    )
    activation: Activation = "relu"
    dropout: float = Field(default=0.0, ge=0, lt=1, description="rate behind each hidden layer")
    skip: bool = Field(
        default=False,
        description="a linear layer from the inputs to the outputs, added to what the others give",
    )

    def weights(self, inputs: int, outputs: int) -> int:
        """Return how many weights it has, biases left out."""
        layers = pairwise([inputs, *self.hidden, outputs])
        skipped = inputs * outputs if self.skip else 0
        return sum(above * below for above, below in layers) + skipped


class PluginModel(Strict):
    """An nn.Module that a package beside the workers offers; other keys are its options.

    Options are any JSON without the NUL character, at most 30 levels deep and of 10,000 values.
    """

    model_config = ConfigDict(extra="allow")

    kind: Annotated[Name, Field(json_schema_extra={"not": {"enum": [*BUILT_IN]}})]

    @model_validator(mode="after")
    def _plain_options(self) -> PluginModel:
        check_plain(self.options)
        return self

    @property
    def options(self) -> dict[str, JsonValue]:
        """Return the arguments of the model's callable beside inputs and outputs."""
        return dict(self.model_extra or {})


def _kind_of_model(value: Any) -> str | None:
    kind: Any = (
        cast("Mapping[str, Any]", value).get("kind", "mlp")
        if isinstance(value, Mapping)
        else getattr(value, "kind", None)
    )
    if not isinstance(kind, str):
        return None
    return f"@{kind}" if kind in BUILT_IN else "@plugin"


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
