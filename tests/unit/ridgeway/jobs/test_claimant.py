"""What a worker knows of jobs, which must not grow with all that it has ever done."""

from __future__ import annotations

from ridgeway.errors import Unreadable
from ridgeway.jobs import claimant
from ridgeway.jobs.claimant import KnownJobs
from ridgeway.jobs.sizes import Pace


def test_the_paces_of_the_jobs_worked_on_last_are_kept(monkeypatch):
    monkeypatch.setattr(claimant, "MOST_PACES", 2)
    known = KnownJobs()
    for place, job_id in enumerate("abac", 1):
        known.note_pace(job_id, Pace(place, 1.0))
    assert known.paces == {"a": Pace(3, 1.0), "c": Pace(4, 1.0)}


def test_a_worker_tells_of_the_newest_jobs_that_it_leaves():
    known, most = KnownJobs(), claimant.MOST_TOLD
    for number in range(most + 50):
        known.leave(f"job {number}", Unreadable("Strange."))
    assert list(known.told()) == [f"job {number}" for number in range(50, 50 + most)]
