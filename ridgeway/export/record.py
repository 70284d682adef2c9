"""What is taken of a job: the job itself, its trials, and its files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ridgeway.client.client import Client
from ridgeway.errors import Conflict, NotFound
from ridgeway.spec.spec import JobSpec
from ridgeway.views import Job

BY_COLUMN = ("penalty_factors", "feature_groups", "bounds")  # of a spec; there may be thousands
_PLAIN = re.compile(r"\w+", re.ASCII)  # of a name that every tracker takes
MODEL, ANSWER, SPEC, TRIALS = "model.safetensors", "answer.json", "job.json", "trials.csv"


@dataclass(frozen=True)
class Record:
    """A job with all that is kept of it; `files` by name, `trials` by number."""

    job: Job
    trials: list[dict[str, Any]]
    files: dict[str, bytes]

    @property
    def name(self) -> str:
        """Return what the job is called: its name, or its data set's."""
        dataset = self.job.spec.dataset if isinstance(self.job.spec, JobSpec) else ""
        return self.job.name or dataset or self.job.id

    @property
    def settings(self) -> dict[str, str | int | float | bool]:
        """Return the spec flattened: `search.lambda.low` and the like.

        As JSON are lists, what is given by column, and what has names that trackers refuse.
        """
        return dict(_flattened(self.job.spec.model_dump(mode="json")))

    @property
    def results(self) -> dict[str, float]:
        """Return the numbers of the answer: each role's value, and its sealed metrics."""
        answer = self.job.recommended
        if answer is None:
            return {}
        chosen = {"simplest": answer.simplest, "best": answer.best, "none": answer.none}
        values = {f"{role}.value": own.value for role, own in chosen.items() if own is not None}
        sealed = {
            f"{role}.test.{metric}": value
            for role, metrics in answer.test.metrics.items()
            for metric, value in metrics.items()
        }
        return values | sealed

    @property
    def chosen(self) -> dict[str, str | float]:
        """Return the parameters of what is recommended; none of the constant."""
        answer = self.job.recommended
        if answer is None or answer.choice == "baseline":
            return {}
        return dict((answer.best if answer.choice == "best" else answer.simplest).params)

    @property
    def verdict(self) -> str:
        """Return the answer in a sentence; empty before there is one."""
        answer = self.job.recommended
        return answer.verdict.sentence if answer is not None and answer.verdict is not None else ""


def read_record(client: Client, job: Job | str) -> Record:
    """Fetch all that is kept of a job; files that it has not are left out."""
    found = client.job(job)
    trials = [json.loads(line) for line in "".join(client.export(found, "jsonl")).splitlines()]
    files = {SPEC: found.model_dump_json(indent=2).encode()}
    files[TRIALS] = "".join(client.export(found, "csv")).encode()
    if found.recommended is not None:
        files[ANSWER] = found.recommended.model_dump_json(indent=2).encode()
    readers: dict[str, Callable[[], bytes]] = {
        MODEL: lambda: client.model(found),
        "path.json": lambda: client.path(found).model_dump_json(indent=2).encode(),
        "features.json": lambda: client.features(found).model_dump_json(indent=2).encode(),
    }
    for name, read in readers.items():
        try:
            files[name] = read()
        except (NotFound, Conflict):
            continue
    return Record(found, trials, files)


def write_files(record: Record, folder: Path) -> list[Path]:
    """Write every file of the record into the folder, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / name for name in record.files]
    for path, data in zip(written, record.files.values(), strict=True):
        path.write_bytes(data)
    return written


def _flattened(found: Any, name: str = "") -> Iterator[tuple[str, str | int | float | bool]]:
    named = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    if named and name not in BY_COLUMN and all(map(_PLAIN.fullmatch, named)):
        for key, value in named.items():
            yield from _flattened(value, f"{name}.{key}" if name else key)
    elif isinstance(found, dict | list):
        yield name, json.dumps(found)
    elif found is not None:
        yield name, found
