"""The plan of a job: what its first worker finds out for all, kept with the job as JSON."""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator


class Engine(BaseModel):
    """The way members are computed: a backend by name, with C kernels or not, on a device type.

    Whoever trains a job's members follows it where they can, so that no member's bits depend on
    who that is. None: whatever fits.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    device: str | None = None
    backend: str | None = None
    compiled: bool | None = None


class JobPlan(Engine):
    """The engine of a job, and the lowest and highest λ that `"lambda": "auto"` stands for.

    placed: the strengths of a path job, from the strongest down, where they are not evenly spaced.
    What a worker may do without is a field of its own, with a default. What it may not do without
    makes earlier releases refuse the plan, and so leave the job: docs/decisions/upgrades.md.
    """

    strengths: tuple[float, float] = Field(
        validation_alias=AliasChoices("lambda", "strengths"), serialization_alias="lambda"
    )
    placed: tuple[float, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _with_range(cls, kept: Any) -> Any:
        match kept:
            case {"lambda": _} | {"strengths": _}:
                return kept
            case {"placed": [high, *_, low]}:
                return {**kept, "lambda": (low, high)}
            case _:
                return kept

    def kept(self) -> dict[str, Any]:
        """Return the plan as a job's row keeps it.

        Placed strengths stand for their range: releases that know none of them ask for `lambda`.
        """
        known_otherwise = {"strengths"} if self.placed else {"placed"}
        return self.model_dump(mode="json", by_alias=True, exclude=known_otherwise)

    @property
    def engine(self) -> Engine:
        """Return the engine alone."""
        return Engine(device=self.device, backend=self.backend, compiled=self.compiled)
