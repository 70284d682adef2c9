"""The picture of `ridgeway top`: the queue, the latest jobs, those that run first, the workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment, Segments
from rich.text import Text

from ridgeway.client.fitting import Column, FittingTable
from ridgeway.client.show import ID_BEGINNING, STATE_STYLE, name_of, objective_of
from ridgeway.client.show_workers import queue_line, worker_table
from ridgeway.overviews import WorkerList
from ridgeway.views import Job
from ridgeway.words import duration, number

ORDER = ("running", "queued", "paused")  # of jobs; those that have ended come after them


@dataclass(frozen=True)
class Picture:
    """What there is to see at one moment; cut at the terminal's last line, which says so."""

    jobs: Sequence[Job]
    workers: WorkerList

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(Group(*self._parts()), options.update(height=None), pad=False)
        room = options.height if options.height is not None else len(lines)
        cut = len(lines) - room
        for line in lines[: room - 1] if cut > 0 else lines:
            yield Segments([*line, Segment.line()])
        if cut > 0:
            yield Text(f"and {cut + 1} more lines", style="dim", end="")

    def _parts(self) -> Iterator[RenderableType]:
        yield Text(queue_line(self.workers.queue), style="bold")
        yield ""
        if self.workers.workers:
            yield worker_table(self.workers.workers)
        else:
            yield Text("No worker is there; start one with: ridgeway worker", style="yellow")
        yield ""
        yield live_table(self.jobs)


def live_table(jobs: Iterable[Job]) -> FittingTable:
    """Show jobs, one a line, those that run first: how far each is, and what is left."""
    table = FittingTable(
        [
            Column("job", words=True, whole=True),
            *(Column(name, words=True) for name in ("name", "state")),
            *map(Column, ("done", "trials", "left")),
            Column("best", words=True),
        ]
    )
    for job in sorted(jobs, key=_place):
        left = job.progress.eta_seconds
        table.add_row(
            job.id[:ID_BEGINNING],
            name_of(job),
            Text(job.state, style=STATE_STYLE.get(job.state, "")),
            f"{int(100 * job.progress.fraction)}%",
            f"{job.progress.ended}/{job.progress.trials}",
            "" if left is None else duration(left),
            "" if job.best is None else f"{objective_of(job)} {number(job.best.value)}",
        )
    return table


def _place(job: Job) -> int:
    return ORDER.index(job.state) if job.state in ORDER else len(ORDER)
