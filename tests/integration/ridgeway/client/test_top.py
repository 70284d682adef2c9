"""`ridgeway top` shows jobs and workers, in a pipe once, on a terminal until it is told to end."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from click.testing import CliRunner
from rich.console import Console
from scripted import make_answered_job, make_job
from submitting import submit

from ridgeway import fleet
from ridgeway.cli import main
from ridgeway.client.show_top import Picture
from ridgeway.jobs.lifecycle import cancel_job, pause_job
from ridgeway.overviews import Queue, WorkerList

QUEUE = Queue(queued=2, running=1, paused=0, trials_waiting=31, trials_training=8)


def drawn(width: int, height: int | None, jobs: int = 2) -> list[str]:
    """The lines of a picture on a terminal of that size."""
    shown = [make_answered_job(), *[make_job(id=f"{number:036}") for number in range(jobs - 1)]]
    screen = Console(width=width, height=height, color_system=None)
    with screen.capture() as captured:
        options = screen.options.update(height=height)
        picture = Picture(shown, WorkerList(workers=[], queue=QUEUE))
        for segment in screen.render(picture, options):
            screen.out(segment.text, end="", highlight=False)
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [120, 80, 60, 40])
def test_no_line_is_too_long_and_no_word_is_cut(width: int) -> None:
    lines = drawn(width, None)
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    assert "…" not in text
    for word in ("2 jobs queued", "31 trials wait", "succeeded", "50%", "1 min 15 s"):
        assert word in text


def test_what_runs_comes_first() -> None:
    text = "\n".join(drawn(120, None))
    assert text.index("running  ") < text.index("succeeded")


def test_a_low_terminal_is_told_how_much_it_does_not_see() -> None:
    whole, cut = drawn(100, None, jobs=30), drawn(100, 12, jobs=30)
    assert len(cut) == 12
    assert cut[:11] == whole[:11]
    assert cut[11] == f"and {len(whole) - 11} more lines"


def test_one_picture_goes_into_a_pipe(served, database):
    job_id = submit(database, name="my job")
    models, datasets = frozenset({"mlp", "linear"}), frozenset({"digits"})
    with database.transaction() as transaction:
        record = fleet.WorkerRecord("w", "gpu-1", 7, "cpu", "0", models, datasets)
        fleet.record_worker(transaction, record)
    result = CliRunner().invoke(main, ["top", "--url", served.url])
    assert result.exit_code == 0, result.output
    assert "1 jobs queued" in result.stdout
    assert "gpu-1:7" in result.stdout
    assert f"{job_id[:13]}  my job" in result.stdout


def test_an_old_job_that_is_paused_is_shown_before_newer_ones_that_have_ended(served, database):
    paused, *ended = [submit(database) for _ in range(4)]
    with database.transaction() as transaction:
        pause_job(transaction, paused)
        for job_id in ended:
            cancel_job(transaction, job_id)
    result = CliRunner().invoke(main, ["top", "--once", "--limit", "2", "--url", served.url])
    assert result.exit_code == 0, result.output
    shown = [job_id[:13] in result.stdout for job_id in (paused, *ended)]
    assert shown == [True, False, False, True]


def test_a_service_that_is_not_there_is_exit_code_3():
    assert CliRunner().invoke(main, ["top", "--url", "http://127.0.0.1:1"]).exit_code == 3


@pytest.mark.parametrize("key", [b"q", b"\x03"], ids=["q", "Ctrl-C"])
def test_a_terminal_sees_it_anew_until_a_key_ends_it(served, database, key):
    if not database.embedded:
        pytest.skip("the terminal is the same with any database")
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-P", "-m", "ridgeway", "top", "--every", "0.2", "--url", served.url]

    def at_the_terminal() -> None:
        """Take the terminal; a shell has what it starts in the background ignore interrupts."""
        os.close(os.open(os.ttyname(theirs), os.O_RDWR))
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(
        argv, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
        preexec_fn=at_the_terminal,
    ) as process:  # fmt: skip
        os.close(theirs)
        seen = b""
        deadline = time.monotonic() + 60
        while b"0 jobs queued" not in seen and time.monotonic() < deadline:
            seen += os.read(ours, 4096)
        submit(database, name="a job that came later")
        while b"1 jobs queued" not in seen and time.monotonic() < deadline:
            seen += os.read(ours, 4096)
        os.write(ours, key)
        with suppress(OSError):  # the end of what it writes
            while os.read(ours, 4096):
                pass
        assert process.wait(20) == 0
    os.close(ours)
