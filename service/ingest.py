"""Reading an upload in a process of its own.

A parser at work needs several times the file's size, and memory once taken by the service would
stay with it; a file that breaks the parser breaks nothing else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from ridgeway.errors import Conflict, FieldError, InvalidInput
from ridgeway.settings import Settings
from ridgeway.views import Dataset
from service.shown import shown


def ingest_apart(settings: Settings, path: Path, name: str) -> Dataset:
    """The data set made of an uploaded file; InvalidInput says where the file is broken."""
    order = json.dumps({"path": str(path), "name": name})
    done = subprocess.run(
        [sys.executable, "-P", "-m", "service.ingest"],
        input=order.encode(),
        stdout=subprocess.PIPE,
        env=os.environ | environment(settings),
        check=False,
    )
    if done.returncode < 0:
        message = "could not be read: reading it took more memory than there is, or crashed"
        raise InvalidInput.of("file", None, message)
    done.check_returncode()
    answer: dict[str, Any] = json.loads(done.stdout)
    if "dataset" in answer:
        return Dataset.model_validate(answer["dataset"])
    if "conflict" in answer:
        raise Conflict(answer["conflict"])
    raise InvalidInput(answer["invalid"], [FieldError(**error) for error in answer["errors"]])


def environment(settings: Settings) -> dict[str, str]:
    """The environment that gives another process the same settings."""
    values = {name: getattr(settings, name) for name in type(settings).model_fields}
    return {
        f"RIDGEWAY_{name.upper()}": value.get_secret_value()
        if isinstance(value, SecretStr)
        else str(value)
        for name, value in values.items()
        if value is not None
    }


def _ingest(path: str, name: str) -> dict[str, Any]:
    from ridgeway.database import Database
    from ridgeway.datasets import ingest
    from ridgeway.store import Store

    settings = Settings()
    database = Database.of(settings)
    try:
        dataset = ingest(database, Store.of(settings), settings, Path(path), name)
    except InvalidInput as error:
        errors = [
            {"field": bad.field, "value": shown(bad.value), "message": bad.message}
            for bad in error.errors
        ]
        return {"invalid": str(error), "errors": errors}
    except Conflict as error:
        return {"conflict": str(error)}
    finally:
        database.close()
    return {"dataset": dataset.model_dump(mode="json")}


if __name__ == "__main__":
    print(json.dumps(_ingest(**json.load(sys.stdin))))
