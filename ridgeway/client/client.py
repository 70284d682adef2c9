"""The client for people's own programs and notebooks: the REST interface as Python calls."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar, cast
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from ridgeway.client.addresses import checked_url
from ridgeway.client.refusals import problem_of, transport_reason
from ridgeway.client.sending import post_once, rows_body
from ridgeway.errors import InvalidInput, JobFailed, RidgewayError, Unreachable
from ridgeway.features import Features
from ridgeway.paths import RegularisationPath
from ridgeway.predictions import Predictions
from ridgeway.settings import Settings
from ridgeway.spec.names import PenaltyName
from ridgeway.spec.spec import JobSpec
from ridgeway.views import (
    Dataset,
    DatasetPage,
    DatasetSummary,
    Front,
    Job,
    JobPage,
    JobState,
    Trial,
    TrialDetail,
    TrialPage,
    TrialState,
)

RETRY_SECONDS = (0.25, 0.5, 1.0)  # pauses before an idempotent call is tried again
UPLOAD_SECONDS = 600.0  # a large file is read and profiled before the service answers
OUTAGE_SECONDS = 60.0  # `wait` outlives a service that is restarted within this time
PAGE = 200
NOT_MODIFIED = 304
# A proxy from the environment must not come between a client and its own machine.
_DIRECT = ("all://localhost", "all://127.0.0.1", "all://[::1]")

_Model = TypeVar("_Model", bound=BaseModel)


class Client:
    """A connection to a Ridgeway service; a context manager, to be closed with `close`.

    `url` and `api_key` default to RIDGEWAY_URL and RIDGEWAY_API_KEY; `timeout` is in seconds, for
    one request. Calls raise InvalidInput, NotFound, Conflict or Unreachable.
    """

    def __init__(
        self, url: str | None = None, api_key: str | None = None, timeout: float = 30.0
    ) -> None:
        settings = Settings()
        if api_key is None and settings.api_key is not None:
            api_key = settings.api_key.get_secret_value()
        self.url = (url or settings.url).rstrip("/")
        # Made once: to read the certificates takes longer than a request.
        certificates = httpx.create_ssl_context()
        direct = httpx.HTTPTransport(verify=certificates)
        self._http = httpx.Client(
            base_url=checked_url(self.url),
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=timeout,
            verify=certificates,
            mounts=dict.fromkeys(_DIRECT, direct),
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    # --- jobs ---------------------------------------------------------------------------------

    def submit(
        self,
        spec: JobSpec | Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> Job:
        """Queue a job, a search or a path: a spec, or its fields by name, or both (the fields win).

        Without an `idempotency_key` one is made up, so that a repeat after a lost reply makes no
        second job.
        """
        body = spec.model_dump(mode="json") if isinstance(spec, JobSpec) else dict(spec or {})
        response = post_once(self._call, "/v1/jobs", {**body, **fields}, idempotency_key)
        return self._read(response, Job)

    def job(self, job: Job | str) -> Job:
        """Return the job as it is now."""
        return self._read(self._get(_job_path(job)), Job)

    def jobs(self, state: JobState | None = None) -> Iterator[Job]:
        """List every job, newest first."""
        for page in self._pages("/v1/jobs", JobPage, state=state):
            yield from page.jobs

    def trials(
        self,
        job: Job | str,
        state: TrialState | None = None,
        order: Literal["number", "value"] = "number",
    ) -> Iterator[Trial]:
        """List the job's trials, by number or from the best value to the worst."""
        path = f"{_job_path(job)}/trials"
        for page in self._pages(path, TrialPage, state=state, order=order):
            yield from page.trials

    def trial(self, job: Job | str, number: int) -> TrialDetail:
        """Return one trial with its curve and what each fold gave."""
        return self._read(self._get(f"{_job_path(job)}/trials/{number}"), TrialDetail)

    def export(self, job: Job | str, kind: Literal["csv", "jsonl"]) -> Iterator[str]:
        """Export every trial of the job by number, as text in pieces of any length."""
        path = f"{_job_path(job)}/trials.{kind}"
        try:
            with self._http.stream("GET", path) as response:
                if not response.is_success:
                    response.read()
                    raise problem_of(response, self.url)
                yield from response.iter_text()
        except httpx.TransportError as error:
            message = f"No Ridgeway service answers at {self.url} ({transport_reason(error)})."
            raise Unreachable(message) from None

    def front(self, job: Job | str) -> Front:
        """Return the complete trials that no other beats in every objective."""
        return self._read(self._get(f"{_job_path(job)}/front"), Front)

    def cancel(self, job: Job | str) -> Job:
        """End the job; what its workers are training is discarded."""
        return self._act(job, "cancel")

    def delete(self, job: Job | str) -> None:
        """Delete a job that has ended, with its study and files; Conflict before it has."""
        self._call("DELETE", _job_path(job))

    def pause(self, job: Job | str) -> Job:
        """Start nothing new of the job; what is being trained finishes."""
        return self._act(job, "pause")

    def resume(self, job: Job | str) -> Job:
        """Go on with a paused job."""
        return self._act(job, "resume")

    def answer(self, job: Job | str) -> Job:
        """End the search now; the answer rests on the trials that have ended."""
        return self._act(job, "answer")

    def extend(self, job: Job | str, trials: int) -> Job:
        """Give the job `trials` more; one that has succeeded runs again, for a new answer."""
        return self._act(job, "extend", {"trials": trials})

    def model(self, job: Job | str) -> bytes:
        """Fetch the recommended model: weights refitted on the development rows, safetensors."""
        return self._get(f"{_job_path(job)}/model").content

    def predict(self, job: Job | str, rows: Sequence[Mapping[str, Any]]) -> Predictions:
        """Have the service predict rows, each of them values by column; NaN or None: unknown."""
        path, headers = f"{_job_path(job)}/predict", {"Content-Type": "application/json"}
        content = rows_body(rows)
        response = self._call("POST", path, retry=True, headers=headers, content=content)
        return self._read(response, Predictions)

    def path(self, job: Job | str) -> RegularisationPath:
        """Fetch the regularisation path of the recommended penalty; NotFound without an answer."""
        return self._read(self._get(f"{_job_path(job)}/path"), RegularisationPath)

    def path_job(
        self,
        job: Job | str,
        penalty: PenaltyName,
        *,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> Job:
        """Queue a path of a penalty beside a job that has succeeded, on the same folds.

        Its `strengths` and `l1_ratio` may be given. A path of other data: `submit(kind="path")`.
        """
        body = {"penalty": penalty, **fields}
        response = post_once(self._call, f"{_job_path(job)}/path", body, idempotency_key)
        return self._read(response, Job)

    def features(self, job: Job | str) -> Features:
        """Fetch what the recommended model makes of each feature; NotFound without an answer."""
        return self._read(self._get(f"{_job_path(job)}/features"), Features)

    def wait(
        self,
        job: Job | str,
        progress: bool = False,
        poll_seconds: float = 0.5,
        timeout: float | None = None,
    ) -> Job:
        """Wait until the job has succeeded; return the job with its answer.

        Raises JobFailed with the reason if it fails or is cancelled, TimeoutError after `timeout`
        seconds (the job goes on), Unreachable if the service is away for a minute.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with _progress_bar() if progress else nullcontext() as bar:
            tag = current = None
            while True:
                answer = self._poll(job, poll_seconds, tag)
                if current is None or answer.status_code != NOT_MODIFIED:
                    current, tag = self._read(answer, Job), answer.headers.get("ETag")
                if bar is not None:
                    bar.update(current)
                if current.ended:
                    return _succeeded(current)
                if deadline is not None and time.monotonic() + poll_seconds > deadline:
                    raise TimeoutError(f"Job {current.id} is {current.state} after {timeout:g} s.")
                time.sleep(poll_seconds)

    def _poll(self, job: Job | str, poll_seconds: float, tag: str | None) -> httpx.Response:
        """Look whether the job has changed; give a service that is being restarted time."""
        headers = {} if tag is None else {"If-None-Match": tag}
        patience = time.monotonic() + OUTAGE_SECONDS
        while True:
            try:
                return self._call("GET", _job_path(job), retry=True, headers=headers)
            except Unreachable:
                if time.monotonic() > patience:
                    raise
                time.sleep(poll_seconds)

    # --- data sets and the service ------------------------------------------------------------

    def datasets(self) -> list[DatasetSummary]:
        """List every data set that jobs can name."""
        pages = self._pages("/v1/datasets", DatasetPage)
        return [dataset for page in pages for dataset in page.datasets]

    def dataset(self, name_or_id: str) -> Dataset:
        """Return one data set with the profile of every column."""
        return self._read(self._get(f"/v1/datasets/{quote(name_or_id, safe='')}"), Dataset)

    def add_dataset(self, path: Path | str, name: str) -> DatasetSummary:
        """Upload a CSV (gzip too), Parquet or npz file under a name."""
        try:
            file = Path(path).open("rb")  # noqa: SIM115 - closed below, its errors are named here
        except OSError as error:
            raise InvalidInput.of("path", str(path), error.strerror or str(error)) from None
        with file:
            response = self._call(
                "POST",
                "/v1/datasets",
                params={"name": name},
                headers={"Content-Type": "application/octet-stream"},
                content=file,
                timeout=httpx.Timeout(UPLOAD_SECONDS, connect=self._http.timeout.connect),
            )
        return self._read(response, DatasetSummary)

    def ready(self) -> bool:
        """Return True if the service answers and finds its database and a worker."""
        try:
            return self._http.get("/readyz").is_success
        except httpx.TransportError:
            return False

    # --- HTTP ---------------------------------------------------------------------------------

    def _get(self, path: str, **parameters: Any) -> httpx.Response:
        given = {name: value for name, value in parameters.items() if value is not None}
        return self._call("GET", path, retry=True, params=given)

    def _act(self, job: Job | str, verb: str, body: Mapping[str, Any] | None = None) -> Job:
        return self._read(self._call("POST", f"{_job_path(job)}/{verb}", json=body), Job)

    def _pages(self, path: str, kind: type[_Model], **parameters: Any) -> Iterator[_Model]:
        cursor: str | None = None
        while True:
            response = self._get(path, limit=PAGE, cursor=cursor, **parameters)
            page = self._read(response, kind)
            yield page
            cursor = cast("JobPage | TrialPage | DatasetPage", page).next
            if cursor is None:
                return

    def _call(
        self, method: str, path: str, *, retry: bool = False, **options: Any
    ) -> httpx.Response:
        """Send a request, again where `retry` says it is harmless; raise what its status says."""
        for pause in (*RETRY_SECONDS, None) if retry else (None,):
            try:
                response = self._http.request(method, path, **options)
            except httpx.TransportError as error:
                problem: RidgewayError = Unreachable(
                    f"No Ridgeway service answers at {self.url} ({transport_reason(error)})."
                )
            else:
                if response.is_success or response.status_code == NOT_MODIFIED:
                    return response
                problem = problem_of(response, self.url)
                if response.status_code not in (502, 503, 504):
                    raise problem
            if pause is None:
                raise problem
            time.sleep(pause)
        raise AssertionError("the last turn returns or raises")

    def _read(self, response: httpx.Response, kind: type[_Model]) -> _Model:
        try:
            return kind.model_validate_json(response.content)
        except ValidationError:
            raise Unreachable(
                f"What answers at {self.url} is no Ridgeway service that this client understands."
            ) from None


def _job_path(job: Job | str) -> str:
    return f"/v1/jobs/{quote(job.id if isinstance(job, Job) else job, safe='')}"


def _succeeded(job: Job) -> Job:
    if job.state == "succeeded":
        return job
    reason = f": {job.error}" if job.error else "."
    raise JobFailed(
        f"Job {job.id} {'was cancelled' if job.state == 'cancelled' else 'has failed'}{reason}"
    )


def _progress_bar() -> Any:
    # rich is slow to import, and only those who look at a bar need it.
    from ridgeway.client.show import JobProgress

    return JobProgress()
