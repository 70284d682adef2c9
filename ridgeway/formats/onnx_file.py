"""A model as ONNX: an input for each raw column, its whole preparation inside, predictions out.

numbers      (rows, 1) doubles, NaN where missing  -> filled, and whether they were missing
dates        as numbers: days since 1970-01-01 in UTC
categories   (rows, 1) strings, "" where missing   -> which level, and an indicator of each
             joined in the file's order, standardised, through the layers, and the link
prediction   (rows,) doubles; of classes `label` (rows,) and `probabilities` (rows, classes)

What is computed is what ridgeway/model/ computes, in double precision.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from ridgeway.formats.activations import ACTIVATIONS
from ridgeway.formats.categories import Category, categories_of
from ridgeway.formats.graph import Graph
from ridgeway.model.model import Model
from ridgeway.model.networks import Layers
from ridgeway.model.preparation import LARGEST, Preparation
from ridgeway.texts.dates import MEANING

MISSING = ""  # the text of a category that is missing


def onnx_bytes(model: Model, layers: Layers) -> bytes:
    """Return the model's ONNX file; `layers` are its network."""
    told, columns = model.description, model.columns
    graph = Graph(
        [(each.name, "number" if each.kind != "category" else each.kind) for each in columns]
    )
    inputs = value = _inputs(graph, model.preparation)
    activation = ACTIVATIONS[str(told.options.get("activation", "relu"))]
    for place, (weight, bias) in enumerate(layers.layers):
        value = value if not place else activation(graph, value)
        value = graph.node("Gemm", value, graph.constant(weight), graph.constant(bias), transB=1)
    if layers.skip is not None:
        value = graph.node("Gemm", inputs, graph.constant(layers.skip), value, transB=1)
    if (told.target_mean, told.target_scale) != (0.0, 1.0):
        scaled = graph.node("Mul", value, graph.constant(told.target_scale))
        value = graph.node("Add", scaled, graph.constant(told.target_mean))
    if told.classes:
        _classes(graph, model, value)
    else:
        value = graph.node("Exp", value) if told.link == "log" else value
        value = graph.node("Reshape", value, graph.constant([-1], np.int64))
        graph.output("prediction", value, TensorProto.DOUBLE, ["rows"])
    words = {"target": told.target, "role": told.role or "", "kind": told.kind}
    if dates := ", ".join(each.name for each in columns if each.is_date):
        words["dates"] = f"{MEANING}: {dates}"
    return graph.written(f"Predicts {told.target!r} from {len(columns)} columns", words)


def _inputs(graph: Graph, preparation: Preparation) -> str:
    """Add the standardised inputs (rows, d)."""
    parts: list[str] = []
    places: list[int] = []  # of each column of the parts, among the inputs
    if preparation.numbers:
        _add_numbers(graph, preparation, parts, places)
    for name, own in categories_of(preparation).items():
        parts.append(_indicators(graph, name, own))
        places += own.places
    value = graph.node("Concat", *parts, axis=1)
    if places != sorted(places):
        order = graph.constant(np.argsort(places), np.int64)
        value = graph.node("Gather", value, order, axis=1)
    value = graph.node("Sub", value, graph.constant(preparation.means))
    value = graph.node("Div", value, graph.constant(preparation.scales))
    return graph.node("Clip", value, graph.constant(-LARGEST), graph.constant(LARGEST))


def _add_numbers(
    graph: Graph, preparation: Preparation, parts: list[str], places: list[int]
) -> None:
    """Add the filled numbers, and an indicator for each that may be missing."""
    names = list(preparation.numbers)
    value = graph.node("Concat", *names, axis=1)
    missing = graph.node("IsNaN", value)
    fills = graph.constant([preparation.fills[name] for name in names])
    parts.append(graph.node("Where", missing, fills, value))
    places += preparation.numbers.values()
    gaps = [name for name in names if name in preparation.gaps]
    if gaps:
        which = graph.constant([names.index(name) for name in gaps], np.int64)
        found = graph.node("Gather", missing, which, axis=1)
        parts.append(graph.node("Cast", found, to=TensorProto.DOUBLE))
        places += [preparation.gaps[name] for name in gaps]


def _indicators(graph: Graph, name: str, category: Category) -> str:
    """Add an indicator (rows, k) of each of a category's levels; an unknown text has none.

    A table may have the level "" beside missing ones: then no text stands for those.
    """
    levels = dict(category.levels)
    if category.missing is not None:
        levels.setdefault(MISSING, category.missing)
    which = graph.node(
        "LabelEncoder",
        name,
        domain="ai.onnx.ml",
        keys_strings=list(levels),
        values_int64s=list(levels.values()),
        default_int64=-1,
    )
    own = graph.constant([category.places], np.int64)
    return graph.node("Cast", graph.node("Equal", which, own), to=TensorProto.DOUBLE)


def _classes(graph: Graph, model: Model, logits: str) -> None:
    """Give out the probabilities, and the class of the largest, of equals the first."""
    if model.description.link == "logit":
        first = graph.node("Sigmoid", graph.node("Neg", logits))
        shares = graph.node("Concat", first, graph.node("Sigmoid", logits), axis=1)
    else:
        shares = graph.node("Softmax", logits, axis=1)
    classes = model.classes_
    is_text = classes.dtype.kind == "U"
    labels = graph.constant(classes, object if is_text else np.int64)
    most = graph.node("ArgMax", shares, axis=1, keepdims=0)
    label = graph.node("Gather", labels, most)
    kind = TensorProto.STRING if is_text else TensorProto.INT64
    graph.output("label", label, kind, ["rows"])
    graph.output("probabilities", shares, TensorProto.DOUBLE, ["rows", len(classes)])
