"""A model's file in another format, or why it has none and the way out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from ridgeway.errors import Conflict
from ridgeway.model.file import describe
from ridgeway.model.model import Model, build_model
from ridgeway.model.networks import Layers
from ridgeway.plugins import BUILT_IN_MODELS

Rendered: TypeAlias = Literal["onnx", "sklearn"]

PACKAGES = frozenset({"onnx", "pandas", "scipy", "sklearn", "skops"})


def rendered(data: bytes, format: Rendered) -> bytes:
    """Return a model's file in a format.

    Conflict where the model has no such form, or where `ridgeway[formats]` is not installed; else
    raises as `read_model` does.
    """
    description = describe(data)
    if description.kind not in BUILT_IN_MODELS:
        raise Conflict(
            f"The model is a plug-in's, {description.kind!r}, which only its package can run: "
            "load it beside that (ridgeway.load_model), and export its torch module from there."
        )
    if format == "sklearn" and description.kind != "linear":
        raise Conflict(
            f"scikit-learn has linear models alone, and this one is of kind {description.kind!r}: "
            "ask for the format onnx."
        )
    model = build_model(description, data)
    assert isinstance(model.network, Layers), "every built-in model is made of layers"
    try:
        return _WRITERS[format](model, model.network)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in PACKAGES:
            raise
        message = f"To write the format {format} takes {error.name}: pip install"
        raise Conflict(f"{message} 'ridgeway[formats]' where it is asked for.") from None


def _onnx(model: Model, layers: Layers) -> bytes:
    from ridgeway.formats.onnx_file import onnx_bytes

    return onnx_bytes(model, layers)


def _sklearn(model: Model, layers: Layers) -> bytes:
    from ridgeway.formats.pipeline import pipeline_bytes

    return pipeline_bytes(model, layers)


_WRITERS: Mapping[Rendered, Callable[[Model, Layers], bytes]] = {
    "onnx": _onnx,
    "sklearn": _sklearn,
}
