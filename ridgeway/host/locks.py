"""What one `ridgeway serve` has for itself: its data folder, and the SQLite database it serves."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ridgeway.errors import Conflict, InvalidInput

BESIDE = ".serve.lock"  # a database's file, what is locked for it


@contextmanager
def locked_folder(data: Path) -> Generator[None]:
    """Hold the data folder; Conflict where another serve has it, InvalidInput where it can't be.

    A folder that was made for it goes again where nothing but locks has come into it.
    """
    missing = [each for each in (data, *data.parents) if not each.exists()]
    try:
        data.mkdir(parents=True, exist_ok=True)
        (data / "serve.lock").open("a").close()
    except OSError as error:
        raise InvalidInput.of("--data", str(data), error.strerror or str(error)) from None
    advice = "Stop that one, or choose another folder with --data."
    with _locked(data / "serve.lock", f"The data folder {data}", advice):
        try:
            yield
        finally:
            if missing:
                _leave_no_trace(missing)


def _leave_no_trace(made: list[Path]) -> None:
    """Remove the folders, innermost first, unless the data folder holds more than locks."""
    with suppress(OSError):
        found = list(made[0].iterdir())
        if all(each.name == "serve.lock" or each.name.endswith(BESIDE) for each in found):
            for file in found:
                file.unlink()
            for folder in made:
                folder.rmdir()


@contextmanager
def locked_database(url: str) -> Generator[None]:
    """Hold an SQLite database whichever folder names it; PostgreSQL's are for many to share.

    Conflict where another serve has it, InvalidInput where its folder can't be.
    """
    file = sqlite_file(url)
    if file is None:
        yield
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)  # or a first start would hold nothing
        Path(f"{file}{BESIDE}").open("a").close()
    except OSError as error:
        message = f"can't be locked: {error.strerror or error}"
        raise InvalidInput.of("RIDGEWAY_DATABASE_URL", None, message) from None
    advice = "Stop that one, or name another database in RIDGEWAY_DATABASE_URL."
    with _locked(Path(f"{file}{BESIDE}"), f"The database {file}", advice):
        yield


def sqlite_file(url: str) -> Path | None:
    """Return the file of an SQLite database, links resolved; None for any other URL.

    Not by SQLAlchemy: a supervisor stays small.
    """
    parts = urlsplit(url)
    if parts.scheme.partition("+")[0] != "sqlite" or not parts.path[1:]:
        return None
    return Path(unquote(parts.path[1:])).resolve()


@contextmanager
def _locked(path: Path, what: str, advice: str) -> Generator[None]:
    """Hold a lock, which goes with the process however that ends; Conflict where it is held."""
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            whose = f"another `ridgeway serve` (process {file.read()})"
            raise Conflict(f"{what} is in use by {whose}. {advice}") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
