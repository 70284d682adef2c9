"""Time and weigh the report of one job over REST, by the service's first drawing and by later ones.

    python benchmarks/report.py [--json] [--repeats 3] [--trials 1000] [--keep report.html]

A linear search over five penalties on breast_cancer is answered by `ridgeway serve` on SQLite; then
`GET /v1/jobs/{id}/report` is timed. The first one starts the process that draws and imports its
libraries (`cold`); medians of the next (`warm`). Processor seconds are those of the service with
all of its processes, as others may share the cores.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import psutil
from demo import serving
from rows import Row, median, parser

from ridgeway.client.client import Client
from ridgeway.client.handle import JobHandle

SPEC = {"dataset": "breast_cancer", "model": {"kind": "linear"}, "name": "breast_cancer, linear"}


def main() -> None:
    """Print the rows."""
    options = parser(__doc__)
    options.add_argument("--trials", type=int, default=1000)
    options.add_argument("--keep", type=Path, help="write the page to this file, to be looked at")
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as (client, server):
        job = client.wait(client.submit({**SPEC, "trials": arguments.trials}), timeout=900)
        page, *cold = fetched(client, job, server)
        warm = [fetched(client, job, server)[1:] for _ in range(arguments.repeats)]
    details = {"trials": arguments.trials}
    for name, (seconds, processor) in {
        "cold": cold,
        "warm": [median(own) for own in zip(*warm, strict=True)],
    }.items():
        Row(f"report, {name}", seconds, "s", parameters=details).print(arguments.json)
        Row(f"report, {name}", processor, "s of a processor", parameters=details).print(
            arguments.json
        )
    Row("report", len(page.encode()) / 1e6, "MB", parameters=details).print(arguments.json)
    if arguments.keep:
        arguments.keep.write_text(page, encoding="utf-8")


def fetched(client: Client, job: JobHandle, server: psutil.Process) -> tuple[str, float, float]:
    """Return the page, the seconds until it was there, and the processor's for it."""
    used, started = processor_seconds(server), time.perf_counter()
    page = client.report(job)
    return page, time.perf_counter() - started, processor_seconds(server) - used


def processor_seconds(server: psutil.Process) -> float:
    """Return what the processes of a service that live have used of processors until now."""
    times = [process.cpu_times() for process in server.children(recursive=True)]
    return sum(own.user + own.system for own in times)


if __name__ == "__main__":
    main()
