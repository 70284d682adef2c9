"""A model in other programs' hands: what ONNX Runtime and scikit-learn make of raw columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import skops.io


def columns_for(session: onnxruntime.InferenceSession, frame: pd.DataFrame) -> dict[str, Any]:
    """Return a frame's columns as the inputs: doubles, or strings as a CSV has them."""
    given: dict[str, Any] = {}
    for each in session.get_inputs():
        column = frame[each.name]
        if each.type == "tensor(double)":
            given[each.name] = column.to_numpy(np.float64)[:, None]
        else:
            texts = ["" if pd.isna(v) else _text(v) for v in column.tolist()]
            given[each.name] = np.array(texts, object)[:, None]
    return given


def by_onnx(data: bytes, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the outputs by name; the file passes every check of onnx's own."""
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(None, columns_for(session, frame)), strict=True))


def pipeline_of(data: bytes) -> Any:
    """Load a pipeline, in which no type has to be trusted but scikit-learn's own."""
    assert skops.io.get_untrusted_types(data=data) == []
    return skops.io.loads(data, trusted=[])


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else value
