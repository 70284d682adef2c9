"""A population in mid-training as bytes in the store, from which another worker can go on."""

from __future__ import annotations

import hashlib
import json
import logging
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from ridgeway.data.store import Store, sha256
from ridgeway.errors import LeaseLost, NotFound
from ridgeway.jobs.leases import Lease
from workers.population.configuration import Configuration
from workers.population.solver import Solver
from workers.population.state import PartState, PopulationState

log = logging.getLogger("ridgeway.worker")

FORMAT = 6  # raised where a step's arithmetic changes, too
HANDING_OVER_SECONDS = 5.0  # of training that a worker which is told to stop does not throw away


@dataclass
class Checkpoints:
    """Writes and reads those of one training. `record(address)` commits one, gives the one before.

    Nothing is written before the population has trained for `every_seconds`, or for a few seconds
    where the worker is `stopping`. earlier: an earlier holder's, until it has been used.
    one_of_many: the lease has several trainings, one after the other; where the earlier one is of
    another, that is left as it is for it to go on from. outlast: waits with a call of the store
    until it answers.
    """

    store: Store
    lease: Lease
    members: Sequence[Configuration]
    every_seconds: float
    record: Callable[[str], str | None]
    stopping: Callable[[], bool]
    earlier: str | None = None
    one_of_many: bool = False
    outlast: Callable[[Callable[[], bytes]], bytes] = lambda call: call()
    _leaves_alone: bool = False
    _identity: str = ""
    _since: float = field(default_factory=time.monotonic)

    def start(self, solver: Solver) -> PopulationState | None:
        """Return where an earlier holder of the lease left off; None to begin anew."""
        self._identity = identity(solver, self.members)
        self._since = time.monotonic()
        address, self.earlier = self.earlier, None
        if address is None:
            return None
        try:
            data = self.outlast(lambda: self.store.get(address))
            state = state_of(data, self._identity, _checksum_in(address))
        except OtherPopulation as error:
            if self.one_of_many:
                self.earlier, self._leaves_alone = address, True
            else:
                log.warning("trains anew, a checkpoint is no use: %s", error)
            return None
        except (NotFound, OSError, ValueError) as error:
            log.warning("trains anew, a checkpoint is no use: %s", error)
            return None
        epochs = max((part.epoch for part in state.parts), default=0)
        log.info("goes on after epoch %d", epochs)
        return state

    def keep(self, state: Callable[[], PopulationState]) -> None:
        """Write a checkpoint if it is time to, in place of the one before."""
        if self._leaves_alone:
            return
        waited = time.monotonic() - self._since
        if waited < (HANDING_OVER_SECONDS if self.stopping() else self.every_seconds):
            return
        data = bytes_of(state(), self._identity)
        # Fence and checksum are part of the address: nobody overwrites what another has written.
        name = f"{self.lease.id}-{self.lease.fence}-{sha256(data)}.safetensors"
        address = f"jobs/{self._job}/checkpoints/{name}"
        try:
            self.store.put(address, data)
        except OSError as error:  # the store may be away: training goes on without
            log.warning("no checkpoint: %s", error)
            self._since = time.monotonic()
            return
        try:
            before = self.record(address)
        except LeaseLost:
            discard(self.store, address)
            raise
        if before not in (None, address):
            discard(self.store, before)
        self._since = time.monotonic()

    @property
    def _job(self) -> str:
        return self.lease.job_id


class OtherPopulation(ValueError):
    """The checkpoint is of another population, or of another version or device."""


def discard(store: Store, address: str) -> None:
    """Delete a checkpoint; one that can't be deleted does no harm."""
    try:
        store.delete(address)
    except OSError as error:
        log.warning("%s stays in the store: %s", address, error)


def identity(solver: Solver, members: Sequence[Configuration]) -> str:
    """Return a checksum of all that must be the same if a population is to go on bit for bit.

    Half a training on a CPU and half on a GPU, or by two versions of torch, would be a result that
    neither gives: the population trains anew there. The engine names device type, backend and
    kernels. Makes of one type may differ in their last bits; hours of training are worth more.
    """
    problem = solver.problem
    words = [
        FORMAT,
        torch.__version__,
        problem.spec.model_dump_json(),
        [repr(member) for member in members],
        problem.seed,
        problem.descends,
        solver.engine.model_dump(),
        str(problem.dtype),
        problem.fold_rows,
        solver.layout.columns,
    ]
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()


def bytes_of(state: PopulationState, identity: str) -> bytes:
    """Return the state as safetensors."""
    tensors = {f"roll.{name}": value for name, value in state.roll.items()}
    parts: list[dict[str, object]] = []
    for number, part in enumerate(state.parts):
        tensors |= {f"part.{number}.{name}": value for name, value in part.tensors.items()}
        words = ("members", "epoch", "decided", "steps")
        parts.append({word: getattr(part, word) for word in words})
    metadata = {"identity": identity, "parts": json.dumps(parts)}
    return save({name: value.contiguous() for name, value in tensors.items()}, metadata)


def state_of(data: bytes, identity: str, checksum: str) -> PopulationState:
    """Return the state that the bytes hold; ValueError for damaged or another's bytes."""
    if sha256(data) != checksum:
        raise ValueError("its bytes are damaged")
    try:
        metadata, tensors = _metadata(data), load(data)
    except (SafetensorError, struct.error, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"its bytes are no checkpoint: {error}") from None
    if metadata.get("identity") != identity:
        raise OtherPopulation("it is of another population, or of another version or device")

    def under(prefix: str) -> dict[str, torch.Tensor]:
        own = [name for name in tensors if name.startswith(prefix)]
        return {name.removeprefix(prefix): tensors[name] for name in own}

    parts = [
        PartState(
            members=tuple(part["members"]),
            epoch=part["epoch"],
            decided=part["decided"],
            steps=tuple(part["steps"]),
            tensors=under(f"part.{number}."),
        )
        for number, part in enumerate(json.loads(metadata["parts"]))
    ]
    return PopulationState(under("roll."), tuple(parts))


def _metadata(data: bytes) -> dict[str, str]:
    """Return what a safetensors file says about itself: an eight-byte length, then JSON."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length])["__metadata__"]


def _checksum_in(address: str) -> str:
    return address.removesuffix(".safetensors").rpartition("-")[2]
