"""A job as the client returns it: what `GET /v1/jobs/{id}` answers, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr

from ridgeway.answers import ModelRole
from ridgeway.client.pictures import FormatName, Picture, ThemeName
from ridgeway.features import Features
from ridgeway.paths import RegularisationPath
from ridgeway.predictions import Predictions
from ridgeway.views import Job

if TYPE_CHECKING:
    from ridgeway.client.client import Client
    from ridgeway.model.model import Model


class JobHandle(Job):
    """A job, as it was when it was asked for, and the client to ask for more with.

    In a notebook it shows its answer: the verdict, the models beside each other, the checks, and
    plots of its penalties and its path.
    """

    _client: Client = PrivateAttr()

    @classmethod
    def of(cls, job: Job, client: Client) -> JobHandle:
        """Give a job the client that it came by."""
        handle = cls.model_construct(**{name: getattr(job, name) for name in Job.model_fields})
        handle._client = client
        return handle

    def __eq__(self, other: object) -> bool:
        """Jobs are equal whose fields are, whichever client they came by."""
        if not isinstance(other, Job):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in Job.model_fields)

    __hash__ = Job.__hash__

    def refresh(self) -> JobHandle:
        """Return the job as it is now."""
        return self._client.job(self)

    def wait(self, progress: bool = True, timeout: float | None = None) -> JobHandle:
        """Wait for the answer, as Client.wait does."""
        return self._client.wait(self, progress=progress, timeout=timeout)

    def predict(self, rows: Sequence[Mapping[str, Any]] | Any) -> Predictions:
        """Have the service predict a table, or rows as mappings by column."""
        return self._client.predict(self, rows)

    def load_model(self, role: ModelRole = "recommended") -> Model:
        """Fetch a model of the answer, to predict with in this program."""
        from ridgeway.client.loading import load_model

        return load_model(self._client.model(self, role))

    def plot(
        self,
        name: str,
        format: FormatName = "svg",
        theme: ThemeName | None = None,
        width: int | None = None,
    ) -> Picture:
        """Fetch a plot, which notebooks show; `width` in pixels."""
        return self._client.plot(self, name, format, theme, width)

    def report(self, path: Path | str | None = None) -> str:
        """Fetch the report of the answer, an HTML page, and write it to `path` if given."""
        return self._client.report(self, path)

    def path(self) -> RegularisationPath:
        """Fetch the regularisation path of the recommended penalty."""
        return self._client.path(self)

    def features(self) -> Features:
        """Fetch what the recommended model makes of each feature."""
        return self._client.features(self)

    def trials_frame(self) -> Any:
        """Fetch every trial as a pandas DataFrame."""
        return self._client.trials_frame(self)

    def _repr_html_(self) -> str:
        from ridgeway.client.notebooks import html_of
        from ridgeway.client.show import job_summary

        shown = html_of(job_summary(self))
        if self.recommended is None:
            return shown
        return shown + "".join(picture.image for picture in self._client.glance(self))
