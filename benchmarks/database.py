"""Measure the study database: what writing, looking and searching cost, beside stock Optuna.

persist      trials persisted per second: 4 params, 4 (and 30) reports, finish; populations of 64
status       GET /v1/jobs/{id} while the study holds --trials trials, median
trials_page  GET /v1/jobs/{id}/trials?order=value, its first page, median
overhead     share of a search outside training: 1,000 trials of the linear model

Run: python benchmarks/database.py [--json] [--quick] [--measure persist] [--database sqlite]
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import httpx
import sqlalchemy as sa
from overhead import overhead
from persisting import persist
from rows import Row, median, parser
from served import fill, migrated, resident_mb, service

MEASURES = ("persist", "status", "trials_page", "overhead")
DATABASES = ("sqlite", "postgresql")


def main() -> None:
    """Print the rows."""
    options = parser(__doc__)
    options.add_argument("--measure", choices=MEASURES, action="append", help="default: all")
    options.add_argument("--database", choices=DATABASES, action="append", help="default: both")
    options.add_argument("--trials", type=int, default=100_000, help="in the study looked at")
    options.add_argument("--quick", action="store_true", help="smaller, once, and less exact")
    arguments = options.parse_args()
    repeats = 1 if arguments.quick else arguments.repeats
    trials = min(arguments.trials, 10_000) if arguments.quick else arguments.trials
    measures = set(arguments.measure or MEASURES)
    for kind in arguments.database or DATABASES:
        if "persist" in measures:
            ours, stock = (3_200, 16) if arguments.quick else (12_800, 64)
            _print(persist(kind, ours, stock, (1, 8), repeats), arguments.json)
        if measures & {"status", "trials_page"}:
            rows = _looks(kind, trials)
            _print((row for row in rows if row.measure in measures), arguments.json)
        if "overhead" in measures:
            _print(overhead(kind, 200 if arguments.quick else 1_000, repeats), arguments.json)


def _print(rows: Iterator[Row], as_json: bool) -> None:
    for row in rows:
        row.print(as_json)


def _looks(kind: str, trials: int) -> Iterator[Row]:
    parameters = {"trials": trials, "database": kind}
    with migrated(kind) as database, service(database) as (process, http):
        job = http.post("/v1/jobs", json={"dataset": "digits", "trials": trials}).json()
        fill(database, reports=4)
        if kind == "postgresql":  # as its autovacuum does by itself within a minute
            with database.transaction() as transaction:
                transaction.execute(sa.text("ANALYZE"))
        seen = {**parameters, "service_mb": round(resident_mb(process.pid))}
        yield replace(_look("status", http, job["links"]["self"], 500), parameters=seen)
        page = job["links"]["trials"] + "?order=value"
        yield replace(_look("trials_page", http, page, 50), parameters=parameters)


def _look(measure: str, http: httpx.Client, path: str, looks: int) -> Row:
    seconds: list[float] = []
    for _ in range(looks):
        start = time.perf_counter()
        http.get(path).raise_for_status()
        seconds.append(time.perf_counter() - start)
    return Row(measure, median(seconds) * 1000, "ms")


if __name__ == "__main__":
    main()
