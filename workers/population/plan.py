"""How a job's members are computed: decided by its first worker, kept with the job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Plan:
    """A backend by name, and whether its kernels are compiled, on devices of one type.

    Whoever trains a job's members follows it where they can, so that no member's bits depend on
    who that is. None: whatever fits.
    """

    device: str | None = None
    backend: str | None = None
    compiled: bool | None = None

    @classmethod
    def of_job(cls, kept: Mapping[str, Any] | None) -> Plan:
        """From what the job keeps, if it keeps any."""
        own = kept or {}
        return cls(own.get("device"), own.get("backend"), own.get("compiled"))

    def of_refits(self) -> Plan:
        """The same without compiling a step, which so few members are not worth."""
        return replace(self, backend="vmap") if self.backend == "compiled" else self

    def kept(self) -> dict[str, Any]:
        """As the job keeps it."""
        return asdict(self)
