"""A search of a data file: from its rows to a folder with the answer, as `ridgeway search` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ridgeway.data.headers import Header
from ridgeway.data.judging import judged_profile
from ridgeway.data.uploads import read_upload
from ridgeway.errors import InvalidInput
from ridgeway.local.job import Finished, Rows, run
from ridgeway.settings import Settings
from ridgeway.spec.profiles import DatasetProfile

if TYPE_CHECKING:
    from collections.abc import Generator

    from ridgeway.local.working import Crew

MODEL, REPORT, ANSWER, JOB = "model.safetensors", "report.html", "answer.json", "job.json"


@dataclass(frozen=True)
class DataFile:
    """A file of rows. header: of a CSV, whether its first row holds the columns' names."""

    path: Path
    header: Header = "auto"


def search(
    file: DataFile,
    fields: Mapping[str, Any],
    crew: Crew,
    out: Path,
    tell: Callable[[DatasetProfile], None] = lambda _: None,
) -> Finished:
    """Run a job of the file's rows and these fields of a spec; write its answer into the folder.

    Rows without a target are left out, and that is noted. tell: gets what is made of each column,
    before the job begins. InvalidInput for a file, a spec or a folder that can't be; JobFailed
    where the job ends without an answer.
    """
    rows = _read(file, fields.get("target"))
    tell(judged_profile(rows.table))
    with _folder(out):
        finished = run(rows, {"missing_target": "drop", **fields}, crew)
        _write(finished, out)
    return finished


def _read(file: DataFile, target: str | None) -> Rows:
    name = file.path.name
    table = read_upload(file.path, name, Settings.model_construct(), file.header)
    column = target or table.column_names[-1]
    if column not in table.column_names:
        columns = ", ".join(table.column_names[:20])
        raise InvalidInput.of("target", target, f"no such column; columns: {columns}")
    lost = table.column(column).null_count
    note = f"{lost} {'row' if lost == 1 else 'rows'} without a '{column}' left out."
    return Rows(_plain(name), table, (note,) if lost else ())


def _plain(name: str) -> str:
    """Return a file's name as a data set may have it."""
    kept = "".join(letter for letter in name if letter.isprintable()).strip()
    return kept[:100].strip() or "rows"


@contextmanager
def _folder(out: Path) -> Generator[None]:
    """Make the folder before anything is trained; one that stays empty goes again."""
    is_new = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput.of("out", str(out), error.strerror or str(error)) from None
    try:
        yield
    finally:
        if is_new:
            with suppress(OSError):  # not empty
                out.rmdir()


def _write(finished: Finished, out: Path) -> None:
    """Write the answer's files in place of those of an earlier search."""
    assert finished.job.recommended is not None
    try:
        for name in (MODEL, REPORT, ANSWER, JOB):
            (out / name).unlink(missing_ok=True)
        if finished.model is not None:
            (out / MODEL).write_bytes(finished.model)
        for name, told in ((ANSWER, finished.job.recommended), (JOB, finished.job)):
            (out / name).write_text(told.model_dump_json(indent=2) + "\n", encoding="utf-8")
        if (report := finished.report(MODEL)) is not None:
            (out / REPORT).write_text(report, encoding="utf-8")
    except OSError as error:
        raise InvalidInput.of("out", str(out), error.strerror or str(error)) from None
