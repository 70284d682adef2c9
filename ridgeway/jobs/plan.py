"""The plan of a job: what its first worker finds out for all, kept with the job as JSON."""

from __future__ import annotations

from pydantic import AliasChoices, BaseModel, ConfigDict, Field


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
    """

    strengths: tuple[float, float] = Field(
        validation_alias=AliasChoices("lambda", "strengths"), serialization_alias="lambda"
    )
    placed: tuple[float, ...] = ()

    @property
    def engine(self) -> Engine:
        """Return the engine alone."""
        return Engine(device=self.device, backend=self.backend, compiled=self.compiled)
