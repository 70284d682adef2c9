"""Data sets that a job can name: bundled, uploaded and kept in the store, or a plug-in's."""

from __future__ import annotations

import re
import tempfile
import uuid
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from ridgeway.data.bundled import BUNDLED, bundled_profiles
from ridgeway.data.store import Store, sha256_of_file
from ridgeway.database.clock import now
from ridgeway.database.engine import Database
from ridgeway.database.tables import KEPT, datasets
from ridgeway.errors import Conflict, InvalidInput, NotFound, Unreadable
from ridgeway.fleet import known_datasets
from ridgeway.keys.audit import Visit, record
from ridgeway.keys.caller import LOCAL, Caller
from ridgeway.keys.owners import seen_by
from ridgeway.keys.quotas import require_room_for_bytes
from ridgeway.settings import Settings
from ridgeway.spec.names import Task
from ridgeway.spec.profiles import DatasetProfile, infer_task
from ridgeway.spec.stored import read_stored
from ridgeway.views import Dataset, DatasetSummary

if TYPE_CHECKING:
    from ridgeway.data.headers import Header

MOST_NAMED = 8  # data sets that the error of an unknown one names
MOST_COMPARED = 200  # names that are compared with an unknown one, the newest uploads'


@dataclass(frozen=True)
class Upload:
    """A data file that has been read, checked and put into the store."""

    name: str
    checksum: str  # sha256 of the file as it came in
    stored_checksum: str  # sha256 of the table in the store
    address: str  # key in the store
    bytes: int  # of the file as it came in
    profile: DatasetProfile
    owner: str | None = None  # id of the key that brings it


@dataclass(frozen=True)
class Bringing:
    """How a file comes in: who brings it, and whether the first row of a CSV holds names."""

    visit: Visit | None = None
    header: Header = "auto"

    @property
    def caller(self) -> Caller:
        """Return whose the data set will be."""
        return self.visit.caller if self.visit else LOCAL


AS_IT_IS = Bringing()


@dataclass(frozen=True)
class StoredDataset:
    """An uploaded data set: its row, and where its table lies in the store."""

    id: str
    name: str
    checksum: str  # sha256 of the file as it came in
    stored_checksum: str  # sha256 of the table in the store
    address: str  # key in the store
    bytes: int  # of the file as it came in
    stored_profile: Any
    rows: int
    column_count: int
    target: str  # the column predicted by default
    task: Task
    created_at: float  # seconds since 1970
    deleted_at: float | None = None  # since when jobs that have ended alone name it
    owner: str | None = None  # id of the key that brought it

    @cached_property
    def profile(self) -> DatasetProfile:
        """What the columns hold, read once; Unreadable where another release wrote it."""
        return read_stored(
            DatasetProfile, f"profile of data set '{self.name}'", self.stored_profile
        )


# What a list says of an upload: all of its row but the profile, and where its bytes lie.
SUMMARY = tuple(
    datasets.c[name]
    for name in ("id", "name", "rows", "column_count", "target", "task", "checksum", "bytes")
)


def summarise(uploaded: StoredDataset | sa.Row[Any]) -> DatasetSummary:
    """Summarise an upload, from its row or from the columns SUMMARY and `created_at` of it."""
    values = {column.name: getattr(uploaded, column.name) for column in SUMMARY}
    created_at = datetime.fromtimestamp(uploaded.created_at, UTC)
    return DatasetSummary(kind="uploaded", created_at=created_at, **values)


def described(uploaded: StoredDataset) -> Dataset:
    """Return an upload with what is made of its columns.

    The profile of another release, which this one can't read, is told and left out.
    """
    summary = dict(summarise(uploaded))
    try:
        profile = uploaded.profile
    except Unreadable as error:
        return Dataset(**summary, columns=None, unreadable=str(error))
    more: dict[str, Any] = {"header": profile.header, "warnings": profile.warnings}
    return Dataset(**summary, columns=profile.columns, **more)


# --- the catalogue ----------------------------------------------------------------------------


def find_dataset(transaction: Connection, name_or_id: str, caller: Caller = LOCAL) -> StoredDataset:
    """Find the uploaded data set of this id, else of this name; NotFound where there is none.

    Others' are none to the caller. What stored an id asks `dataset_by_id`.
    """
    seen = seen_by(caller, datasets.c.owner)
    if "\x00" not in name_or_id:  # PostgreSQL would refuse the question
        for column in (datasets.c.id, datasets.c.name):
            if (found := _where(transaction, KEPT & seen & (column == name_or_id))) is not None:
                return found
    raise NotFound(f"There is no data set '{name_or_id}'.")


def dataset_by_id(transaction: Connection, dataset_id: str) -> StoredDataset:
    """Find the upload of this id, whatever others are called; NotFound where it is gone.

    One that was deleted is found for the sake of its profile, as long as a job names it.
    """
    found = _where(transaction, datasets.c.id == dataset_id)
    if found is None:
        raise NotFound(f"There is no data set of the id '{dataset_id}'.")
    return found


def _where(transaction: Connection, condition: sa.ColumnElement[bool]) -> StoredDataset | None:
    row = transaction.execute(sa.select(datasets).where(condition)).mappings().one_or_none()
    return None if row is None else _stored(row)


def _stored(row: sa.RowMapping) -> StoredDataset:
    values: dict[str, Any] = {column.name: row[column] for column in datasets.columns}
    values["stored_profile"] = values.pop("profile")
    return StoredDataset(**values)


def plugin_names(transaction: Connection) -> set[str]:
    """Return the names of plug-ins' data sets; a bundled one's name is never theirs."""
    return known_datasets(transaction) - bundled_profiles().keys()


def profile_of(
    transaction: Connection, name: str, caller: Caller = LOCAL
) -> tuple[str | None, DatasetProfile | None]:
    """Return (id of an upload, profile) of a data set by its name; NotFound for an unknown one.

    Others' uploads are unknown to the caller. A plug-in's data set has no profile: only workers
    can read it.
    """
    if name in bundled_profiles():
        return None, bundled_profiles()[name]
    try:
        stored = find_dataset(transaction, name, caller)
        return stored.id, stored.profile
    except NotFound:
        if name in plugin_names(transaction):
            return None, None
    raise NotFound(f"There is no data set '{name}'; known: {_known(transaction, name, caller)}.")


def _known(transaction: Connection, unknown: str, caller: Caller) -> str:
    """Name a few data sets, those first whose names are near an unknown one, and count the rest.

    Only those that the caller sees.
    """
    newest = datasets.c.created_at.desc(), datasets.c.id.desc()
    seen = KEPT & seen_by(caller, datasets.c.owner)
    uploads = sa.select(datasets.c.name).where(seen).order_by(*newest).limit(MOST_COMPARED)
    offered = [*bundled_profiles(), *sorted(plugin_names(transaction))]
    names = [*offered[:MOST_COMPARED], *transaction.execute(uploads).scalars()]
    near = get_close_matches(unknown, names, n=MOST_NAMED)
    named = list(dict.fromkeys([*near, *names]))[:MOST_NAMED]
    count = transaction.execute(sa.select(sa.func.count(datasets.c.id)).where(seen)).scalar_one()
    rest = len(offered) + count - len(named)
    return ", ".join(named) + (f" and {rest} more" if rest else "")


# --- bringing one -----------------------------------------------------------------------------


def ingest(
    database: Database,
    store: Store,
    settings: Settings,
    path: Path,
    name: str,
    how: Bringing = AS_IT_IS,
) -> Dataset:
    """Check the file, keep its table in the store and write it down under the name.

    The same file under the same name again is the same data set; another file, or another's data
    set, is a Conflict. InvalidInput says where the file is broken; LimitReached, no room for a key.
    """
    from ridgeway.data.judging import judged_profile  # pyarrow: only where uploads are read
    from ridgeway.data.tables import write_parquet
    from ridgeway.data.uploads import read_upload

    check_name(name)
    checksum, size = sha256_of_file(path), path.stat().st_size
    with database.reading() as transaction:
        if (existing := _same(transaction, name, checksum, how)) is not None:
            return existing
        require_room_for_bytes(transaction, how.caller, size)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        table, made = read_upload(path, None, settings, how.header), Path(folder) / "table"
        told = judged_profile(table)
        write_parquet(table, made)
        # Named by its own bytes: another release may write the same rows differently.
        stored_checksum = sha256_of_file(made)
        address = f"datasets/{stored_checksum}.parquet"
        store.put_file(address, made)
        owner = how.caller.key
        upload = Upload(name, checksum, stored_checksum, address, size, told, owner)
        return _write_down(database, store, upload, how, made)


def _write_down(
    database: Database, store: Store, upload: Upload, how: Bringing, table: Path
) -> Dataset:
    """Write down an upload whose table, a file, is in the store; or find who was faster."""
    try:
        with database.transaction() as transaction:
            added = _add(transaction, upload, how.visit)
            if not store.exists(upload.address):  # a sweeper deletes what nobody names yet
                store.put_file(upload.address, table)
            return described(added)
    except IntegrityError:
        if (existing := _brought_meanwhile(database, upload, how)) is not None:
            return existing
        raise


def _add(transaction: Connection, upload: Upload, visit: Visit | None) -> StoredDataset:
    """Write an upload down, where its key has room for it, and in the audit log who brings it."""
    require_room_for_bytes(transaction, visit.caller if visit else LOCAL, upload.bytes)
    added = add_dataset(transaction, upload)
    if visit is not None:
        record(transaction, visit, added.id)
    return added


def is_named(transaction: Connection, address: str) -> bool:
    """Return True where a data set's table lies under this key of the store."""
    query = sa.select(datasets.c.id).where(KEPT, datasets.c.address == address).limit(1)
    return transaction.execute(query).first() is not None


def keep_from_recording(transaction: Connection) -> None:
    """Let nobody record a data set until the commit; on SQLite no transaction writes meanwhile."""
    if transaction.dialect.name == "postgresql":
        transaction.execute(sa.text("LOCK TABLE datasets IN SHARE ROW EXCLUSIVE MODE"))


def _brought_meanwhile(database: Database, upload: Upload, how: Bringing) -> Dataset | None:
    """Find the data set that somebody else made of the same file; Conflict if of another."""
    with database.reading() as transaction:
        return _same(transaction, upload.name, upload.checksum, how)


def add_dataset(transaction: Connection, upload: Upload) -> StoredDataset:
    """Write an upload down; sqlalchemy's IntegrityError where the name is taken."""
    dataset_id = str(uuid.uuid4())
    row = {field.name: getattr(upload, field.name) for field in fields(upload)}
    profile, target = upload.profile, upload.profile.columns[-1]
    row |= {"id": dataset_id, "profile": profile.model_dump(mode="json"), "rows": profile.rows}
    row |= {"column_count": len(profile.columns), "target": target.name}
    row |= {"task": infer_task(target), "created_at": now()}
    transaction.execute(sa.insert(datasets).values(row))
    return dataset_by_id(transaction, dataset_id)


_UUID = r"[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}"
_EDGE = r"[^\s\x85\ufeff\x00-\x1f]"  # JavaScript and Python don't agree on what \s is

# What `check_name` accepts of valid Unicode, in terms of JSON Schema.
UPLOAD_NAME: dict[str, Any] = {
    "minLength": 1,
    "maxLength": 200,
    "pattern": f"^{_EDGE}(?:[^\\x00-\\x1f]*{_EDGE})?$",
    "not": {"anyOf": [{"enum": [*BUNDLED]}, {"pattern": f"^{_UUID}$"}]},
}


def check_name(name: str) -> None:
    """Refuse, by InvalidInput, a name that no upload may have."""
    if not 1 <= len(name) <= 200 or name != name.strip().strip("\ufeff"):
        raise InvalidInput.of("name", name, "must be 1 to 200 characters, no spaces about them")
    if any(character < " " or "\ud800" <= character <= "\udfff" for character in name):
        raise InvalidInput.of("name", name, "must be printable Unicode")
    if re.fullmatch(_UUID, name):
        raise InvalidInput.of("name", name, "looks like a data set's id; choose another name")
    if name in bundled_profiles():
        raise InvalidInput.of("name", name, "is the name of a bundled data set")


def _same(transaction: Connection, name: str, checksum: str, how: Bringing) -> Dataset | None:
    """Find the data set of this name if it came from the same bytes; Conflict if from others.

    Or if its first row was read as something else than `header` now says. Names are one service's,
    not one key's: what a spec, a report or a card calls a data set is the same for whoever reads
    it. InvalidInput for a plug-in's.
    """
    if name in plugin_names(transaction):
        raise InvalidInput.of("name", name, "is the name of a plug-in's data set")
    caller, header = how.caller, how.header
    found = _where(transaction, datasets.c.name == name)
    if found is not None and not caller.sees_all and found.owner != caller.key:
        raise Conflict(f"The name '{name}' is taken by another's data set; choose another name.")
    if found is not None and found.checksum != checksum:
        raise Conflict(f"There is a data set '{name}' with other content; choose another name.")
    if found is None:
        return None
    told = described(found)
    if told.columns is not None and header != "auto":
        names = told.header is not False
        if names is not (header == "true"):
            read = "names" if names else "values"
            message = f"its first row was read as {read}; choose another name"
            raise Conflict(f"There is a data set '{name}' of this file, and {message}.")
    return told
