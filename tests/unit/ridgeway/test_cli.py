"""The command line: help, exit codes, what goes to standard output and what to standard error."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from scripted import Answer, make_answered_job, make_job, problem, scripted

from ridgeway.cli import main
from ridgeway.client import client as waiting
from ridgeway.client import connection as client_module
from ridgeway.settings import Settings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses; and no settings of the person who runs the tests."""
    monkeypatch.setattr(client_module, "RETRY_SECONDS", (0.01,))
    monkeypatch.setattr(waiting, "OUTAGE_SECONDS", 0.1)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"RIDGEWAY_{name.upper()}", raising=False)


@pytest.fixture
def closed_url() -> Iterator[str]:
    """A port that nobody listens on, and nobody else gets while the test runs."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def ridgeway(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=given)


def answering(answer: Answer, *arguments: str, given: str | None = None) -> Result:
    with scripted(answer) as script:
        return ridgeway(*arguments, "--url", script.url, given=given)


def every_command() -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    for name, command in main.commands.items():
        parts = command.commands if isinstance(command, click.Group) else {"": command}
        found |= {f"{name} {part}".strip(): inner for part, inner in parts.items()}
    return found


COMMANDS = every_command()
FAILED = make_job(state="failed", error="All diverged.").model_dump(mode="json")
SUCCEEDED = make_answered_job().model_dump(mode="json")

# --- help -------------------------------------------------------------------------------------


def test_the_commands_are_those_of_the_interface() -> None:
    assert set(COMMANDS) == {
        "answer",
        "audit",
        "backup",
        "cancel",
        "datasets add",
        "datasets delete",
        "datasets list",
        "datasets rename",
        "datasets show",
        "delete",
        "demo",
        "doctor",
        "export",
        "extend",
        "features",
        "front",
        "gc",
        "import-study",
        "jobs",
        "keys create",
        "keys list",
        "keys revoke",
        "keys weight",
        "migrate",
        "model",
        "path",
        "pause",
        "plot",
        "predict",
        "report",
        "restore",
        "resume",
        "search",
        "serve",
        "status",
        "submit",
        "top",
        "trials",
        "worker",
        "workers",
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_help_explains_every_option_with_its_default_and_variable(name: str) -> None:
    result = ridgeway(*name.split(), "--help")
    assert result.exit_code == 0
    shown = " ".join(result.output.split())
    for option in COMMANDS[name].params:
        if not isinstance(option, click.Option) or option.hidden:
            continue
        assert option.help, option.name
        assert option.opts[0] in shown
        if not option.is_flag and "UNSET" not in str(option.default):
            assert f"default: {option.default}" in shown
        if option.envvar:
            assert f"env var: {option.envvar}" in shown


def test_help_tells_the_exit_codes() -> None:
    assert "0 fine, 1 the job failed, 2 bad input" in " ".join(ridgeway("--help").output.split())


# --- exit codes -------------------------------------------------------------------------------


def test_a_service_that_is_not_there_is_exit_code_3(closed_url: str) -> None:
    for arguments in (["jobs"], ["status", "1"], ["status", "1", "--watch"], ["datasets", "list"]):
        result = ridgeway(*arguments, "--url", closed_url)
        assert result.exit_code == 3, arguments
        assert closed_url in result.stderr
        assert result.stderr.endswith("; --url or RIDGEWAY_URL names another.\n")
        assert result.stdout == ""


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_job_that_failed_is_exit_code_1_when_waited_for(state: str) -> None:
    job = Answer(200, {**FAILED, "state": state})
    result = answering(job, "status", "1", "--watch")
    assert result.exit_code == 1
    assert "All diverged." in result.stderr


def test_a_job_that_failed_is_exit_code_0_when_looked_at() -> None:
    result = answering(Answer(200, FAILED), "status", "1")
    assert result.exit_code == 0
    assert "All diverged." in result.stdout


def test_bad_fields_are_each_named_with_value_and_message() -> None:
    errors = [
        {"field": "search.lambda.low", "value": -1, "message": "must be at least 0"},
        {"field": "trials", "value": "many", "message": "should be a valid integer"},
    ]
    refusal = problem(422, "search.lambda.low: must be at least 0 (and 1 more)", errors=errors)
    result = answering(refusal, "submit", "-", given='{"dataset": "wine"}')
    assert result.exit_code == 2
    assert "  search.lambda.low = -1: must be at least 0\n" in result.stderr
    assert '  trials = "many": should be a valid integer\n' in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ('{"dataset": "wine",}', "is not JSON"),
        ("[1]", "must hold a JSON object"),
        ('{"dataset": "wine", "epochs": NaN}', "epochs = NaN"),
        ("\udcff", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
    ],
    ids=["comma", "list", "NaN", "bytes", "deep"],
)
def test_a_spec_that_is_no_json_is_bad_input(tmp_path: Path, given: str, message: str) -> None:
    file = tmp_path / "spec.json"
    file.write_text(given, errors="surrogateescape")
    result = answering(Answer(500, {}), "submit", str(file))
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_name_and_an_error_steer_no_terminal() -> None:
    steering = "\x1b]0;owned\x07\x1b[2J"
    named = {**FAILED, "name": f"a {steering}", "error": f"It {steering} failed."}
    shown = answering(Answer(200, named), "status", "1")
    told = answering(problem(404, f"There is no {steering}."), "status", "1")
    for text in (shown.output, told.output):
        assert not {"\x1b", "\x07"} & {*text}
        assert "\\u001b]0;owned" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["submit", "no-such-file.json"],
        ["submit"],
        ["serve", "--port", "65536"],
        ["serve", "--workers", "0"],
        ["serve", "--workers", "many"],
        ["worker", "--device", "tpu"],
        ["jobs", "--state", "asleep"],
        ["status", "1", "--url", "nonsense"],
        ["jobs", "--url", "http://127.0.0.1:99999"],
        ["datasets", "add", "no-such-file.csv", "--name", "none"],
        ["extend", "1"],
    ],
    ids=" ".join,
)
def test_what_can_not_be_is_exit_code_2_with_a_message(arguments: list[str]) -> None:
    result = ridgeway(*arguments)
    assert result.exit_code == 2
    assert result.stderr
    assert "Traceback" not in result.stderr


def test_cuda_without_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ridgeway.host.roles.count_gpus", lambda: 0)
    result = ridgeway("worker", "--device", "cuda")
    assert result.exit_code == 2
    assert '--device = "cuda": torch finds no CUDA device here' in result.stderr


def test_a_variable_that_can_not_be_understood_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIDGEWAY_LEASE_SECONDS", "soon")
    result = ridgeway("jobs")
    assert result.exit_code == 2
    assert "RIDGEWAY_LEASE_SECONDS" in result.stderr


@pytest.mark.parametrize(("status", "code"), [(404, 2), (409, 2), (401, 2), (500, 3), (503, 3)])
def test_a_refusal_prints_its_reason_alone(status: int, code: int) -> None:
    result = answering(problem(status, "There is a reason."), "pause", "1")
    assert result.exit_code == code
    assert "There is a reason." in result.stderr
    assert result.stdout == ""


# --- what is printed --------------------------------------------------------------------------


def test_submit_prints_the_id_alone_on_standard_output() -> None:
    job = make_job(state="queued")
    created = Answer(201, job.model_dump(mode="json"))
    result = answering(created, "submit", "-", given='{"dataset": "wine"}')
    assert result.exit_code == 0
    assert result.stdout == f"{job.id}\n"
    assert f"ridgeway status {job.id}" in result.stderr


def test_json_is_all_that_goes_to_standard_output() -> None:
    with scripted(Answer(201, SUCCEEDED)) as script:
        arguments = ["submit", "-", "--wait", "--json", "--url", script.url]
        result = ridgeway(*arguments, given='{"dataset": "wine"}')
    assert result.exit_code == 0
    assert json.loads(result.stdout) == SUCCEEDED
    assert "succeeded: 40/40 trials" in result.stderr


def test_a_failed_job_is_still_printed_as_json() -> None:
    result = answering(Answer(200, FAILED), "status", "1", "--watch", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == FAILED


def test_wait_prints_the_answer() -> None:
    result = answering(Answer(201, SUCCEEDED), "submit", "-", "--wait", given='{"dataset": "wine"}')
    assert result.exit_code == 0
    assert "Recommended" in result.stdout
    assert "0.00213" in result.stdout


def test_jobs_are_listed_up_to_the_limit() -> None:
    page = {"jobs": [SUCCEEDED, FAILED, FAILED], "next": None}
    result = answering(Answer(200, page), "jobs", "--limit", "2", "--json")
    assert json.loads(result.stdout) == [SUCCEEDED, FAILED]


@pytest.mark.parametrize("verb", ["answer", "cancel", "pause", "resume"])
def test_a_change_prints_the_new_state(verb: str) -> None:
    result = answering(Answer(200, SUCCEEDED), verb, "1")
    assert result.exit_code == 0
    assert result.stdout == "succeeded\n"


def test_a_deletion_says_so() -> None:
    result = answering(Answer(204, b""), "delete", "1")
    assert (result.exit_code, result.stdout) == (0, "deleted\n")
    refused = answering(problem(409, "Can't delete a job that is running."), "delete", "1")
    assert (refused.exit_code, refused.stdout) == (2, "")


def test_an_extension_prints_the_new_state() -> None:
    result = answering(Answer(200, SUCCEEDED), "extend", "1", "100")
    assert (result.exit_code, result.stdout) == (0, "succeeded\n")
    assert answering(Answer(200, SUCCEEDED), "extend", "1", "0").exit_code == 2


# --- frictions --------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 60, 40])
def test_tables_cut_no_word_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setattr("ridgeway.client.show.PIPE_WIDTH", width)
    long = {**SUCCEEDED, "name": "a_name_without_a_blank_that_is_longer_than_any_column"}
    page = Answer(200, {"jobs": [SUCCEEDED, long], "next": None})
    for result in (answering(Answer(200, SUCCEEDED), "status", "1"), answering(page, "jobs")):
        assert result.exit_code == 0
        assert "…" not in result.output
        assert max(map(len, result.output.splitlines())) <= width
    words = {*answering(Answer(200, SUCCEEDED), "status", "1").output.split()}
    assert {"recommended", "unpenalised", "validation", "features"} <= words


def test_a_data_set_comes_by_standard_input() -> None:
    rows = "a,b\n1,2\n"
    uploaded = {"id": "1", "name": "mine", "kind": "uploaded", "rows": 1, "column_count": 2}
    names = ("target", "task", "checksum", "bytes", "created_at", "columns")
    with scripted(Answer(201, uploaded | dict.fromkeys(names))) as script:
        result = ridgeway("datasets", "add", "-", "--name", "mine", "--url", script.url, given=rows)
    assert result.exit_code == 0, result.output
    assert script.requests[0].body == rows.encode()


def test_a_data_set_comes_by_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("a,b\n1,2\n",))
    writer.start()
    with scripted(problem(422, "It is too small.")) as script:
        result = ridgeway("datasets", "add", str(pipe), "--name", "m", "--url", script.url)
    writer.join()
    assert (result.exit_code, result.stderr) == (2, "It is too small.\n")
    assert script.requests[0].body == b"a,b\n1,2\n"


@pytest.mark.parametrize("arguments", [["migrate"], ["import-study", "sqlite:///x.db", "a"]])
def test_no_database_is_made_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = ridgeway(*arguments)
    assert result.exit_code == 2
    assert "RIDGEWAY_DATABASE_URL: is not set" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_serve_that_is_refused_leaves_no_folder(tmp_path: Path) -> None:
    data = tmp_path / "new" / "data"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = ridgeway("serve", "--data", str(data), "--port", port, "--workers", "1")
    assert result.exit_code == 2
    assert "is taken" in result.stderr
    assert not list(tmp_path.iterdir())


def test_workers_offer_no_engine_but_their_own() -> None:
    assert "ray" not in ridgeway("worker", "--help").output.split()
