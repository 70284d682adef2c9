"""The model's file, read without torch, predicts what the worker's own model does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from populations import install_models
from taken_away import LINEAR, PARAMS, drawn, grades, job, kept, net, number, theirs, word

import ridgeway
from ridgeway.errors import InvalidInput, Unreadable
from ridgeway.model.model import Model
from workers.answer.artifact import constant_bytes
from workers.answer.columns import Units, column_norms
from workers.answer.described import selected_columns
from workers.data.prepare import Prepared
from workers.models.building import build_model


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        (number, LINEAR),
        (word, LINEAR),
        (grades(3), LINEAR),
        (number, net("relu")),
        (grades(2), net("gelu")),
        (grades(3), net("tanh", dropout=0.2)),
        (number, net("relu", skip=True)),
        (grades(3), net("relu", skip=True)),
        (grades(3), {**net("silu"), "precision": "float64"}),
    ],
    ids=[
        "regression",
        "two classes",
        "classes",
        "relu",
        "gelu",
        "tanh",
        "skip",
        "skip to classes",
        "silu",
    ],
)
def test_a_model_taken_away_predicts_what_the_workers_does(
    target: Any, fields: dict[str, Any]
) -> None:
    prepared, frame = job(target, **fields)
    parameters = drawn(prepared)
    model = ridgeway.load_model(kept(prepared, parameters))
    sealed = frame.iloc[prepared.splits.test]
    assert "Paris" in set(sealed["city"])
    assert sealed["city"].isna().any()
    assert sealed["age"].isna().any()
    expected = theirs(prepared, parameters)
    if not prepared.classes:
        np.testing.assert_allclose(model.predict(sealed), expected[:, 0], rtol=1e-6)
        return
    logits = torch.from_numpy(expected)
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    shares = logits.softmax(1).numpy()
    np.testing.assert_allclose(model.predict_proba(sealed), shares, rtol=0, atol=1e-6)
    assert model.predict(sealed).tolist() == model.classes_[shares.argmax(1)].tolist()
    assert [str(label) for label in model.classes_.tolist()] == list(prepared.classes)
    assert model.classes_.dtype.kind == ("U" if target is word else "i")


def test_a_column_is_out_of_a_net_with_a_skip_layer_by_both_its_ways() -> None:
    prepared, _ = job(number, **net("relu", skip=True))
    for kept_in in ("0.weight", "skip.weight", None):
        parameters = drawn(prepared)
        ages = [place for place, own in enumerate(prepared.source_columns) if own == "age"]
        for name in {"0.weight", "skip.weight"} - {kept_in}:
            parameters[name][:, ages] = 0
        model = ridgeway.load_model(kept(prepared, parameters))
        assert ("age" in model.features) == (kept_in is not None)
        assert (column_norms(parameters, prepared)["age"] > 0) == (kept_in is not None)
        selected = selected_columns(parameters, prepared)
        assert selected is not None
        assert ("age" in selected) == (kept_in is not None)


def test_an_earlier_release_refuses_a_net_with_a_skip_layer() -> None:
    for fields, written in ((net("relu"), "1"), (net("relu", skip=True), "2")):
        prepared, _ = job(number, **fields)
        data = kept(prepared, drawn(prepared))
        length = int.from_bytes(data[:8], "little")
        assert json.loads(data[8 : 8 + length])["__metadata__"]["format"] == written


@pytest.fixture(scope="module")
def regression() -> tuple[Prepared, pd.DataFrame, dict[str, torch.Tensor], Model]:
    prepared, frame = job(number, **LINEAR)
    parameters = drawn(prepared)
    parameters["weight"][
        :, [place for place, s in enumerate(prepared.source_columns) if s == "age"]
    ] = 0
    return prepared, frame, parameters, ridgeway.load_model(kept(prepared, parameters))


def test_rows_may_come_in_any_form(regression: Any) -> None:
    _, frame, _, model = regression
    assert model.feature_names_in_.tolist() == ["city", "age", "steady", "member", "height"]
    rows = frame.head(40)
    predicted = model.predict(rows)
    own = rows[model.feature_names_in_.tolist()]
    for given in (
        rows[rows.columns[::-1]],
        own.to_numpy(dtype=object),
        pa.Table.from_pandas(rows, preserve_index=False),
        own.astype(object).where(own.notna(), None).to_dict("records"),
        {name: own[name].tolist() for name in own},
        rows.assign(city=rows["city"].astype("category"), age=rows["age"].astype("Float64")),
    ):
        np.testing.assert_array_equal(model.predict(given), predicted)
    assert model.predict(rows.head(0)).tolist() == []
    # One row at a time, and more than are worked on at once.
    singly = [model.predict(rows.iloc[[place]])[0] for place in range(40)]
    np.testing.assert_allclose(singly, predicted, rtol=1e-12)
    many = model.predict(pd.concat([rows] * 60))
    np.testing.assert_allclose(many, np.tile(predicted, 60), rtol=1e-12)


def test_coefficients_are_in_the_tables_units(regression: Any) -> None:
    prepared, _, parameters, model = regression
    weights, intercepts = Units.of(prepared).coefficients(parameters)
    np.testing.assert_allclose(model.coef_, weights[0], rtol=1e-12)
    assert model.intercept_ == pytest.approx(intercepts[0], rel=1e-12)
    assert tuple(model.encoded_names_) == prepared.features
    row = {"city": "Rome", "age": None, "steady": 3, "member": True, "height": 1.8}
    encoded = {"city=Rome": 1, "age missing": 1, "steady": 3, "member=true": 1, "height": 1.8}
    encoded["age"] = prepared.medians()["age"]
    x = np.array([encoded.get(name, 0) for name in model.encoded_names_.tolist()])
    assert model.predict([row])[0] == pytest.approx(x @ model.coef_ + model.intercept_, rel=1e-12)
    assert model.features == ("city", "steady", "member", "height")
    assert model.settings == {"weight_decay": 0.0, **PARAMS}
    with pytest.raises(InvalidInput, match="'y' is no class"):
        model.predict_proba([row])


def test_a_number_that_training_never_missed_is_filled_with_its_median(regression: Any) -> None:
    prepared, frame, _, model = regression
    rows = frame.head(5)
    median = float(frame["height"].iloc[prepared.splits.development].median())
    gone = model.predict(rows.assign(height=np.nan))
    np.testing.assert_array_equal(gone, model.predict(rows.assign(height=median)))


@pytest.mark.parametrize("target", [number, word, grades(3)])
def test_the_constant_predicts_what_training_rows_say(target: Any) -> None:
    prepared, frame = job(target)
    fold = prepared.sealed()
    model = ridgeway.load_model(constant_bytes(prepared, fold))
    rows = frame.head(3)
    assert model.features == ()
    assert model.settings == {}
    if not prepared.classes:
        mean = frame["y"].iloc[prepared.splits.development].mean()
        np.testing.assert_allclose(model.predict(rows), mean)
        return
    shares = frame["y"].iloc[prepared.splits.development].value_counts(normalize=True).sort_index()
    np.testing.assert_allclose(model.predict_proba(rows), np.tile(shares, (3, 1)), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"age": "old"}, "rows.1.age", "must be a number, or null where unknown; met 'old'"),
        ({"age": True}, "rows.1.age", "met a bool"),
        ({"height": float("inf")}, "rows.1.height", "at most 1e+30"),
        ({"height": 10**400}, "rows.1.height", "at most 1e+30"),
        ({"city": ["Oslo"]}, "rows.1.city", "met a list"),
    ],
)
def test_values_that_are_none_are_refused_by_name(
    regression: Any, change: dict[str, Any], field: str, said: str
) -> None:
    row = {"city": "Rome", "age": 30, "steady": 3, "member": "true", "height": 1.8}
    with pytest.raises(InvalidInput) as refused:
        regression[3].predict([row, {**row, **change}])
    (error,) = refused.value.errors
    assert error.field == field
    assert said in error.message


def test_columns_that_lack_or_hold_dates_are_named(regression: Any) -> None:
    _, frame, _, model = regression
    dated = frame.assign(age=pd.Timestamp("2026-11-26"))
    for rows in (dated, pa.Table.from_pandas(dated, preserve_index=False)):
        with pytest.raises(InvalidInput, match="age: holds dates or times"):
            model.predict(rows)
    with pytest.raises(InvalidInput) as refused:
        model.predict(frame.drop(columns=["age", "city"]))
    assert [error.field for error in refused.value.errors] == ["city", "age"]
    with pytest.raises(InvalidInput, match=r"rows.0.steady: is missing"):
        model.predict([{"city": "Rome", "age": 3, "member": "true", "height": 1}])
    with pytest.raises(InvalidInput, match=r"shape \(rows, 5\)"):
        model.predict(np.zeros((3, 4)))


def test_a_file_of_another_release_is_read_or_refused_in_words(regression: Any) -> None:
    prepared, frame, parameters, model = regression
    data = kept(prepared, parameters)
    first = changed(data, {"format": None, "columns": None, "link": None, "target": None})
    old = ridgeway.load_model(first)
    assert set(old.feature_names_in_) == set(model.feature_names_in_)
    np.testing.assert_array_equal(old.predict(frame), model.predict(frame))
    with pytest.raises(Unreadable, match="has the format '4', and this release reads up to '3'"):
        ridgeway.load_model(changed(data, {"format": "4"}))
    with pytest.raises(Unreadable, match="not as it should be"):
        ridgeway.load_model(changed(data, {"outputs": None}))
    log = ridgeway.load_model(
        changed(data, {"link": "log", "target_scale": "0.001", "target_mean": "1.0"})
    )
    factor = prepared.sealed().target_scale
    scaled = (model.predict(frame) - prepared.sealed().target_mean) / factor
    np.testing.assert_allclose(log.predict(frame), np.exp(1 + 0.001 * scaled), rtol=1e-9)
    for other in (b"", b"PK", data[8:], b"\x02" + bytes(7) + b"{}"):
        with pytest.raises(InvalidInput, match="is no model of a job"):
            ridgeway.load_model(other)


def test_a_plug_ins_model_predicts_where_its_package_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
from torch import nn

def normed(inputs, outputs, width):
    return nn.Sequential(nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.Linear(width, outputs))
"""
    with monkeypatch.context() as installed:
        install_models(tmp_path, installed, source, ["normed"])
        prepared, frame = job(word, model={"kind": "normed", "width": 3})
        module = build_model(prepared.spec.model, prepared.inputs, prepared.outputs)
        parameters = module.state_dict()
        data = kept(prepared, parameters)
        model = ridgeway.load_model(data)
        shares = model.predict_proba(frame.iloc[prepared.splits.test])
        expected = 1 / (1 + np.exp(-theirs(prepared, parameters)[:, 0]))
        np.testing.assert_allclose(shares[:, 1], expected, rtol=0, atol=1e-6)
        assert model.features is None
        with pytest.raises(AttributeError, match="'normed' has no coef_"):
            model.coef_  # noqa: B018 - the look-up is what is tested
    with pytest.raises(InvalidInput, match="a plug-in's model that no package here offers"):
        ridgeway.load_model(data)


def changed(data: bytes, words: dict[str, str | None]) -> bytes:
    """Return a model's file with other metadata; None takes a key away."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    metadata = {**header["__metadata__"], **words}
    header["__metadata__"] = {name: word for name, word in metadata.items() if word is not None}
    written = json.dumps(header).encode()
    written += b" " * (-len(written) % 8)
    return len(written).to_bytes(8, "little") + written + data[8 + length :]
