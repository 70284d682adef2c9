"""Rows that stay in a file are the rows that a table in memory gives."""

from __future__ import annotations

import fcntl
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from streamed import both, made_up, spec_for, stored

from ridgeway.data import row_files
from ridgeway.data.row_files import RowFiles
from ridgeway.errors import JobUnrunnable
from workers.data import mapped, streaming
from workers.data.mapped import LazyRows
from workers.data.matrix import Content, matrix_of
from workers.data.prepare import Prepared, prepare_streamed
from workers.data.streaming import StreamedTable

WAYS = {
    "classes": {},
    "groups": {"groups": "group", "drop": ["weight"]},
    "weights": {"weights": "weight", "drop": ["group", "x3"], "validation": {"kind": "holdout"}},
    "forward": {"validation": {"kind": "forward", "folds": 3, "by": "x2"}},
    "taken": {"columns": {"group": "category", "x1": "drop"}},
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, rows in (
        (mapped, "ROWS_AT_ONCE", 64),
        (mapped, "CELLS_AT_ONCE", 200),
        (mapped, "COLUMN_NUMBERS", 500),
        (streaming, "ROWS_AT_ONCE", 100),
    ):
        monkeypatch.setattr(module, name, rows)


def read(rows: object) -> torch.Tensor:
    assert isinstance(rows, LazyRows)
    return rows[:]


@pytest.mark.parametrize("way", WAYS)
def test_folds_in_a_file_are_those_in_memory(tmp_path: Path, way: str) -> None:
    whole, own = both(made_up(), tmp_path, **WAYS[way])
    assert own.streamed
    assert (own.features, own.source_columns) == (whole.features, whole.source_columns)
    assert (own.columns, own.classes, own.rows) == (whole.columns, whole.classes, whole.rows)
    np.testing.assert_array_equal(own.encoded.encoding.values[:], whole.encoded.encoding.values)
    parts = [*zip(own.folds, whole.folds, strict=True), (own.sealed(), whole.sealed())]
    parts += zip(own.resplit(5), whole.resplit(5), strict=True)
    parts += zip(own.halves(3) or (), whole.halves(3) or (), strict=True)
    for mine, theirs in parts:
        torch.testing.assert_close(
            read(mine.train_inputs), theirs.train_inputs, rtol=1e-6, atol=1e-6
        )
        torch.testing.assert_close(
            read(mine.valid_inputs), theirs.valid_inputs, rtol=1e-6, atol=1e-6
        )
        assert torch.equal(mine.train_targets, theirs.train_targets)
        assert torch.equal(mine.valid_targets, theirs.valid_targets)
        torch.testing.assert_close(mine.input_scales, theirs.input_scales, rtol=1e-12, atol=0)
    assert own.medians() == whole.medians()
    for mine, theirs in zip(own.recipe(), whole.recipe(), strict=True):
        assert mine == {
            **theirs,
            "mean": pytest.approx(theirs["mean"], rel=1e-12),
            "scale": pytest.approx(theirs["scale"], rel=1e-12),
        }


def test_rows_without_a_target_are_left_out(tmp_path: Path) -> None:
    frame = made_up(classes=False)
    frame.loc[::7, "y"] = np.nan
    whole, own = both(frame, tmp_path, missing_target="drop")
    assert own.rows == frame["y"].notna().sum()
    np.testing.assert_array_equal(own.encoded.encoding.values[:], whole.encoded.encoding.values)


def test_statistics_are_of_training_rows_alone_and_equal_scikit_learns(tmp_path: Path) -> None:
    frame = made_up()
    _, own = both(frame, tmp_path, drop=["level", "group", "weight", "few"])
    for (train, _), fold in zip(own.splits.folds, own.folds, strict=True):
        scaler = StandardScaler().fit(frame[["x0", "x1", "x2", "x3"]].to_numpy()[train])
        assert isinstance(fold.train_inputs, LazyRows)
        fitted = fold.train_inputs.fitted.scaler
        np.testing.assert_allclose(fitted.mean_, scaler.mean_, rtol=1e-12)
        np.testing.assert_allclose(fitted.scale_, scaler.scale_, rtol=1e-12)
        values = own.encoded.encoding.values[:][train]
        applied = fold.train_inputs.fitted.apply(values).astype(np.float32)
        np.testing.assert_array_equal(fold.train_inputs[:], applied)  # bit for bit


def test_numbers_are_kept_in_as_few_bytes_as_hold_them(tmp_path: Path) -> None:
    frame = made_up()[["x0", "x1", "level", "y"]]
    both(frame, tmp_path)
    both(frame.assign(x0=frame["x0"].round(), x1=frame["x1"].astype(np.float32)), tmp_path)
    sizes = sorted(path.stat().st_size for path in (tmp_path / "rows").glob("*.npy"))
    assert len(sizes) == 2
    assert sizes[1] - 128 == 2 * (sizes[0] - 128)


# --- the file ---------------------------------------------------------------------------------


def again(frame: pd.DataFrame, folder: Path) -> Prepared:
    upload, store = stored(frame, folder)
    with StreamedTable.opened(upload, store) as table:
        return prepare_streamed(spec_for(upload), table, {}, RowFiles(folder / "rows", 2**30))


def test_a_file_is_written_once_for_all_jobs(tmp_path: Path) -> None:
    first = again(made_up(), tmp_path)
    (path,) = (tmp_path / "rows").iterdir()
    written = path.stat().st_mtime_ns
    second = again(made_up(), tmp_path)
    assert [each.stat().st_mtime_ns for each in (tmp_path / "rows").iterdir()] == [written]
    assert torch.equal(read(first.folds[0].train_inputs), read(second.folds[0].train_inputs))


def test_a_file_that_another_worker_gives_up_meanwhile_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read(again(made_up(), tmp_path).folds[0].train_inputs)
    whole, given_up = np.load, []

    def load(path: Path, **how: str) -> object:
        if not given_up:
            given_up.append(path)
            path.unlink()
        return whole(path, **how)

    monkeypatch.setattr(np, "load", load)
    assert torch.equal(read(again(made_up(), tmp_path).folds[0].train_inputs), expected)
    assert given_up


@pytest.mark.parametrize("left", [0, 100, 5000])
def test_a_file_that_was_cut_short_is_written_again(tmp_path: Path, left: int) -> None:
    expected = read(again(made_up(), tmp_path).folds[0].train_inputs)
    (path,) = (tmp_path / "rows").iterdir()
    with path.open("r+b") as file:
        file.truncate(left)
    assert torch.equal(read(again(made_up(), tmp_path).folds[0].train_inputs), expected)


def content(blocks: list[np.ndarray], rows: int = 4) -> Content:
    return Content("a" * 64, (rows, 2), np.float32, lambda: iter(blocks))


@pytest.mark.parametrize("place", range(3))
def test_who_dies_while_writing_leaves_nothing_that_is_read(tmp_path: Path, place: int) -> None:
    blocks = [np.full((2, 2), 1.0), np.full((2, 2), 2.0)]

    def dying():
        yield from blocks[:place]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        matrix_of(RowFiles(tmp_path, 2**30), Content("a" * 64, (4, 2), np.float32, dying))
    (tmp_path / f".{'a' * 64}.part").write_bytes(b"half of a file")  # as a kill would leave it
    found = matrix_of(RowFiles(tmp_path, 2**30), content(blocks))
    np.testing.assert_array_equal(found[:], np.concatenate(blocks))
    assert [path.name for path in tmp_path.iterdir()] == [f"{'a' * 64}.npy"]


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    def full():
        yield np.ones((2, 2))
        raise OSError(28, "No space left on device")

    with pytest.raises(JobUnrunnable, match="GB free: No space left on device"):
        matrix_of(RowFiles(tmp_path, 2**30), Content("a" * 64, (4, 2), np.float32, full))
    assert list(tmp_path.iterdir()) == []


def test_files_go_that_nobody_has_read_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_files, "KEEP_SECONDS", -1.0)
    blocks, files = [np.ones((4, 2))], RowFiles(tmp_path, 2**30)
    names = ["a" * 64, "b" * 64, "c" * 64]
    first = matrix_of(files, Content(names[0], (4, 2), np.float32, lambda: iter(blocks)))
    matrix_of(files, Content(names[1], (4, 2), np.float32, lambda: iter(blocks)))
    matrix_of(files, Content(names[2], (4, 2), np.float32, lambda: iter(blocks)))
    # The first is held, the second was let go.
    assert sorted(path.stem for path in tmp_path.iterdir()) == [names[0], names[2]]
    assert first[0].tolist() == [1, 1]
    with (tmp_path / f"{names[2]}.npy").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody has it any more


def test_a_damaged_table_is_refused(tmp_path: Path) -> None:
    upload, store = stored(made_up(), tmp_path)
    store.put(upload.address, store.get(upload.address) + b" ")
    with pytest.raises(JobUnrunnable, match="is damaged"), StreamedTable.opened(upload, store):
        pass
