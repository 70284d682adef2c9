"""Models that the service predicts with, by few threads: the last ones asked for stay in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict

from anyio import CapacityLimiter

from ridgeway.data.store import Store
from ridgeway.errors import Conflict, InvalidInput
from ridgeway.jobs.artifacts import Artifact
from ridgeway.model.file import describe
from ridgeway.model.model import Model, build_model
from ridgeway.plugins import BUILT_IN_MODELS

AT_ONCE = 2  # requests that are predicted for: each may take all of a core
MOST_BYTES = 64 * 2**20  # of a model's file, and of all that are kept
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
        model = _read(self._store.get(artifact.address))
        with self._lock:
            self._kept[artifact.checksum] = artifact.bytes, model
            while sum(size for size, _ in self._kept.values()) > MOST_BYTES:
                self._kept.popitem(last=False)
        return model


def _read(data: bytes) -> Model:
    try:
        description = describe(data)
        kind = description.kind
        if kind not in BUILT_IN_MODELS:
            message = (
                f"The job's model is a plug-in's, '{kind}', which runs beside its package alone"
            )
            raise Conflict(f"{message}: {WAY_OUT}.")
        return build_model(description, data)
    except InvalidInput as error:  # the file's fault, not the request's
        raise Conflict(f"The job's model can't be read: {error}.") from None
