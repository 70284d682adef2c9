"""The catalogue of data sets, on both databases, and loading what it names."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from ridgeway.data.bundled import bundled_profiles
from ridgeway.data.catalogue import (
    Upload,
    add_dataset,
    dataset_by_id,
    find_dataset,
    ingest,
    profile_of,
    summarise,
)
from ridgeway.data.listing import describe_dataset, list_datasets
from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.database.tables import datasets
from ridgeway.errors import Conflict, InvalidInput, JobUnrunnable, NotFound
from ridgeway.settings import Settings
from ridgeway.spec.wording import parse_spec
from ridgeway.views import DatasetSummary
from workers.data.bundled import bundled_frame
from workers.data.loading import load_frame, offered_datasets
from workers.data.prepare import check_and_prepare

CSV = b"age,city,y\n" + b"31,Oslo,no\n,Rome,yes\n40.5,,no\n22,Oslo,yes\n" * 10


class Shelf:
    """A database, a store, and files to bring."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder = database, folder
        self.settings = Settings(data=folder)
        self.store = Store.of(self.settings)

    def bring(self, name: str, data: bytes = CSV) -> DatasetSummary:
        path = self.folder / "upload"
        path.write_bytes(data)
        return ingest(self.database, self.store, self.settings, path, name)

    def address(self, name: str) -> str:
        with self.database.reading() as transaction:
            return find_dataset(transaction, name).address

    def load(self, name: str) -> pd.DataFrame:
        with self.database.reading() as transaction:
            return load_frame(name, find_dataset(transaction, name), self.store)


@pytest.fixture
def shelf(database: Database, tmp_path: Path) -> Shelf:
    return Shelf(database, tmp_path)


def test_an_upload_is_kept_listed_and_loaded(shelf: Shelf) -> None:
    brought = shelf.bring("späm")
    assert (brought.kind, brought.rows, brought.target, brought.task) == (
        "uploaded",
        40,
        "y",
        "classification",
    )
    assert brought.checksum == hashlib.sha256(CSV).hexdigest()
    assert brought.bytes == len(CSV)
    assert brought.created_at is not None
    with shelf.database.reading() as transaction:
        found = summarise(find_dataset(transaction, "späm"))
        assert dict(found).items() < dict(brought).items()
        assert brought.id is not None
        assert summarise(find_dataset(transaction, brought.id)) == found
        listed = list_datasets(transaction, cursor=None, limit=50).datasets
        described = describe_dataset(transaction, "späm")
        assert describe_dataset(transaction, brought.id) == described
        dataset_id, profile = profile_of(transaction, "späm")
    assert listed[-1] == found
    assert described == brought
    assert dataset_id == brought.id
    assert profile is not None
    assert profile.columns == described.columns
    assert brought.column_count == len(profile.columns) == 3
    frame = shelf.load("späm")
    assert frame.columns.tolist() == ["age", "city", "y"]
    assert frame["age"].isna().sum() == 10
    assert check_and_prepare(parse_spec({"dataset": "späm"}), frame).inputs == 5


def test_the_same_file_again_is_the_same_data_set(shelf: Shelf) -> None:
    assert shelf.bring("a") == shelf.bring("a")
    assert shelf.bring("b").id != shelf.bring("a").id
    with pytest.raises(Conflict, match="'a' with other content"):
        shelf.bring("a", CSV + b"1,Rome,yes\n")


def test_a_broken_file_leaves_nothing_behind(shelf: Shelf) -> None:
    with pytest.raises(InvalidInput, match="row 3 has 1 value, the header 2"):
        shelf.bring("a", b"x,y\n1,2\n3\n")
    with shelf.database.reading() as transaction, pytest.raises(NotFound, match="no data set 'a'"):
        find_dataset(transaction, "a")
    assert not (shelf.folder / "store").exists()


def test_an_id_is_never_taken_for_another_data_sets_name(shelf: Shelf) -> None:
    first, second = shelf.bring("a"), shelf.bring("b")
    assert first.id is not None
    for name in (first.id, first.id.upper()):
        with pytest.raises(InvalidInput, match="looks like a data set's id"):
            shelf.bring(name)
    # An earlier release may have taken such a name.
    with shelf.database.transaction() as transaction:
        renamed = sa.update(datasets).where(datasets.c.id == second.id).values(name=first.id)
        transaction.execute(renamed)
    with shelf.database.reading() as transaction:
        assert dataset_by_id(transaction, first.id).id == first.id
        assert find_dataset(transaction, first.id).id == first.id
        with pytest.raises(NotFound, match="'b'"):
            dataset_by_id(transaction, "b")


@pytest.mark.parametrize("name", ["", "a" * 201, "a\x00b", "digits", " a", "a\n", "\ud800"])
def test_a_name_that_can_not_be_kept_is_refused(shelf: Shelf, name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        shelf.bring(name)
    assert refused.value.errors[0].field == "name"


def test_bundled_data_sets_are_known_and_others_are_not(shelf: Shelf) -> None:
    with shelf.database.reading() as transaction:
        dataset_id, profile = profile_of(transaction, "wine")
        assert dataset_id is None
        assert profile is not None
        assert profile.rows == 178
        page = list_datasets(transaction, cursor=None, limit=50)
        names = [dataset.name for dataset in page.datasets]
        assert names[:4] == ["breast_cancer", "diabetes", "digits", "wine"]
        for name in ("nothing", "a\x00"):
            with pytest.raises(NotFound, match=r"known: breast_cancer, .*wine"):
                profile_of(transaction, name)
    pd.testing.assert_frame_equal(load_frame("wine", None, shelf.store), bundled_frame("wine"))


def put_many(database: Database, count: int) -> list[str]:
    """Write down uploads, each of one profile; return their names."""
    names = [f"upload {number:03}" for number in range(count)]
    profile = bundled_profiles()["wine"]
    with database.transaction() as transaction:
        for name in names:
            add_dataset(transaction, Upload(name, "a", "b", "c", 1, profile))
    return names


@pytest.mark.parametrize("limit", [1, 3, 4, 5, 50])
def test_pages_of_any_length_list_every_data_set_once(shelf: Shelf, limit: int) -> None:
    names, cursor = put_many(shelf.database, 7), None
    listed: list[str] = []
    while True:
        with shelf.database.reading() as transaction:
            page = list_datasets(transaction, cursor=cursor, limit=limit)
        assert len(page.datasets) <= limit
        listed += [dataset.name for dataset in page.datasets]
        if (cursor := page.next) is None:
            break
    assert listed[:4] == ["breast_cancer", "diabetes", "digits", "wine"]
    assert sorted(listed[4:]) == names
    assert all(dataset.column_count == 14 for dataset in page.datasets if dataset.id)


def test_no_profile_is_read_for_a_page_or_for_an_error(shelf: Shelf) -> None:
    put_many(shelf.database, 3)
    with shelf.database.transaction() as transaction:
        transaction.execute(sa.update(datasets).values(profile="unreadable"))
    with shelf.database.reading() as transaction:
        assert len(list_datasets(transaction, cursor=None, limit=50).datasets) == 7
        with pytest.raises(NotFound):
            profile_of(transaction, "nothing")


def test_the_error_of_an_unknown_name_is_short_and_names_the_nearest_first(shelf: Shelf) -> None:
    put_many(shelf.database, 300)
    with shelf.database.reading() as transaction:
        with pytest.raises(NotFound, match=r"'digit'; known: digits, .* and 296 more\.$"):
            profile_of(transaction, "digit")
        with pytest.raises(NotFound, match=r"known: upload 299, ") as refused:
            profile_of(transaction, "upload 2999")
    assert len(str(refused.value)) < 200


def test_a_damaged_table_is_never_trained_on(shelf: Shelf) -> None:
    shelf.bring("a")
    address = shelf.address("a")
    shelf.store.put(address, shelf.store.get(address)[:-1] + b"x")
    with pytest.raises(JobUnrunnable, match="is damaged"):
        shelf.load("a")


def test_a_table_that_went_missing_is_named(shelf: Shelf) -> None:
    shelf.bring("a")
    shelf.store.delete(shelf.address("a"))
    with pytest.raises(JobUnrunnable, match=r"datasets/.*parquet"):
        shelf.load("a")


# --- plug-ins: a real package on the path, found by its metadata ------------------------------

PLUGIN = """
import numpy as np
import pandas as pd

def rows():
    return pd.DataFrame({"x": np.arange(40.0), "y": ["a", "b"] * 20})

def arrays():
    return np.eye(40)[:, :3], np.arange(40) % 2

def broken():
    raise RuntimeError("no network")

def nothing():
    return 3
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "site"
    (folder / "lab-1.0.dist-info").mkdir(parents=True)
    (folder / "lab_data.py").write_text(PLUGIN)
    (folder / "lab-1.0.dist-info" / "METADATA").write_text("Name: lab\nVersion: 1.0\n")
    names = "".join(
        f"lab-{name} = lab_data:{name}\n"
        for name in ("rows", "arrays", "broken", "nothing", "absent")
    )
    (folder / "lab-1.0.dist-info" / "entry_points.txt").write_text(f"[ridgeway.datasets]\n{names}")
    monkeypatch.syspath_prepend(str(folder))
    yield
    sys.modules.pop("lab_data", None)


@pytest.mark.usefixtures("plugin")
def test_a_plug_ins_name_is_known_without_importing_it(shelf: Shelf) -> None:
    with shelf.database.reading() as transaction:
        assert profile_of(transaction, "lab-rows") == (None, None)
        page = list_datasets(transaction, cursor=None, limit=50)
        listed = {dataset.name: dataset.kind for dataset in page.datasets}
        assert describe_dataset(transaction, "lab-rows").columns is None
    assert listed["lab-rows"] == "plugin"
    assert "lab-rows" in offered_datasets()
    assert "lab_data" not in sys.modules
    with pytest.raises(InvalidInput, match="is the name of a plug-in's data set"):
        shelf.bring("lab-rows")


@pytest.mark.usefixtures("plugin")
def test_a_plug_ins_frame_or_arrays_are_prepared(shelf: Shelf) -> None:
    frame = load_frame("lab-rows", None, shelf.store)
    prepared = check_and_prepare(parse_spec({"dataset": "lab-rows"}), frame)
    assert (prepared.spec.target, prepared.spec.task) == ("y", "classification")
    assert prepared.classes == ("a", "b")
    arrays = load_frame("lab-arrays", None, shelf.store)
    assert arrays.columns.tolist() == ["x0", "x1", "x2", "target"]
    assert arrays["target"].tolist() == (np.arange(40) % 2).tolist()


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lab-broken", "the plug-in failed: RuntimeError: no network"),
        ("lab-nothing", "must return a DataFrame or (X, y), not int"),
        ("lab-absent", "the plug-in failed: AttributeError"),
        ("lab-gone", "No package beside this worker offers the data set 'lab-gone'"),
    ],
)
def test_a_plug_in_that_fails_says_so_to_the_jobs_owner(
    tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(JobUnrunnable) as refused:
        load_frame(name, None, Store(str(tmp_path)))
    assert message in str(refused.value)
