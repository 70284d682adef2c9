"""Prepared data: encoded once by the development rows, standardised by each fold's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import event, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import StandardScaler

from ridgeway.data.tables import profile_table
from ridgeway.errors import InvalidInput, JobUnrunnable
from ridgeway.spec.resolving import resolve_spec
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec
from workers.data.bundled import bundled_frame
from workers.data.folds import Fold
from workers.data.loading import canonical_table_of
from workers.data.prepare import Prepared, check_and_prepare
from workers.data.splits import split


def spec(**fields: Any) -> JobSpec:
    return parse_spec({"dataset": "d", **fields})


def mixed(rows: int = 120, seed: int = 0) -> pd.DataFrame:
    """Make numbers and categories, both with gaps; a class and a subject for each row."""
    rng = np.random.default_rng(seed)
    age = rng.normal(40, 10, rows)
    age[rng.random(rows) < 0.2] = np.nan
    return pd.DataFrame(
        {
            "age": age,
            "city": rng.choice(["Oslo", "Rome", None], rows),
            "steady": 1.0,
            "subject": [f"s{row // 4}" for row in range(rows)],
            "y": rng.choice(["no", "yes"], rows),
        }
    )


def tensors(fold: Fold) -> list[torch.Tensor]:
    return [fold.train_inputs, fold.train_targets, fold.valid_inputs, fold.valid_targets]


def positions(prepared: Prepared) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    splits = prepared.splits
    return splits.test, list(splits.folds)


# --- the recipe -------------------------------------------------------------------------------


def follow(recipe: list[dict[str, Any]], frame: pd.DataFrame) -> np.ndarray:
    """Make inputs from raw columns by the recipe alone, like somebody with the model's file."""
    made = []
    for column in recipe:
        raw = frame[column["source"]]
        if "level" in column:
            held = raw.isna() if column["level"] is None else raw == column["level"]
            x = held.to_numpy(float)
        else:
            x = raw.fillna(column.get("fill", 0.0)).to_numpy(float)
        made.append((x - column["mean"]) / column["scale"])
    return np.stack(made, axis=1)


def test_a_plug_ins_rows_must_fit_into_memory_whatever_the_optimizer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those of an upload may stay in a file."""
    numbers = pd.DataFrame({"x": np.arange(60.0), "z": np.arange(60.0), "y": np.arange(60) % 2})
    asked = spec(target="y", optimizer="adamw")
    monkeypatch.setattr("ridgeway.spec.resolving.MAX_CELLS", 120)
    assert check_and_prepare(asked, numbers).inputs == 2
    monkeypatch.setattr("ridgeway.spec.resolving.MAX_CELLS", 119)
    with pytest.raises(JobUnrunnable, match="encodes to 60 rows of 2 inputs; at most 119 numbers"):
        check_and_prepare(asked, numbers)


def test_the_recipe_makes_the_inputs_of_sealed_rows_from_raw_columns():
    frame = mixed()
    prepared = check_and_prepare(spec(), frame)
    sealed = prepared.sealed()
    rows, _ = positions(prepared)
    made = follow(prepared.recipe(), frame.iloc[rows])
    np.testing.assert_allclose(made, sealed.valid_inputs.numpy(), rtol=1e-5, atol=1e-6)


# --- shapes and units -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "inputs", "outputs", "classes"),
    [
        ("digits", 64, 10, 10),
        ("breast_cancer", 30, 1, 2),
        ("wine", 13, 3, 3),
        ("diabetes", 10, 1, 0),
    ],
)
def test_bundled_data_sets_are_prepared(name: str, inputs: int, outputs: int, classes: int) -> None:
    frame = bundled_frame(name)
    prepared = check_and_prepare(spec(dataset=name), frame)
    assert (prepared.inputs, prepared.outputs) == (inputs, outputs)
    assert prepared.classes == tuple(str(label) for label in range(classes))
    assert prepared.features == prepared.source_columns == tuple(frame.columns[:-1])
    assert len(prepared.folds) == 5
    for fold in [*prepared.folds, prepared.sealed()]:
        assert fold.train_inputs.dtype == fold.valid_inputs.dtype == torch.float32
        assert fold.train_inputs.shape == (len(fold.train_targets), inputs)
        assert fold.valid_inputs.shape == (len(fold.valid_targets), inputs)
        assert fold.train_targets.dtype == (torch.int64 if classes else torch.float32)
        assert fold.valid_targets.dtype == (torch.int64 if classes else torch.float64)
    rows = len(prepared.development().train_targets)
    assert rows == len(prepared.sealed().train_targets)
    assert rows + len(prepared.sealed().valid_targets) == len(frame)


def test_statistics_are_those_of_the_training_rows_alone() -> None:
    inputs, y = load_diabetes(return_X_y=True, scaled=False)
    frame = pd.DataFrame(inputs).assign(y=y)
    prepared = check_and_prepare(spec(precision="float64"), frame)
    _, folds = positions(prepared)
    for fold, (train, valid) in zip(prepared.folds, folds, strict=True):
        scaler = StandardScaler().fit(inputs[train])
        np.testing.assert_array_equal(fold.train_inputs, scaler.transform(inputs[train]))
        np.testing.assert_array_equal(fold.valid_inputs, scaler.transform(inputs[valid]))
        assert fold.target_mean == pytest.approx(y[train].mean(), rel=1e-12)
        assert fold.target_scale == pytest.approx(y[train].std(ddof=0), rel=1e-12)
        back = fold.target_mean + fold.target_scale * fold.train_targets
        np.testing.assert_allclose(back, y[train], rtol=1e-12)
        np.testing.assert_array_equal(fold.valid_targets, y[valid])


def test_a_shifted_and_scaled_target_changes_no_split_and_no_standardised_value() -> None:
    frame = bundled_frame("diabetes").astype(float)
    moved = frame.assign(target=1000 * frame["target"] + 7)
    one, other = (check_and_prepare(spec(precision="float64"), data) for data in (frame, moved))
    for left, right in zip(one.folds, other.folds, strict=True):
        assert torch.equal(left.train_inputs, right.train_inputs)
        assert torch.equal(left.valid_inputs, right.valid_inputs)
        torch.testing.assert_close(left.train_targets, right.train_targets)
        torch.testing.assert_close(1000 * left.valid_targets + 7, right.valid_targets)


def test_classes_are_named_in_the_order_of_their_values() -> None:
    frame = pd.DataFrame({"x": range(90), "y": [10, 9, 2] * 30})
    assert check_and_prepare(spec(), frame).classes == ("2", "9", "10")
    frame["y"] = frame["y"] > 5
    prepared = check_and_prepare(spec(), frame)
    assert (prepared.classes, prepared.outputs) == (("false", "true"), 1)


def test_a_constant_column_is_zero_and_a_constant_target_keeps_its_units() -> None:
    prepared = check_and_prepare(spec(), mixed())
    steady = prepared.features.index("steady")
    assert all((fold.valid_inputs[:, steady] == 0).all() for fold in prepared.folds)
    # One value in ten thousand differs, so that most folds see a constant.
    y = np.full(1000, 5.0)
    y[0] = 6.5
    frame = pd.DataFrame({"x": np.arange(1000.0), "y": y})
    scales = {fold.target_scale for fold in check_and_prepare(spec(), frame).folds}
    assert 1.0 in scales


# --- columns ----------------------------------------------------------------------------------


def test_categories_and_missing_values_become_columns() -> None:
    prepared = check_and_prepare(spec(groups="subject"), mixed())
    assert prepared.features == (
        "age",
        "steady",
        "age missing",
        "city=Oslo",
        "city=Rome",
        "city missing",
    )
    assert prepared.source_columns == ("age", "steady", "age", "city", "city", "city")
    assert all(torch.isfinite(fold.valid_inputs).all() for fold in prepared.folds)


def test_a_missing_number_is_the_median_of_the_training_rows() -> None:
    frame = mixed()
    prepared = check_and_prepare(spec(groups="subject", precision="float64"), frame)
    _, folds = positions(prepared)
    for fold, (train, valid) in zip(prepared.folds, folds, strict=True):
        known = frame["age"].to_numpy()[train]
        median = np.nanmedian(known)
        filled = np.where(np.isnan(known), median, known)
        missing = np.isnan(frame["age"].to_numpy()[valid])
        assert missing.any()
        expected = (median - filled.mean()) / filled.std()
        np.testing.assert_allclose(fold.valid_inputs[missing, 0], expected, rtol=1e-9)


def test_a_level_that_only_sealed_rows_hold_is_no_column() -> None:
    frame = mixed()
    job = spec(groups="subject")
    test, _ = positions(check_and_prepare(job, frame))
    plain = check_and_prepare(job, frame).sealed()
    frame.loc[test[0], "city"] = "Atlantis"
    prepared = check_and_prepare(job, frame)
    assert "city=Atlantis" not in prepared.features
    sealed = prepared.sealed()
    assert torch.equal(sealed.train_inputs, plain.train_inputs)
    one_hot = [name.startswith("city") for name in prepared.features]
    lowest = sealed.valid_inputs.min(dim=0).values
    assert torch.equal(sealed.valid_inputs[0, one_hot], lowest[one_hot])


def test_an_outlier_of_a_column_constant_in_training_stays_finite() -> None:
    frame = mixed()
    test, _ = positions(check_and_prepare(spec(groups="subject"), frame))
    frame.loc[test[0], "steady"] = 1e30
    sealed = check_and_prepare(spec(groups="subject"), frame).sealed()
    assert torch.isfinite(sealed.valid_inputs).all()


# --- leakage ----------------------------------------------------------------------------------


def test_what_a_fold_judges_changes_nothing_that_it_trains_on() -> None:
    frame, job = mixed(), spec(groups="subject")
    before = check_and_prepare(job, frame)
    _, folds = positions(before)
    for number, (_, valid) in enumerate(folds):
        changed = frame.copy()
        changed.loc[valid, "age"] = 1e6 + np.arange(len(valid))
        after = check_and_prepare(job, changed)
        assert torch.equal(
            before.folds[number].train_inputs, after.folds[number].train_inputs[:, :]
        )
        assert not torch.equal(before.folds[number].valid_inputs, after.folds[number].valid_inputs)


def test_sealed_rows_change_nothing_before_the_answer() -> None:
    frame, job = mixed(), spec(groups="subject")
    before = check_and_prepare(job, frame)
    test, _ = positions(before)
    frame.loc[test, "age"] = -1e6
    frame.loc[test, "city"] = [f"c{row}" for row in range(len(test))]
    after = check_and_prepare(job, frame)
    assert before.features == after.features
    for left, right in zip(before.folds, after.folds, strict=True):
        assert all(map(torch.equal, tensors(left), tensors(right)))
    assert torch.equal(before.development().train_inputs, after.development().train_inputs)


def test_groups_are_no_input_and_are_known_for_a_holdout() -> None:
    frame = mixed()
    holdout = check_and_prepare(spec(groups="subject", validation={"kind": "holdout"}), frame)
    assert "subject" not in holdout.source_columns
    (fold,) = holdout.folds
    assert fold.valid_groups is not None
    assert fold.valid_groups.shape == fold.valid_targets.shape
    _, [(_, valid)] = positions(holdout)
    subjects = frame["subject"].to_numpy()[valid]
    assert len(fold.valid_groups.unique()) == len(set(subjects))
    assert check_and_prepare(spec(groups="subject"), frame).folds[0].valid_groups is None


def test_the_same_seed_prepares_the_same_tensors() -> None:
    one, other = (check_and_prepare(spec(seed=3), bundled_frame("wine")) for _ in range(2))
    for left, right in zip(one.folds, other.folds, strict=True):
        assert all(map(torch.equal, tensors(left), tensors(right)))


# --- what can't be prepared -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": [1.0, np.inf] * 20}, "column 'x', row 2: inf is infinite"),
        ({"y": [0, np.nan] * 20}, "target: has 20 missing values"),
        ({"x": [[1]] * 40}, "column 'x' holds values of type list"),
        ({"x": [1, "a"] * 20}, "is no table of numbers and texts"),
        ({"y": [0] * 37 + [1] * 3}, "class '1' of 'y' has 3 rows"),
    ],
)
def test_a_plug_ins_bad_data_is_refused_in_words(columns: dict[str, Any], message: str) -> None:
    frame = pd.DataFrame({"x": np.arange(40.0), "y": [0, 1] * 20}).assign(**columns)
    with pytest.raises(JobUnrunnable, match="'d'") as refused:
        check_and_prepare(spec(), frame)
    assert message in str(refused.value)


def test_two_columns_of_one_name_are_refused() -> None:
    frame = pd.DataFrame(np.eye(40)[:, :3], columns=["x", "x", "y"])
    with pytest.raises(JobUnrunnable, match="both called 'x'"):
        check_and_prepare(spec(), frame)


values = st.one_of(st.none(), st.integers(-3, 3), st.floats(-1e30, 1e30))


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(st.integers(1, 80))

    def column(of: Any) -> list[Any]:
        few = draw(st.lists(of, min_size=1, max_size=8))
        return [few[row % len(few)] for row in range(rows)]

    return pd.DataFrame(
        {
            "n": np.array(column(values), dtype=float),
            "c": pd.Series(column(st.none() | st.sampled_from("abc")), dtype=object),
            "g": draw(st.permutations([row // 4 for row in range(rows)])),
            "y": column(draw(st.sampled_from([st.integers(0, 3), st.floats(-1e30, 1e30)]))),
        }
    )


def refusal_of(job: JobSpec, frame: pd.DataFrame) -> str | None:
    try:
        check_and_prepare(job, frame)
    except JobUnrunnable as error:
        return str(error)
    return None


@given(
    frames(),
    st.sampled_from([None, "classification", "regression"]),
    st.booleans(),
    st.sampled_from([{"kind": "folds", "folds": folds} for folds in (2, 3, 7)])
    | st.builds(lambda fraction: {"kind": "holdout", "fraction": fraction}, st.floats(0.001, 0.999))
    | st.builds(lambda folds: {"kind": "forward", "folds": folds, "by": "g"}, st.integers(2, 7)),
    st.floats(0.001, 0.9),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=200)
def test_whatever_is_accepted_can_be_split(
    frame: pd.DataFrame,
    task: Any,
    grouped: bool,
    validation: Any,
    test_fraction: float,
    seed: int,
) -> None:
    forward = validation["kind"] == "forward"
    grouped = grouped and not forward
    job = spec(
        task=task,
        groups="g" if grouped else None,
        validation=validation,
        test_fraction=test_fraction,
        seed=seed,
    )
    try:
        accepted = resolve_spec(job, profile_table(canonical_table_of(frame, "d")))
    except InvalidInput:
        with pytest.raises(JobUnrunnable):
            check_and_prepare(job, frame)
        return
    if (grouped or forward) and accepted.task == "classification":
        # Only the rows tell whether groups, or an order, hold a class together.
        refusal = refusal_of(job, frame)
        event(f"grouped classes: {'split' if refusal is None else 'refused'}")
        assert refusal is None or ("In the order of" if forward else "groups") in refusal
        return
    prepared = check_and_prepare(job, frame)
    event("split")
    assert len(prepared.folds) == job.folds
    for fold in [*prepared.folds, prepared.sealed()]:
        assert all(len(tensor) for tensor in tensors(fold))
        assert all(torch.isfinite(tensor).all() for tensor in tensors(fold))
        if accepted.task == "classification":
            assert len(fold.train_targets.unique()) == len(prepared.classes)
            assert len(fold.valid_targets.unique()) == len(prepared.classes)


def test_splitting_is_told_by_positions_whatever_the_frames_index() -> None:
    frame = bundled_frame("wine")
    shuffled_index = frame.set_axis(np.random.default_rng(0).permutation(len(frame)), axis=0)
    one, other = check_and_prepare(spec(), frame), check_and_prepare(spec(), shuffled_index)
    assert torch.equal(one.folds[0].train_inputs, other.folds[0].train_inputs)
    labels = frame["target"].to_numpy()
    assert (
        split(one.spec, labels, ("0", "1", "2"), None).test.tolist() == positions(one)[0].tolist()
    )


def test_dropped_columns_are_no_inputs() -> None:
    frame = pd.DataFrame({"a": range(40), "b": range(40, 0, -1), "c": [1, 2] * 20, "y": range(40)})
    spec = parse_spec({"dataset": "mine", "drop": ["b", "c"]})
    assert check_and_prepare(spec, frame).source_columns == ("a",)


def test_rows_without_a_target_are_left_out_where_the_job_says_so() -> None:
    frame = pd.DataFrame({"a": np.arange(60.0), "y": [0.5, None, 1.5] * 20})
    prepared = check_and_prepare(spec(dataset="mine", missing_target="drop"), frame)
    known = frame.dropna().reset_index(drop=True)
    whole = check_and_prepare(spec(dataset="mine"), known)
    assert prepared.rows == 40
    for one, other in zip(prepared.folds, whole.folds, strict=True):
        assert all(map(torch.equal, tensors(one), tensors(other)))
    texts = frame.assign(y=["yes", None, "no"] * 20)
    prepared = check_and_prepare(spec(dataset="mine", missing_target="drop"), texts)
    assert (prepared.rows, prepared.classes) == (40, ("no", "yes"))
