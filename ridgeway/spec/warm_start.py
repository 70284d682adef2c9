"""What a sampler learns from before the first trial."""

from __future__ import annotations

from pydantic import ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from ridgeway.spec.strict import Name, Strict


class WarmStart(Strict):
    """The job, or the imported study, that the sampler learns from before the first trial."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"properties": {name: {"type": "string"}}, "required": [name]}
                for name in ("job", "study")
            ]
        }
    )

    job: Name | None = None
    study: Name | None = None

    @model_validator(mode="after")
    def _one(self) -> WarmStart:
        if (self.job is None) is (self.study is None):
            raise PydanticCustomError("one_source", 'must be {"job": ID} or {"study": NAME}')
        return self

    @property
    def named(self) -> tuple[str, str]:
        """Return the field that is given and the name of the study (of a job: its id)."""
        if self.job is not None:
            return "warm_start.job", self.job
        assert self.study is not None
        return "warm_start.study", self.study
