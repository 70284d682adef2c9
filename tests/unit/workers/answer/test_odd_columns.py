"""A model of a file with dates, numbers as text and the like predicts from what that file has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import skops.io
import torch
from taken_away import LINEAR, drawn, kept, theirs

from ridgeway.data.judging import judged_profile
from ridgeway.data.uploads import read_upload
from ridgeway.errors import InvalidInput
from ridgeway.formats.rendered import rendered
from ridgeway.model.csv_rows import read_csv
from ridgeway.model.model import Model, read_model
from ridgeway.settings import Settings
from ridgeway.spec.resolving import resolve_spec
from ridgeway.spec.wording import parse_spec
from workers.data.prepare import Prepared, prepare
from workers.population.memory import encoded_inputs

ROWS = 120
COLUMNS = {"grade": "category", "zip": "number", "name": "drop"}


class Taken(NamedTuple):
    """A model taken away, and the file that its job had."""

    model: Model
    data: bytes
    file: bytes
    prepared: Prepared
    weights: dict[str, torch.Tensor]


def written(price: float) -> str:
    return f"{price:,.2f}".translate(str.maketrans(",.", ".,"))


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Taken:
    rng = np.random.default_rng(0)
    start = datetime(2024, 1, 1, 8, tzinfo=UTC)
    lines = ["id;when;price;share;grade;zip;name;y"]
    for row in range(ROWS):
        when = (start + timedelta(hours=31 * row)).strftime("%d.%m.%Y %H:%M") if row % 11 else "-"
        price = "n/a" if row % 13 == 5 else written(3000 * rng.random())
        share, grade = f"{50 * rng.random():.1f} %", "" if row % 17 == 3 else f"{row % 3}.0"
        y = f"{rng.normal():.3f}".replace(".", ",")
        lines.append(f"{row + 1};{when};{price};{share};{grade};0{1000 + row % 7};n{row};{y}")
    data = "\n".join(lines).encode()
    path = tmp_path_factory.mktemp("taken") / "odd.csv"
    path.write_bytes(data)
    table = read_upload(path, None, Settings())
    profile = judged_profile(table)
    spec = parse_spec({"dataset": "d", "columns": COLUMNS, **LINEAR})
    prepared = prepare(resolve_spec(spec, profile), table.to_pandas(), profile.formats)
    weights = drawn(prepared)
    file = kept(prepared, weights)
    return Taken(read_model(file), data, file, prepared, weights)


def of_sealed(taken: Taken, predictions: Any) -> Any:
    return np.asarray(predictions)[taken.prepared.splits.test]


def test_each_column_is_what_the_file_has(taken: Taken) -> None:
    kinds = {column.name: column.kind for column in taken.model.columns}
    assert kinds == {
        "when": "date_day_first",
        "price": "number",
        "share": "number",
        "grade": "category",
        "zip": "number",
    }
    first = taken.prepared.encoded.encoding
    days = first.values[:, first.names.index("when")]
    texts = [line.split(";")[1] for line in taken.data.decode().splitlines()[1:]]
    known = pd.to_datetime(pd.Series(texts), format="%d.%m.%Y %H:%M", errors="coerce")
    epoch = pd.Timestamp(0)
    np.testing.assert_allclose(days, (known - epoch) / pd.Timedelta(days=1), rtol=1e-15)


def test_the_files_own_rows_are_read_alike(taken: Taken) -> None:
    wanted = theirs(taken.prepared, taken.weights)[:, 0]
    of_csv = taken.model.predict(read_csv(taken.data, taken.model.columns))
    np.testing.assert_allclose(of_sealed(taken, of_csv), wanted, rtol=1e-9)
    lines = [line.split(";") for line in taken.data.decode().splitlines()]
    objects = [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
    objects = [{name: text or None for name, text in row.items()} for row in objects]
    np.testing.assert_array_equal(taken.model.predict(objects), of_csv)
    np.testing.assert_array_equal(taken.model.predict(pd.DataFrame(objects)), of_csv)


def as_numbers(taken: Taken) -> pd.DataFrame:
    """Return the rows as a program has them, dates as datetimes."""
    rows = read_csv(taken.data, taken.model.columns)
    return pd.DataFrame({name: values.tolist() for name, values in rows.items()}).assign(
        when=rows["when"], grade=[None if g is None else float(g) for g in rows["grade"].tolist()]
    )


def test_typed_rows_are_the_same(taken: Taken) -> None:
    frame = as_numbers(taken)
    wanted = taken.model.predict(read_csv(taken.data, taken.model.columns))
    np.testing.assert_allclose(taken.model.predict(frame), wanted, rtol=1e-12)
    zoned = frame.assign(when=frame["when"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"))
    np.testing.assert_allclose(taken.model.predict(zoned), wanted, rtol=1e-12)


def test_other_formats_take_days_and_predict_the_same(taken: Taken) -> None:
    frame = as_numbers(taken)
    wanted = taken.model.predict(frame)
    frame["when"] = (frame["when"] - pd.Timestamp(0)) / pd.Timedelta(days=1)
    pipeline = skops.io.loads(rendered(taken.file, "sklearn"))
    np.testing.assert_allclose(pipeline.predict(frame), wanted, rtol=1e-6)
    with pytest.raises(ValueError, match=r"2\.3\.2024"):
        pipeline.predict(frame.assign(when="2.3.2024"))
    session = onnxruntime.InferenceSession(rendered(taken.file, "onnx"))
    grades = [["" if np.isnan(each) else f"{each:.0f}"] for each in frame["grade"].tolist()]
    columns = {n: frame[[n]].to_numpy(np.float64) for n in frame.columns if n != "grade"}
    (found,) = session.run(None, {**columns, "grade": np.array(grades)})
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    told = session.get_modelmeta().custom_metadata_map
    assert told["dates"] == "days since 1970-01-01 (UTC): when"


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("when", "2024-31-12", "is no date"),
        ("when", 19723.5, "must be a date"),
        ("price", "1,234.50", "no number such as '1.234,5'"),
        ("price", "much", "no number such as '1.234,5'"),
        ("grade", "good", "no number"),
    ],
)
def test_what_is_of_another_form_is_refused_by_name(
    taken: Taken, column: str, value: Any, said: str
) -> None:
    good = {"when": "2024-05-01", "price": "1,5", "share": 7, "grade": 1, "zip": "01000"}
    taken.model.predict([good])
    with pytest.raises(InvalidInput, match=said) as refused:
        taken.model.predict([{**good, column: value}])
    assert refused.value.errors[0].field == f"rows.0.{column}"


def test_dates_taken_as_a_category_are_told_apart_by_their_texts(tmp_path: Path) -> None:
    cells = ["2024-05-01", "2024/5/1", "-", "NaT", "2 May 2024", ""]
    lines = [f"{cells[row % 6]};{row * 7 % 11}.25" for row in range(ROWS)]
    path = tmp_path / "days.csv"
    path.write_bytes(data := "\n".join(["day;y", *lines]).encode())
    table = read_upload(path, None, Settings())
    profile = judged_profile(table)
    spec = resolve_spec(
        parse_spec({"dataset": "d", "columns": {"day": "category"}, **LINEAR}), profile
    )
    prepared = prepare(spec, table.to_pandas(), profile.formats)
    assert prepared.inputs == encoded_inputs(spec, profile) == len(cells)
    weights = drawn(prepared)
    model = read_model(file := kept(prepared, weights))
    wanted = theirs(prepared, weights)[:, 0]
    of_csv = model.predict(read_csv(data, model.columns))
    np.testing.assert_allclose(of_csv[prepared.splits.test], wanted, rtol=1e-9)
    assert len({*of_csv[:6].tolist()}) == len(cells)
    objects = [{"day": cells[row % 6] or None} for row in range(ROWS)]
    np.testing.assert_array_equal(model.predict(objects), of_csv)
    session = onnxruntime.InferenceSession(rendered(file, "onnx"))
    (found,) = session.run(None, {"day": np.array([[cells[row % 6]] for row in range(ROWS)])})
    np.testing.assert_allclose(found, of_csv, rtol=1e-6)
    pipeline = skops.io.loads(rendered(file, "sklearn"))
    np.testing.assert_allclose(pipeline.predict(pd.DataFrame(objects)), of_csv, rtol=1e-6)


def test_a_file_without_names_is_predicted_by_place(tmp_path: Path) -> None:
    path = tmp_path / "plain.csv"
    data = "".join(f"{row * 7 % 11}.5,{'ab'[row % 2]},{row}.25\n" for row in range(40)).encode()
    path.write_bytes(data)
    table = read_upload(path, None, Settings())
    profile = judged_profile(table)
    assert profile.header is False
    spec = resolve_spec(parse_spec({"dataset": "d", **LINEAR}), profile)
    prepared = prepare(spec, table.to_pandas(), profile.formats)
    model = read_model(kept(prepared, drawn(prepared)))
    found = model.predict(read_csv(data, model.columns))
    assert len(found) == 40
    named = b"column_2,column_1\n" + b"b,7.5\n"
    np.testing.assert_array_equal(model.predict(read_csv(named, model.columns)), found[1:2])
