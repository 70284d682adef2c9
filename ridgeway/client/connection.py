"""A connection to a service: requests, what is tried again, and what a refusal is raised as."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self, TypeVar, cast
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from ridgeway.client.addresses import checked_url
from ridgeway.client.refusals import (
    TOO_MANY,
    problem_of,
    seconds_to_wait,
    transport_reason,
)
from ridgeway.errors import InvalidInput, NotFound, NothingThere, RidgewayError, Unreachable
from ridgeway.settings import Settings
from ridgeway.views import DatasetPage, Job, JobPage, TrialPage

RETRY_SECONDS = (0.25, 0.5, 1.0)  # pauses before an idempotent call is tried again
PAGE = 200
NOT_MODIFIED = 304
LAST = "last"
_BEGINNING = re.compile("[0-9a-f-]{4,35}")  # of an id, which has 36 characters
_TOLD = 5  # jobs with the same beginning
# A proxy from the environment must not come between a client and its own machine.
_DIRECT = ("all://localhost", "all://127.0.0.1", "all://[::1]")

_Model = TypeVar("_Model", bound=BaseModel)


def _checked_key(key: str) -> str:
    """Return the key as a header can hold it; no error repeats it."""
    key = key.strip()
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        raise InvalidInput.of("RIDGEWAY_API_KEY", None, "must be printable ASCII, without blanks")
    return key


class Connection:
    """A connection to a Ridgeway service; a context manager, to be closed with `close`."""

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
            headers={"Authorization": f"Bearer {_checked_key(api_key)}"} if api_key else {},
            timeout=timeout,
            verify=certificates,
            mounts=dict.fromkeys(_DIRECT, direct),
        )

    def __enter__(self) -> Self:
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

    def job_id(self, job: Job | str) -> str:
        """Return a job's id, given the job, "last" for the newest, or how its id alone begins.

        A beginning has 4 characters or more. NotFound where there is no such job, InvalidInput
        where there are several. What can't be a beginning is returned for the service to judge.
        """
        if isinstance(job, Job):
            return job.id
        if job != LAST and not _BEGINNING.fullmatch(job):
            return job
        asked = {"limit": 1} if job == LAST else {"id": job, "limit": _TOLD}
        found = self._read(self._get("/v1/jobs", **asked), JobPage).jobs
        if not found:
            raise NotFound("There is no job yet." if job == LAST else f"There is no job {job}.")
        if len(found) > 1:
            ids = ", ".join(each.id for each in found)
            raise InvalidInput.of("id", job, f"is how several jobs' ids begin: {ids}")
        return found[0].id

    def _job_path(self, job: Job | str) -> str:
        return f"/v1/jobs/{quote(self.job_id(job), safe='')}"

    def _get(self, path: str, /, **parameters: Any) -> httpx.Response:
        given = {name: value for name, value in parameters.items() if value is not None}
        return self._call("GET", path, retry=True, params=given)

    def _pages(self, path: str, kind: type[_Model], /, **parameters: Any) -> Iterator[_Model]:
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
        """Send a request, again where `retry` says it is harmless; raise what its status says.

        One that came too soon for the key's rate is sent again when the service says so.
        """
        for pause in (*RETRY_SECONDS, None) if retry else (None,):
            try:
                response = self._http.request(method, path, **options)
            except httpx.TransportError as error:
                problem: RidgewayError = NothingThere(
                    f"No Ridgeway service answers at {self.url} ({transport_reason(error)})."
                )
            else:
                if response.is_success or response.status_code == NOT_MODIFIED:
                    return response
                problem = problem_of(response, self.url)
                if response.status_code not in (TOO_MANY, 502, 503, 504):
                    raise problem
                pause = None if pause is None else seconds_to_wait(response, pause)
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
