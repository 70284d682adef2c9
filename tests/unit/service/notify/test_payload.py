"""What a receiver is told of a job."""

from __future__ import annotations

from scripted import make_answered_job, make_job

from ridgeway.answers import Verdict
from service.notify.sender import payload


def test_the_verdict_s_sentence_and_whole_addresses_are_told() -> None:
    job = make_answered_job()
    assert job.recommended is not None
    verdict = Verdict(sentence="l1 is better than none.", claim="benefit")
    recommended = job.recommended.model_copy(update={"verdict": verdict})
    told = payload(job.model_copy(update={"recommended": recommended}), "https://search.example")
    assert told["type"] == "job.succeeded"
    assert job.finished_at is not None
    assert told["timestamp"] == job.finished_at.isoformat()
    data = told["data"]
    assert isinstance(data, dict)
    assert data["verdict"] == "l1 is better than none."
    assert data["links"]["job"] == f"https://search.example{job.links.self}"


def test_a_job_that_failed_tells_why_and_has_no_verdict() -> None:
    told = payload(make_job(state="failed", error="The target is constant."), "")
    data = told["data"]
    assert isinstance(data, dict)
    assert (told["type"], data["verdict"]) == ("job.failed", None)
    assert data["error"] == "The target is constant."
