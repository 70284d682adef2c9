"""Reading an upload in a process of its own.

A parser at work needs several times the file's size, and memory once taken by the service would
stay with it; a file that breaks the parser breaks nothing else.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ridgeway.data.headers import Header
from ridgeway.errors import Conflict, FieldError, InvalidInput, LimitReached, StoreAway
from ridgeway.keys.audit import Visit
from ridgeway.keys.caller import Caller, Limits
from ridgeway.settings import Settings
from ridgeway.views import Dataset
from service.shown import shown

log = logging.getLogger(__name__)

READERS = 2  # uploads that are read at once; others wait
SECONDS = 300.0  # to read an upload; the largest by default takes some 20,
SECONDS_PER_BYTE = 1e-6  # or more where uploads may be larger than by default
LEAST_MEMORY = 4 * 2**30  # bytes of address space that reading may take,
MEMORY_PER_BYTE = 16  # or more where uploads may be larger than by default
TOO_LARGE = "could not be read: reading it took more memory than there is, or crashed"


def ingest_apart(
    settings: Settings, path: Path, name: str, header: Header = "auto", visit: Visit | None = None
) -> Dataset:
    """Make a data set of an uploaded file; InvalidInput says where the file is broken.

    It belongs to the key of the visit; LimitReached where that has no room for it.
    ServiceUnavailable while the database is away or busy, or the store takes nothing.
    """
    memory = max(LEAST_MEMORY, MEMORY_PER_BYTE * settings.max_upload_bytes)
    told = None if visit is None else asdict(visit)
    order = {"path": str(path), "name": name, "header": header, "memory": memory, "visit": told}
    seconds = max(SECONDS, SECONDS_PER_BYTE * settings.max_upload_bytes)
    # What a child that is killed leaves behind goes with its folder.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "service.ingest"],
                input=json.dumps(order).encode(),
                stdout=subprocess.PIPE,
                env=os.environ | environment(settings) | {"TMPDIR": folder},
                check=False,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            message = f"could not be read within {seconds:g} s; bring fewer rows or columns"
            raise InvalidInput.of("file", None, message) from None
    if done.returncode < 0:
        raise InvalidInput.of("file", None, TOO_LARGE)
    done.check_returncode()
    return _made_of(json.loads(done.stdout))


def _made_of(answer: dict[str, Any]) -> Dataset:
    """Return what the child has made, or raise what it was refused."""
    from service.problems import DATABASE_AWAY, ServiceUnavailable  # FastAPI: not for the child

    if "dataset" in answer:
        return Dataset.model_validate(answer["dataset"])
    if "conflict" in answer:
        raise Conflict(answer["conflict"])
    if "limit" in answer:
        raise LimitReached(answer["limit"])
    if "away" in answer:
        log.warning("The database does not answer: %s", answer["away"])
        raise ServiceUnavailable(DATABASE_AWAY)
    if "store" in answer:
        log.warning("%s", answer["store"])
        raise ServiceUnavailable(answer["store"])
    raise InvalidInput(answer["invalid"], [FieldError(**error) for error in answer["errors"]])


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment that gives another process the same settings."""
    values = {name: getattr(settings, name) for name in type(settings).model_fields}
    return {
        f"RIDGEWAY_{name.upper()}": value.get_secret_value()
        if isinstance(value, SecretStr)
        else str(value)
        for name, value in values.items()
        if value is not None
    }


def _ingest(
    path: str, name: str, header: Header, memory: int, visit: dict[str, Any] | None
) -> dict[str, Any]:
    from ridgeway.data.catalogue import Bringing, ingest
    from ridgeway.data.store import Store
    from ridgeway.database.engine import Database

    settings = Settings()
    _limit_memory(memory)
    database = Database.for_requests(settings)
    try:
        how = Bringing(None if visit is None else _visit(**visit), header)
        dataset = ingest(database, Store.of(settings), settings, Path(path), name, how)
    except InvalidInput as error:
        errors = [
            {"field": bad.field, "value": shown(bad.value), "message": bad.message}
            for bad in error.errors
        ]
        return {"invalid": str(error), "errors": errors}
    except Conflict as error:
        return {"conflict": str(error)}
    except LimitReached as error:
        return {"limit": str(error)}
    except (MemoryError, OSError) as error:
        return _no_room(error)
    except (DBAPIError, PoolTimeout) as error:
        from ridgeway.database.outages import first_line, will_pass

        if not will_pass(error):
            raise
        return {"away": first_line(error)}
    finally:
        database.close()
    return {"dataset": dataset.model_dump(mode="json")}


def _no_room(error: MemoryError | OSError) -> dict[str, Any]:
    """Tell of memory, a disk or a store without room, or away; any other error is raised."""
    if isinstance(error, MemoryError) or error.errno == errno.ENOMEM:
        errors = [{"field": "file", "value": None, "message": TOO_LARGE}]
        return {"invalid": f"file: {TOO_LARGE}", "errors": errors}
    if isinstance(error, StoreAway):
        return {"store": str(error)}
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return {"store": "The temporary folder has no room for what an upload is read into."}
    raise error


def _visit(caller: dict[str, Any], action: str, address: str | None) -> Visit:
    limits = Limits(**caller.pop("limits"))
    return Visit(Caller(**caller, limits=limits), action, address)


def _limit_memory(size: int) -> None:
    """Limit this process's memory: a file may unpack without end."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    size = size if hard == resource.RLIM_INFINITY else min(size, hard)
    resource.setrlimit(resource.RLIMIT_AS, (size, hard))


if __name__ == "__main__":
    print(json.dumps(_ingest(**json.load(sys.stdin))), flush=True)
    sys.stderr.flush()
    os._exit(0)  # all is told and closed: threads of libraries can't spoil the end any more
