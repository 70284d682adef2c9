"""ONNX Runtime and scikit-learn predict from raw columns what the worker's own model does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from foreign import by_onnx, pipeline_of
from taken_away import LINEAR, drawn, grades, job, kept, net, number, theirs, word

from ridgeway.formats.rendered import rendered
from ridgeway.model.model import read_model
from workers.answer.artifact import constant_bytes
from workers.data.prepare import Prepared


def count(signal: np.ndarray) -> np.ndarray:
    return np.round(np.exp(signal / 20))


def expected(prepared: Prepared, parameters: dict[str, torch.Tensor]) -> np.ndarray:
    """Return the worker's predictions of the sealed rows: numbers, or probabilities of classes."""
    logits = torch.from_numpy(theirs(prepared, parameters))
    if not prepared.classes:
        return logits[:, 0].numpy()
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    return logits.softmax(1).numpy()


LINEARS: dict[str, tuple[Any, dict[str, Any]]] = {
    "regression": (number, LINEAR),
    "counts": (count, {**LINEAR, "loss": "poisson"}),
    "huber": (number, {**LINEAR, "loss": "huber"}),
    "two classes": (word, LINEAR),
    "numbered classes": (grades(2), LINEAR),
    "three classes": (grades(3), LINEAR),
}
NETS: dict[str, tuple[Any, dict[str, Any]]] = {
    "relu": (number, {**net("relu"), "precision": "float64"}),
    "gelu": (count, {**net("gelu"), "precision": "float64", "loss": "poisson"}),
    "gelu of classes": (word, net("gelu")),
    "tanh": (grades(3), net("tanh", dropout=0.2)),
    "silu": (grades(2), net("silu")),
    "skip": (number, {**net("relu", skip=True), "precision": "float64"}),
    "skip to classes": (grades(3), net("tanh", skip=True)),
}


@pytest.mark.parametrize("name", [*LINEARS, *NETS])
def test_onnx_predicts_what_the_worker_does(name: str) -> None:
    target, fields = (LINEARS | NETS)[name]
    prepared, frame = job(target, **fields)
    parameters = drawn(prepared)
    data = kept(prepared, parameters)
    sealed = frame.iloc[prepared.splits.test]
    assert "Paris" in set(sealed["city"])
    given = by_onnx(rendered(data, "onnx"), sealed)
    wanted = expected(prepared, parameters)
    if not prepared.classes:
        np.testing.assert_allclose(given["prediction"], wanted, rtol=1e-6)
        return
    np.testing.assert_allclose(given["probabilities"], wanted, rtol=0, atol=1e-6)
    labels = read_model(data).classes_[wanted.argmax(1)]
    assert given["label"].tolist() == labels.tolist()


@pytest.mark.parametrize("name", LINEARS)
def test_scikit_learn_predicts_what_the_worker_does(name: str) -> None:
    target, fields = LINEARS[name]
    prepared, frame = job(target, **fields)
    parameters = drawn(prepared)
    data = kept(prepared, parameters)
    pipeline = pipeline_of(rendered(data, "sklearn"))
    sealed = frame.iloc[prepared.splits.test]
    wanted = expected(prepared, parameters)
    # Columns in any order, beside others; categories as pandas has them.
    for rows in (sealed, sealed[sealed.columns[::-1]], sealed.astype({"city": "category"})):
        if not prepared.classes:
            np.testing.assert_allclose(pipeline.predict(rows), wanted, rtol=1e-6)
            continue
        np.testing.assert_allclose(pipeline.predict_proba(rows), wanted, rtol=0, atol=1e-6)
        labels = read_model(data).classes_[wanted.argmax(1)]
        assert pipeline.predict(rows).tolist() == labels.tolist()
        assert pipeline.classes_.tolist() == read_model(data).classes_.tolist()


@pytest.mark.parametrize("target", [number, word, grades(3)])
def test_the_constant_has_every_form(target: Any) -> None:
    prepared, frame = job(target)
    data = constant_bytes(prepared, prepared.sealed())
    model, rows = read_model(data), frame.head(5)
    by_runtime = by_onnx(rendered(data, "onnx"), rows)
    pipeline = pipeline_of(rendered(data, "sklearn"))
    if not prepared.classes:
        np.testing.assert_allclose(by_runtime["prediction"], model.predict(rows))
        np.testing.assert_allclose(pipeline.predict(rows), model.predict(rows))
        return
    shares = model.predict_proba(rows)
    np.testing.assert_allclose(by_runtime["probabilities"], shares, atol=1e-12)
    np.testing.assert_allclose(pipeline.predict_proba(rows), shares, atol=1e-12)


def test_rows_of_nothing_and_no_rows_are_predicted_alike() -> None:
    prepared, frame = job(number, **LINEAR)
    data = kept(prepared, drawn(prepared))
    model = read_model(data)
    nothing = pd.DataFrame({n: [np.nan, np.nan] for n in model.feature_names_in_.tolist()})
    nothing = nothing.astype({"city": object, "member": object})
    onnx, pipeline = rendered(data, "onnx"), pipeline_of(rendered(data, "sklearn"))
    np.testing.assert_allclose(by_onnx(onnx, nothing)["prediction"], model.predict(nothing))
    np.testing.assert_allclose(pipeline.predict(nothing), model.predict(nothing))
    assert by_onnx(onnx, frame.head(0))["prediction"].shape == (0,)
