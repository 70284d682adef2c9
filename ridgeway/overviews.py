"""What the service tells of itself: the workers, what waits for them, and who changed what."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from ridgeway.answers import View


class Offers(View):
    """The names that a worker's plug-ins offer, beside those of every worker."""

    models: list[str]
    datasets: list[str]
    penalties: list[str]


class Work(View):
    """What is in a worker's hands: some of a job's trials, or the job's answer."""

    lease: int
    job: str | None = Field(description="null for another's")
    job_name: str | None
    kind: Literal["population", "answer"] = Field(
        description="`population`: trials that are trained together, as one program"
    )
    trials: int
    fraction: float | None = Field(description="of its training that is done, as told last")


class Worker(View):
    """A process that trains."""

    id: str
    host: str
    pid: int
    device: str
    version: str
    state: Literal["working", "idle", "silent"]
    plugins: Offers
    work: Work | None
    trials_lately: int = Field(description="that it finished within five minutes")
    trials_per_second: float | None = Field(description="of those; null where there are none")
    started_at: datetime
    seen_at: datetime = Field(description="its last heartbeat")
    silent_seconds: float = Field(description="since then, by the database's clock")


class Queue(View):
    """How much waits: jobs that have not ended, by state, and their trials."""

    queued: int
    running: int
    paused: int
    trials_waiting: int = Field(description="in no worker's hands, paused jobs' left out")
    trials_training: int


class WorkerList(View):
    """The workers, those heard of last first, and the queue before them."""

    workers: list[Worker]
    queue: Queue


class AuditEntry(View):
    """A line of the audit log."""

    at: datetime
    actor: str = Field(description="the prefix of the key, or `local`: a command, or no key asked")
    action: str = Field(
        description="method and route, or the command; or that a key's refusals were too many to "
        "be told one by one"
    )
    object: str | None = Field(description="the id of the job or data set, or a key's prefix")
    outcome: str = Field(description="`done`, or the status of the refusal")
    address: str | None = Field(description="of the client")


class AuditPage(View):
    """A page of the audit log, newest first."""

    entries: list[AuditEntry]
    next: str | None
