"""Columns and classes may be called anything, in every format."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from foreign import by_onnx, pipeline_of
from safetensors.numpy import save

from ridgeway.formats.rendered import rendered
from ridgeway.model.model import read_model

# Names of outputs and of what is between, blanks, other scripts, quotes, what steers a terminal.
NUMBERS = [
    *("label", "label_", "probabilities", "prediction", "Gemm_0", "constant_3", "Cast_16"),
    *(" ", "\u00a0", "名前", "a b", 'x"y', "__class__", "a/b", ":", "\U0001f600", "\u202e", "x\ny"),
]
CATEGORIES: dict[str, list[str | None]] = {
    "class": ["", "true", "false", "True", "é", None],
    "c|2": ["1", "2", "nan"],
}


def strange_file(classes: list[str], link: str) -> bytes:
    """Return a linear model's file with inputs in no order; weights drawn at random."""
    rng = np.random.default_rng(0)
    inputs: list[dict[str, Any]] = [
        {"name": name, "source": name, "mean": float(rng.normal()), "scale": 1.5, "fill": 0.3}
        for name in NUMBERS
    ]
    inputs += [
        {"name": f"{name} missing", "source": name, "mean": 0.1, "scale": 0.5, "level": None}
        for name in NUMBERS[::3]
    ]
    inputs += [
        {"name": f"{name}={level}", "source": name, "mean": 0.2, "scale": 0.4, "level": level}
        for name, levels in CATEGORIES.items()
        for level in levels
    ]
    order = rng.permutation(len(inputs)).tolist()
    outputs = len(classes) if len(classes) > 2 else 1
    columns = [{"name": name, "kind": "number", "fill": 0.3} for name in NUMBERS]
    columns += [{"name": name, "kind": "category"} for name in CATEGORIES]
    words = {
        "format": "1",
        "link": link,
        "outputs": str(outputs),
        "classes": json.dumps(classes),
        "inputs": json.dumps([inputs[place] for place in order]),
        "columns": json.dumps(columns),
        "target": json.dumps({"name": "t", "kind": "category"}),
        "target_mean": "0.5",
        "target_scale": "2",
        "spec": json.dumps({"model": {"kind": "linear"}, "task": "regression", "target": "t"}),
    }
    tensors = {"weight": rng.normal(size=(outputs, len(inputs))), "bias": rng.normal(size=outputs)}
    return save(tensors, metadata=words)


def rows() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    numbers = {
        name: np.where(rng.random(60) < 0.2, np.nan, rng.normal(size=60)) for name in NUMBERS
    }
    first = rng.choice(np.array(["true", "True", "false", "é", "zz", ""], object), 60)
    second = rng.choice(np.array(["1", "2", "3", None], object), 60)
    return pd.DataFrame({**numbers, "class": first, "c|2": second})


@pytest.mark.parametrize(
    ("classes", "link", "outputs"),
    [
        ([], "identity", ["prediction_"]),
        (["a", "", "\u202e|"], "softmax", ["label__", "probabilities_"]),
        (["label", "名前"], "logit", ["label__", "probabilities_"]),
    ],
)
def test_names_of_any_kind_are_columns_in_every_format(
    classes: list[str], link: str, outputs: list[str]
) -> None:
    data = strange_file(classes, link)
    model, frame = read_model(data), rows()
    given = by_onnx(rendered(data, "onnx"), frame)
    pipeline = pipeline_of(rendered(data, "sklearn"))
    assert list(given) == outputs
    wanted = model.predict_proba(frame) if classes else model.predict(frame)
    theirs = pipeline.predict_proba(frame) if classes else pipeline.predict(frame)
    np.testing.assert_allclose(given[outputs[-1]], wanted, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(theirs, wanted, rtol=1e-9, atol=1e-12)
    if classes:
        assert given[outputs[0]].tolist() == model.predict(frame).tolist()
    # Missing: None for pandas; where "" is a level, ONNX has no text for it.
    gone = frame.assign(**{"class": None})
    theirs = pipeline.predict_proba(gone) if classes else pipeline.predict(gone)
    wanted = model.predict_proba(gone) if classes else model.predict(gone)
    np.testing.assert_allclose(theirs, wanted, rtol=1e-9, atol=1e-12)
