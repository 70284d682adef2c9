"""The client against a server that fails in every way that a network can."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from scripted import Answer, Script, make_answered_job, make_job, problem, scripted

from ridgeway.client import client as waiting
from ridgeway.client import connection as module
from ridgeway.client.client import Client
from ridgeway.errors import (
    Conflict,
    FieldError,
    InvalidInput,
    JobFailed,
    NotFound,
    RidgewayError,
    Unreachable,
)
from ridgeway.spec.spec import JobSpec
from ridgeway.views import Job, StoredSpec


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses; and no settings of the person who runs the tests."""
    monkeypatch.setattr(module, "RETRY_SECONDS", (0.01, 0.02, 0.03))
    for name in ("RIDGEWAY_URL", "RIDGEWAY_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def closed_url() -> Iterator[str]:
    """A port that nobody listens on, and nobody else gets while the test runs."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def written(job: Job) -> object:
    return job.model_dump(mode="json")


@contextmanager
def asking(*answers: Answer) -> Iterator[tuple[Client, Script]]:
    """A client, and the server that answers it so."""
    with scripted(*answers) as script, Client(script.url) as client:
        yield client, script


CREATED = Answer(201, written(make_job(state="queued")))


# --- what is sent -----------------------------------------------------------------------------


def test_a_spec_a_mapping_and_fields_send_the_same_job() -> None:
    spec = JobSpec(dataset="wine", trials=7)
    with asking(CREATED) as (client, script):
        client.submit(spec)
        client.submit({"dataset": "wine"}, trials=7)
        client.submit(dataset="wine", trials=7)
    whole, *partial = [json.loads(request.body) for request in script.requests]
    assert JobSpec.model_validate(whole) == spec
    assert partial == [{"dataset": "wine", "trials": 7}] * 2


def test_two_submissions_have_different_idempotency_keys_of_their_own() -> None:
    with asking(CREATED) as (client, script):
        client.submit(dataset="wine")
        client.submit(dataset="wine")
        client.submit(dataset="wine", idempotency_key="mine")
    keys = [request.headers["idempotency-key"] for request in script.requests]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


def test_the_address_and_the_key_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(Answer(200, {"datasets": [], "next": None})) as script:
        monkeypatch.setenv("RIDGEWAY_URL", script.url + "/")
        monkeypatch.setenv("RIDGEWAY_API_KEY", "sesame")
        with Client() as client:
            assert client.datasets() == []
    assert script.requests[0].headers["authorization"] == "Bearer sesame"


def test_a_proxy_in_the_environment_is_not_asked_for_this_machine(
    monkeypatch: pytest.MonkeyPatch, closed_url: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", closed_url)
    monkeypatch.setenv("ALL_PROXY", closed_url)
    with asking(Answer(200, {"datasets": [], "next": None})) as (client, _):
        assert client.datasets() == []


def test_an_id_can_not_lead_elsewhere() -> None:
    with asking(problem(404, "There is no job.")) as (client, script), pytest.raises(NotFound):
        client.job("../datasets?x=1#")
    assert script.requests[0].path == "/v1/jobs/..%2Fdatasets%3Fx%3D1%23"


def test_a_file_is_streamed_with_its_name_and_length(tmp_path: Path) -> None:
    file = tmp_path / "spam.csv"
    file.write_text("a,b\n1,2\n")
    refused = problem(409, "There is a data set of this name.")
    with asking(refused) as (client, script), pytest.raises(Conflict):
        client.add_dataset(file, "spam & eggs")
    [request] = script.requests
    assert request.path == "/v1/datasets?name=spam+%26+eggs"
    assert request.body == file.read_bytes()


def test_a_file_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with Client() as client, pytest.raises(InvalidInput, match="No such file") as raised:
        client.add_dataset(tmp_path / "none.csv", "none")
    assert raised.value.errors[0].field == "path"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://here",
        "127.0.0.1:8000",
        "http://",
        "http://[::",
        "http://a:99999",
        "http://a:0",
        "http://xn--/",
    ],
)
def test_an_address_that_can_not_be_one_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="url: "):
        Client(url)


def test_what_json_can_not_say_is_refused_by_its_field() -> None:
    with Client() as client, pytest.raises(InvalidInput) as raised:
        client.submit(dataset="wine", search={"lambda": float("nan")})
    assert [error.field for error in raised.value.errors] == ["search.lambda"]


# --- what comes back --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidInput),
        (413, InvalidInput),
        (415, InvalidInput),
        (422, InvalidInput),
        (404, NotFound),
        (409, Conflict),
        (500, Unreachable),
        (503, Unreachable),
        (401, RidgewayError),
    ],
)
def test_a_problem_becomes_an_error_with_its_detail(status: int, kind: type[RidgewayError]) -> None:
    with (
        asking(problem(status, "So it is.")) as (client, _),
        pytest.raises(kind, match=r"So it is\."),
    ):
        client.job("1")


def test_bad_fields_keep_their_field_value_and_message() -> None:
    bad = {"field": "search.lambda.low", "value": -1, "message": "must be at least 0"}
    answer = problem(422, "search.lambda.low: must be at least 0", errors=[bad])
    with asking(answer) as (client, _), pytest.raises(InvalidInput) as raised:
        client.submit(dataset="wine")
    assert raised.value.errors == (FieldError("search.lambda.low", -1, "must be at least 0"),)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>It works!</html>", "text/html"),
        Answer(200, {"id": 3}),
        Answer(404, b"<html>not here</html>", "text/html"),
        Answer(502, b"", "text/plain"),
        Answer(422, {"detail": None, "errors": {"field": "x"}}),
        Answer(400, [1, 2]),
    ],
)
def test_an_answer_that_is_not_ours_is_an_error_of_ours(answer: Answer) -> None:
    with asking(answer) as (client, _), pytest.raises(RidgewayError):
        client.job("1")


def test_fields_of_a_newer_service_are_no_hindrance() -> None:
    newer = {**make_job().model_dump(mode="json"), "mood": "good"}
    with asking(Answer(200, newer)) as (client, _):
        assert written(client.job("1")) == written(make_job())


def test_pages_are_followed_to_the_end() -> None:
    jobs = [make_job(id=str(number)) for number in range(5)]
    pages = [
        Answer(200, {"jobs": [written(job) for job in jobs[:3]], "next": "c+1"}),
        Answer(200, {"jobs": [written(job) for job in jobs[3:]], "next": None}),
    ]
    with asking(*pages) as (client, script):
        assert [job.id for job in client.jobs(state="running")] == ["0", "1", "2", "3", "4"]
    assert script.requests[0].path == "/v1/jobs?limit=200&state=running"
    assert script.requests[1].path == "/v1/jobs?limit=200&cursor=c%2B1&state=running"


# --- what is tried again ----------------------------------------------------------------------

BUSY = problem(503, "The database is busy.")
HANG_UP = Answer(0, None)


@pytest.mark.parametrize("failure", [BUSY, HANG_UP, problem(504, "Too late.")])
def test_a_look_is_repeated_until_it_succeeds(failure: Answer) -> None:
    answers = [failure, failure, failure, Answer(200, written(make_job()))]
    with asking(*answers) as (client, script):
        assert written(client.job("1")) == written(make_job())
    assert len(script.requests) == 4


def test_a_submission_is_repeated_with_one_and_the_same_key() -> None:
    with asking(HANG_UP, BUSY, CREATED) as (client, script):
        assert client.submit(dataset="wine").state == "queued"
    assert len(script.requests) == 3
    assert len({request.headers["idempotency-key"] for request in script.requests}) == 1


@pytest.mark.parametrize("verb", ["answer", "cancel", "pause", "resume", "extend"])
def test_a_change_of_state_is_not_repeated(verb: str) -> None:
    with asking(BUSY) as (client, script), pytest.raises(Unreachable):
        getattr(client, verb)("1", *([100] if verb == "extend" else []))
    assert [request.path for request in script.requests] == [f"/v1/jobs/1/{verb}"]


def test_an_extension_says_how_many_trials_more() -> None:
    with asking(Answer(200, written(make_job()))) as (client, script):
        client.extend("1", 100)
    assert json.loads(script.requests[0].body) == {"trials": 100}


def test_bad_input_is_not_repeated() -> None:
    with asking(problem(422, "No.")) as (client, script), pytest.raises(InvalidInput):
        client.submit(dataset="wine")
    assert len(script.requests) == 1


def test_a_refused_connection_names_the_address(closed_url: str) -> None:
    with Client(closed_url) as client:
        with pytest.raises(Unreachable, match=closed_url):
            client.datasets()
        assert client.ready() is False


def test_a_service_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", ())
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        client = Client(f"http://127.0.0.1:{mute.getsockname()[1]}", timeout=0.2)
        with client, pytest.raises(Unreachable, match="timed out"):
            client.job("1")


def test_ready_is_what_the_service_says() -> None:
    with asking(problem(503, "No worker."), Answer(200, {})) as (client, _):
        assert client.ready() is False
        assert client.ready() is True


# --- wait -------------------------------------------------------------------------------------


def test_wait_returns_the_job_that_has_succeeded() -> None:
    answers = [
        Answer(200, written(make_job(state="queued"))),
        Answer(200, written(make_job())),
        Answer(200, written(make_answered_job())),
    ]
    with asking(*answers) as (client, _):
        job = client.wait(make_job(), poll_seconds=0.01)
    assert job.recommended is not None
    assert job.recommended.simplest.params["penalty"] == "l1"


def test_wait_asks_only_for_what_has_changed() -> None:
    answers = [
        Answer(200, written(make_job(state="queued")), headers={"ETag": '"a"'}),
        Answer(304, b""),
        Answer(200, written(make_answered_job()), headers={"ETag": '"b"'}),
    ]
    with asking(*answers) as (client, script):
        assert client.wait("1", poll_seconds=0.01).state == "succeeded"
    asked = [request.headers.get("if-none-match") for request in script.requests]
    assert asked == [None, '"a"', '"a"']


def test_a_failed_job_is_an_error_with_its_reason() -> None:
    failed = make_job(state="failed", error="Every trial diverged.")
    with (
        asking(Answer(200, written(failed))) as (client, _),
        pytest.raises(JobFailed, match=r"has failed: Every trial diverged\."),
    ):
        client.wait("1")


def test_a_cancelled_job_is_an_error() -> None:
    cancelled = Answer(200, written(make_job(state="cancelled")))
    with asking(cancelled) as (client, _), pytest.raises(JobFailed, match="was cancelled"):
        client.wait("1")


def test_wait_gives_up_in_time() -> None:
    with asking(Answer(200, written(make_job()))) as (client, _):
        begun = time.monotonic()
        with pytest.raises(TimeoutError, match="is running after"):
            client.wait("1", poll_seconds=0.05, timeout=0.3)
    assert timedelta(seconds=time.monotonic() - begun) < timedelta(seconds=2)


def test_wait_outlives_a_restart_of_the_service() -> None:
    answers = [HANG_UP] * 9 + [Answer(200, written(make_answered_job()))]
    with asking(*answers) as (client, script):
        assert client.wait("1", poll_seconds=0.01).state == "succeeded"
    assert len(script.requests) == 10


def test_wait_does_not_outlive_a_service_that_stays_away(
    monkeypatch: pytest.MonkeyPatch, closed_url: str
) -> None:
    monkeypatch.setattr(waiting, "OUTAGE_SECONDS", 0.2)
    with Client(closed_url) as client, pytest.raises(Unreachable):
        client.wait("1", poll_seconds=0.01)


def test_progress_goes_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    answers = [Answer(200, written(make_job())), Answer(200, written(make_answered_job()))]
    with asking(*answers) as (client, _):
        client.wait("1", progress=True, poll_seconds=0.01)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "running: 20/40 trials   best loss 0.0412   1 min 15 s left",
        "succeeded: 40/40 trials   best loss 0.0412",
    ]


def test_a_spec_of_a_newer_service_is_read_as_it_is() -> None:
    newer = make_job().model_dump(mode="json")
    newer["spec"]["tomorrow"] = 1
    pages = Answer(200, {"jobs": [newer], "next": None})
    with asking(Answer(200, newer), pages) as (client, _):
        assert client.job("1").spec == StoredSpec(newer["spec"])
        assert [job.state for job in client.jobs()] == ["running"]


def test_a_deletion_answers_nothing_and_is_not_repeated() -> None:
    refused = problem(409, "Can't delete a job that is running; cancel it first.")
    with asking(Answer(204, b""), refused) as (client, script):
        assert client.delete("1") is None
        with pytest.raises(Conflict, match="cancel it first"):
            client.delete("2")
    asked = [(request.method, request.path) for request in script.requests]
    assert asked == [("DELETE", "/v1/jobs/1"), ("DELETE", "/v1/jobs/2")]
