"""The models of the answer's roles beside the recommended one, as files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from torch import Tensor

from ridgeway.answers import ModelRole, Recommended
from ridgeway.jobs.artifacts import MODEL, model_names
from workers.answer.artifact import constant_bytes, linear_bytes, model_bytes
from workers.answer.refits import Refits
from workers.answer.rival import Rival
from workers.answer.sealed import SealedTest
from workers.data.prepare import Prepared

MOST_BYTES = 64 * 2**20  # of all of them; a net of 16 million weights leaves no room for others

_Write: TypeAlias = Callable[[], bytes]


@dataclass(frozen=True)
class RoleModels:
    """What the answer names: its refits, and the linear model beside a net."""

    refits: Refits
    rival: Rival | None
    sealed: SealedTest
    prepared: Prepared

    def files(self, answer: Recommended) -> dict[str, bytes]:
        """Return the files by their names, each once, in the order of roles while there is room."""
        names, files = model_names(answer), dict[str, bytes]()
        room = MOST_BYTES
        for role, size, write in self._writers():
            name = names[role]
            if name == MODEL or name in files or size > room:
                continue
            files[name] = write()
            room -= size
        return files

    def _writers(self) -> Iterator[tuple[ModelRole, int, _Write]]:
        """Yield each role's bytes of weights, and what writes its file; none of what diverged."""
        prepared, fold = self.prepared, self.sealed.fold
        for role, refit in self.refits.by_role.items():
            if not refit.model.diverged_at:
                size = _size(refit.model.parameters)
                yield role, size, partial(model_bytes, refit, prepared, fold)
        rival = self.rival
        if rival is not None and rival.model.features is not None and not rival.model.diverged_at:
            yield (
                "linear",
                _size(rival.model.parameters),
                partial(linear_bytes, rival, prepared, fold),
            )
        constant = 4 * prepared.inputs * prepared.outputs
        yield "baseline", constant, partial(constant_bytes, prepared, fold)


def _size(parameters: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in parameters.values())
