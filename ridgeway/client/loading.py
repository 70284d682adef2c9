"""A job's model for a program or a notebook: from its file, or from the service."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ridgeway.errors import InvalidInput, RidgewayError

if TYPE_CHECKING:
    from ridgeway.answers import ModelRole
    from ridgeway.model.model import Model
    from ridgeway.views import Job

MODEL_FILE = "model.safetensors"  # of a search's folder
_JOB = "last|[0-9a-fA-F-]{4,36}"


def load_model(
    source: Job | str | Path | bytes, url: str | None = None, *, role: ModelRole = "recommended"
) -> Model:
    """Load a job's model: from its file or a search's folder (a path), bytes, or the service.

    There it is named by the job, its id, how that begins, or "last"; a file of that name goes
    before. `url` is the service's, by default RIDGEWAY_URL; `role` says which model of the job's
    answer. InvalidInput where the source is no model, NotFound where the job has none of the role;
    RidgewayError where numpy or safetensors lack.
    """
    try:
        from ridgeway.model.model import read_model
    except ModuleNotFoundError as error:
        if error.name not in ("numpy", "safetensors"):
            raise
        message = f"To load a model takes {error.name}: pip install 'ridgeway[model]'."
        raise RidgewayError(message) from None
    return read_model(_data(source, url, role))


def _data(source: Job | str | Path | bytes, url: str | None, role: ModelRole) -> bytes:
    is_file = isinstance(source, Path) or (isinstance(source, str) and not _may_name_job(source))
    if role != "recommended" and (is_file or isinstance(source, bytes)):
        raise InvalidInput.of("role", role, "a file holds one model: load other roles by the job")
    if isinstance(source, bytes):
        return source
    if isinstance(source, Path) or (isinstance(source, str) and is_file):
        try:
            path = Path(source)
            return (path / MODEL_FILE if path.is_dir() else path).read_bytes()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            message = f"is neither a model's file nor a job's id: {reason}"
            raise InvalidInput.of("model", str(source), message) from None
    from ridgeway.client.client import Client

    with Client(url) as client:
        return client.model(source, role)


def _may_name_job(text: str) -> bool:
    return re.fullmatch(_JOB, text) is not None and not Path(text).exists()
