"""The client for people's own programs and notebooks: the REST interface as Python calls."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any, Literal, TypeAlias, Unpack

import httpx

from ridgeway.answers import ModelRole
from ridgeway.client.connection import NOT_MODIFIED
from ridgeway.client.datasets import Datasets
from ridgeway.client.downloads import written
from ridgeway.client.events import JobEvent, follow
from ridgeway.client.filters import JobFilters, in_query
from ridgeway.client.frames import is_table, rows_of
from ridgeway.client.handle import JobHandle
from ridgeway.client.refusals import problem_of, transport_reason
from ridgeway.client.sending import post_once, rows_body
from ridgeway.client.waiting import progress_bar, succeeded
from ridgeway.errors import NothingThere, Unreachable
from ridgeway.features import Features
from ridgeway.formats.names import ModelFormat
from ridgeway.overviews import WorkerList
from ridgeway.paths import RegularisationPath
from ridgeway.predictions import Predictions
from ridgeway.shown import Shown
from ridgeway.spec.names import PenaltyName
from ridgeway.spec.spec import JobSpec
from ridgeway.views import (
    Front,
    Job,
    JobPage,
    JobState,
    Trial,
    TrialDetail,
    TrialPage,
    TrialState,
)

Table: TypeAlias = Any  # pandas', polars' or pyarrow's

REPORT_SECONDS = 120.0  # it is drawn when it is asked for, one at a time
OUTAGE_SECONDS = 60.0  # `wait` outlives a service that is restarted within this time


class Client(Datasets):
    """The calls of a Ridgeway service; a context manager, to be closed with `close`.

    `url` and `api_key` default to RIDGEWAY_URL and RIDGEWAY_API_KEY; `timeout` is in seconds, for
    one request. Calls raise InvalidInput, NotFound, Conflict, Forbidden or Unreachable.
    """

    def __init__(
        self, url: str | None = None, api_key: str | None = None, timeout: float = 30.0
    ) -> None:
        super().__init__(url, api_key, timeout)
        if "IPython" in sys.modules:
            import_module("ridgeway.client.notebooks").show_answers()

    # --- jobs ---------------------------------------------------------------------------------

    def submit(
        self,
        spec: JobSpec | Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> JobHandle:
        """Queue a job, a search or a path: a spec, or its fields by name, or both (the fields win).

        A `dataset` that is a table (pandas', polars', pyarrow's) is uploaded before. Without an
        `idempotency_key` one is made up, so that a repeat after a lost reply makes no second job.
        """
        given = spec.model_dump(mode="json") if isinstance(spec, JobSpec) else dict(spec or {})
        body = {**given, **fields}
        if is_table(body.get("dataset")):
            body["dataset"] = self.add_dataset(body["dataset"]).name
        return self._job(post_once(self._call, "/v1/jobs", body, idempotency_key))

    def job(self, job: Job | str) -> JobHandle:
        """Return the job as it is now."""
        return self._job(self._get(self._job_path(job)))

    def jobs(
        self, state: JobState | Sequence[JobState] | None = None, **filters: Unpack[JobFilters]
    ) -> Iterator[JobHandle]:
        """List every job, newest first; only those in a state, or one of several, if given.

        filters: `dataset`, `name` (a part of it), `kind`, `since` and `before` (datetimes with an
        offset; one without is local time), all of which a job has to pass.
        """
        for page in self._pages("/v1/jobs", JobPage, state=state, **in_query(filters)):
            yield from (JobHandle.of(job, self) for job in page.jobs)

    def events(self, job: Job | str) -> Iterator[JobEvent]:
        """Yield what happens to the job until it has ended; what there is comes first.

        Outlives a service that is away for less than a minute, and goes on where it was.
        """
        yield from follow(self._http, f"{self._job_path(job)}/events", self.url)

    def trials(
        self,
        job: Job | str,
        state: TrialState | None = None,
        order: Literal["number", "value"] = "number",
    ) -> Iterator[Trial]:
        """List the job's trials, by number or from the best value to the worst."""
        path = f"{self._job_path(job)}/trials"
        for page in self._pages(path, TrialPage, state=state, order=order):
            yield from page.trials

    def trial(self, job: Job | str, number: int) -> TrialDetail:
        """Return one trial with its curve and what each fold gave."""
        return self._read(self._get(f"{self._job_path(job)}/trials/{number}"), TrialDetail)

    def export(self, job: Job | str, kind: Literal["csv", "jsonl"]) -> Iterator[str]:
        """Export every trial of the job by number, as text in pieces of any length."""
        path = f"{self._job_path(job)}/trials.{kind}"
        try:
            with self._http.stream("GET", path) as response:
                if not response.is_success:
                    response.read()
                    raise problem_of(response, self.url)
                yield from response.iter_text()
        except httpx.TransportError as error:
            message = f"No Ridgeway service answers at {self.url} ({transport_reason(error)})."
            raise NothingThere(message) from None

    def trials_frame(self, job: Job | str) -> Table:
        """Fetch every trial by number as a DataFrame, a column for each parameter; needs pandas."""
        pandas: Any = import_module("pandas")
        return pandas.read_csv(StringIO("".join(self.export(job, "csv"))))

    def front(self, job: Job | str) -> Front:
        """Return the complete trials that no other beats in every objective."""
        return self._read(self._get(f"{self._job_path(job)}/front"), Front)

    def cancel(self, job: Job | str) -> JobHandle:
        """End the job; what its workers are training is discarded."""
        return self._act(job, "cancel")

    def delete(self, job: Job | str) -> None:
        """Delete a job that has ended, with its study and files; Conflict before it has."""
        self._call("DELETE", self._job_path(job))

    def pause(self, job: Job | str) -> JobHandle:
        """Start nothing new of the job; what is being trained finishes."""
        return self._act(job, "pause")

    def resume(self, job: Job | str) -> JobHandle:
        """Go on with a paused job."""
        return self._act(job, "resume")

    def answer(self, job: Job | str) -> JobHandle:
        """End the search now; the answer rests on the trials that have ended."""
        return self._act(job, "answer")

    def extend(self, job: Job | str, trials: int) -> JobHandle:
        """Give the job `trials` more; one that has succeeded runs again, for a new answer."""
        return self._act(job, "extend", {"trials": trials})

    def model(
        self,
        job: Job | str,
        role: ModelRole = "recommended",
        format: ModelFormat = "safetensors",
    ) -> bytes:
        """Fetch a model of the answer, refitted on the development rows, in a format.

        NotFound names the roles that the job has; Conflict says why it has no such format.
        """
        return self._get(f"{self._job_path(job)}/model", role=role, format=format).content

    def download_model(
        self,
        job: Job | str,
        path: Path | str,
        role: ModelRole = "recommended",
        format: ModelFormat = "safetensors",
    ) -> Path:
        """Write what `model` fetches to a file; InvalidInput (`path`) where that can't be."""
        return written(Path(path), self.model(job, role, format))

    def predict(self, job: Job | str, rows: Sequence[Mapping[str, Any]] | Table) -> Predictions:
        """Have the service predict a table, or rows as mappings by column; NaN, None: unknown."""
        path, headers = f"{self._job_path(job)}/predict", {"Content-Type": "application/json"}
        content = rows_body(rows_of(rows))
        response = self._call("POST", path, retry=True, headers=headers, content=content)
        return self._read(response, Predictions)

    def path(self, job: Job | str) -> RegularisationPath:
        """Fetch the regularisation path of the recommended penalty; NotFound without an answer."""
        return self._read(self._get(f"{self._job_path(job)}/path"), RegularisationPath)

    def path_job(
        self,
        job: Job | str,
        penalty: PenaltyName,
        *,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> JobHandle:
        """Queue a path of a penalty beside a job that has succeeded, on the same folds.

        Its `strengths` and `l1_ratio` may be given. A path of other data: `submit(kind="path")`.
        """
        body = {"penalty": penalty, **fields}
        response = post_once(self._call, f"{self._job_path(job)}/path", body, idempotency_key)
        return self._job(response)

    def features(self, job: Job | str) -> Features:
        """Fetch what the recommended model makes of each feature; NotFound without an answer."""
        return self._read(self._get(f"{self._job_path(job)}/features"), Features)

    def report(self, job: Job | str, path: Path | str | None = None) -> str:
        """Fetch the report of a job's answer, an HTML page, and write it to `path` if given."""
        page = self._call("GET", f"{self._job_path(job)}/report", timeout=REPORT_SECONDS).text
        if path is not None:
            written(Path(path), page.encode())
        return page

    def shown(self, job: Job | str) -> Shown:
        """Fetch what pictures need beside these; NotFound without an answer, or of an old one."""
        return self._read(self._get(f"{self._job_path(job)}/shown"), Shown)

    def wait(
        self,
        job: Job | str,
        progress: bool = False,
        poll_seconds: float = 0.5,
        timeout: float | None = None,
    ) -> JobHandle:
        """Wait until the job has succeeded; return the job with its answer.

        Raises JobFailed with the reason if it fails or is cancelled, TimeoutError after `timeout`
        seconds (the job goes on), Unreachable if the service is away for a minute.
        """
        job = self.job_id(job)  # the last one now, whatever comes
        deadline = None if timeout is None else time.monotonic() + timeout
        with progress_bar() if progress else nullcontext() as bar:
            tag = current = None
            while True:
                answer = self._poll(job, poll_seconds, tag)
                if current is None or answer.status_code != NOT_MODIFIED:
                    current, tag = self._job(answer), answer.headers.get("ETag")
                if bar is not None:
                    bar.update(current)
                if current.ended:
                    return succeeded(current)
                if deadline is not None and time.monotonic() + poll_seconds > deadline:
                    raise TimeoutError(f"Job {current.id} is {current.state} after {timeout:g} s.")
                time.sleep(poll_seconds)

    def _poll(self, job: Job | str, poll_seconds: float, tag: str | None) -> httpx.Response:
        """Look whether the job has changed; give a service that is being restarted time."""
        headers = {} if tag is None else {"If-None-Match": tag}
        patience = time.monotonic() + OUTAGE_SECONDS
        while True:
            try:
                return self._call("GET", self._job_path(job), retry=True, headers=headers)
            except Unreachable:
                if time.monotonic() > patience:
                    raise
                time.sleep(poll_seconds)

    # --- the service --------------------------------------------------------------------------

    def workers(self) -> WorkerList:
        """List the workers, what each is at, and how much waits for them."""
        return self._read(self._get("/v1/workers"), WorkerList)

    def ready(self) -> bool:
        """Return True if the service answers and finds its database and a worker."""
        try:
            return self._http.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def _act(self, job: Job | str, verb: str, body: Mapping[str, Any] | None = None) -> JobHandle:
        return self._job(self._call("POST", f"{self._job_path(job)}/{verb}", json=body))

    def _job(self, response: httpx.Response) -> JobHandle:
        return JobHandle.of(self._read(response, Job), self)
