"""Workers and their queue as a person reads them."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from ridgeway.client.fitting import Column, FittingTable
from ridgeway.client.plain import plain
from ridgeway.overviews import Queue, Work, Worker
from ridgeway.words import duration, number


def worker_table(workers: Iterable[Worker]) -> FittingTable:
    """Show workers, one a line."""
    names = ("worker", "device", "state", "at work on", "trials/s", "heard of")
    table = FittingTable(Column(name, words=name != "trials/s") for name in names)
    for worker in workers:
        table.add_row(
            Text(f"{worker.host}:{worker.pid}"),
            Text(worker.device),
            worker.state,
            Text(_work(worker.work)),
            number(worker.trials_per_second),
            f"{duration(worker.silent_seconds)} ago",
        )
    return table


def queue_line(queue: Queue) -> str:
    """Tell in a line how much waits."""
    jobs = f"{queue.queued} jobs queued, {queue.running} running, {queue.paused} paused"
    return f"{jobs}; {queue.trials_waiting} trials wait, {queue.trials_training} are in training"


def _work(work: Work | None) -> str:
    if work is None:
        return ""
    name = plain(work.job_name or "") or work.job or "another's job"
    what = "the answer" if work.kind == "answer" else f"{work.trials} trials"
    done = "" if work.fraction is None else f", {work.fraction:.0%}"
    return f"{name}: {what}{done}"
