"""Models that the service predicts with or writes in other formats, by few threads.

The last ones asked for stay in memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager

from anyio import CapacityLimiter

from ridgeway.data.store import Store
from ridgeway.errors import Conflict, InvalidInput
from ridgeway.formats.rendered import Rendered, rendered
from ridgeway.jobs.artifacts import Artifact
from ridgeway.model.file import Description, describe
from ridgeway.model.model import Model, build_model
from ridgeway.plugins import BUILT_IN_MODELS

AT_ONCE = 2  # requests that models are run or written for: each may take all of a core
MOST_BYTES = 64 * 2**20  # of a model's file, and of all that are kept
LONGEST_HEAD = 100_000_000  # of a file's metadata, as its library has it
WAY_OUT = "load it in a program of your own: ridgeway.load_model(JOB).predict(ROWS)"


class Models:
    """Reads models out of the store, each once while it is in use. For any thread."""

    def __init__(self, store: Store) -> None:
        self.threads = CapacityLimiter(AT_ONCE)
        self._store = store
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[int, Model]] = OrderedDict()  # by checksum, oldest first

    def read(self, artifact: Artifact) -> Model:
        """Return a job's model; Conflict, with the way out, where it can't be run here."""
        with self._lock:
            if artifact.checksum in self._kept:
                self._kept.move_to_end(artifact.checksum)
                return self._kept[artifact.checksum][1]
        if artifact.bytes > MOST_BYTES:
            met = f"{artifact.bytes:,} bytes; at most {MOST_BYTES:,} are predicted with here"
            raise Conflict(f"The job's model has {met}: {WAY_OUT}.")
        model = _read(self._store.get(artifact.address, artifact.checksum))
        with self._lock:
            self._kept[artifact.checksum] = artifact.bytes, model
            while sum(size for size, _ in self._kept.values()) > MOST_BYTES:
                self._kept.popitem(last=False)
        return model

    def rendered(self, artifact: Artifact, format: Rendered) -> bytes:
        """Return a job's model in a format; Conflict, with the way out, where it has none here."""
        if artifact.bytes > MOST_BYTES:
            met = f"{artifact.bytes:,} bytes; at most {MOST_BYTES:,} are written as {format} here"
            way = f"fetch it as safetensors, then: ridgeway model FILE --format {format}"
            raise Conflict(f"The job's model has {met}: {way}.")
        with _damage_told():
            return rendered(self._store.get(artifact.address, artifact.checksum), format)

    def described(self, artifact: Artifact) -> tuple[Description, tuple[str, ...] | None]:
        """Return what a job's model says of it, and the columns that it uses.

        None for the latter of a plug-in's model, and of one that is too large to be read whole.
        """
        with _damage_told():
            if artifact.bytes > MOST_BYTES:
                return describe(self._head(artifact)), None
            data = self._store.get(artifact.address, artifact.checksum)
            description = describe(data)
            if description.kind not in BUILT_IN_MODELS:
                return description, None
            return description, build_model(description, data).features

    def _head(self, artifact: Artifact) -> bytes:
        """Return a file's metadata without its tensors."""
        with self._store.open(artifact.address) as file:
            length = file.read(8)
            return length + file.read(min(int.from_bytes(length, "little"), LONGEST_HEAD))


@contextmanager
def _damage_told() -> Generator[None]:
    """Raise Conflict where a model can't be read: the file's fault, not the request's."""
    try:
        yield
    except InvalidInput as error:
        raise Conflict(f"The job's model can't be read: {error}.") from None


def _read(data: bytes) -> Model:
    with _damage_told():
        description = describe(data)
        kind = description.kind
        if kind not in BUILT_IN_MODELS:
            message = (
                f"The job's model is a plug-in's, '{kind}', which runs beside its package alone"
            )
            raise Conflict(f"{message}: {WAY_OUT}.")
        return build_model(description, data)
