"""Answers in a notebook: short where they are printed, tables where they are shown."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from scripted import Answer, make_answered_job, make_job, problem, scripted

from ridgeway.client import notebooks
from ridgeway.client.client import Client
from ridgeway.features import Feature, Features


class Notebook(InteractiveShell):
    """A shell with a kernel, which is what tells a notebook from a terminal."""

    kernel = True


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Any:
    shell = Notebook()
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    return shell


def html(notebook: Any, shown: Any) -> str:
    return notebook.display_formatter.format(shown)[0].get("text/html", "")


FEATURES = Features(
    choice="simplest",
    trial=3,
    settled=None,
    permutations=10,
    features=[
        Feature(name=f"<b>{place}</b>", rank=place + 1, norm=1 / (place + 1), used=place < 10)
        for place in range(12)
    ],
)


def test_an_answer_is_printed_in_a_line() -> None:
    for job in (make_job(), make_answered_job(), make_answered_job(name="x" * 5000)):
        assert repr(job) == str(job)
        assert len(repr(job)) < 300
        assert repr(job).startswith(f"<Job {job.id}")
    assert repr(FEATURES) == (
        "<Features 10 of 12 used: "
        + ", ".join(f"<b>{place}</b>" for place in range(8))
        + ", and 2 more>"
    )


def test_a_job_shows_its_answer_and_its_text_is_escaped() -> None:
    job = make_answered_job(name="<script>alert(1)</script>").model_dump(mode="json")
    with scripted(Answer(200, job)) as script, Client(script.url) as client:
        shown = client.job("1")._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "recommended" in shown


ANSWERED = Answer(200, make_answered_job().model_dump(mode="json"))
HOSTILE = b'<svg onload="alert(1)"><script>alert(2)</script><g id="clip1"/></svg>'
PLOT = Answer(200, HOSTILE, "image/svg+xml")
IMAGE = re.compile('<img alt="([^"]*)"[^>]*src="data:image/svg[+]xml;base64,([^"]*)">')


def images(shown: str) -> dict[str, bytes]:
    return {name: base64.b64decode(data) for name, data in IMAGE.findall(shown)}


def test_a_job_shows_two_plots_as_images_that_run_nothing() -> None:
    with scripted(ANSWERED, PLOT) as script, Client(script.url) as client:
        job = client.job("1")
        shown = job._repr_html_()
    assert images(shown) == {"plot penalties": HOSTILE, "plot path": HOSTILE}
    assert "<script" not in shown
    assert "<svg" not in shown
    assert [request.path for request in script.requests[1:]] == [
        f"/v1/jobs/{job.id}/plots/{name}?format=svg&theme=light" for name in ("penalties", "path")
    ]


def test_a_job_shows_the_plots_that_there_are() -> None:
    with scripted(ANSWERED, problem(404, "nothing"), PLOT) as script, Client(script.url) as client:
        shown = client.job("1")._repr_html_()
    assert images(shown) == {"plot path": HOSTILE}
    assert "recommended" in shown


@pytest.mark.parametrize(
    "answer",
    [
        problem(409, "the data set is gone"),
        problem(422, "theme"),
        problem(503, "busy"),
        Answer(401, b"<html>who are you?</html>", "text/html"),
        Answer(200, b"<html>log in</html>", "text/html"),
        Answer(302, b"", headers={"Location": "/"}),
        Answer(200, None),
        Answer(200, b"no gzip", "image/svg+xml", {"Content-Encoding": "gzip"}),
    ],
    ids=lambda answer: f"{answer.status} {answer.kind}",
)
def test_a_job_is_shown_without_plots_where_there_is_no_way_to_them(answer: Answer) -> None:
    with scripted(ANSWERED, answer) as script, Client(script.url) as client:
        shown = client.job("1")._repr_html_()
    assert "recommended" in shown
    assert "<img" not in shown
    assert len(script.requests) <= 3  # nothing is tried again


def test_a_job_is_shown_when_its_client_is_closed_or_its_service_gone() -> None:
    with scripted(ANSWERED) as script, Client(script.url) as client:
        job = client.job("1")
    closed, open_to_none = job._repr_html_(), Client(script.url)
    assert len(script.requests) == 1
    gone = type(job).of(job, open_to_none)._repr_html_()
    open_to_none.close()
    assert closed == gone
    assert "recommended" in closed


def test_no_plots_are_asked_for_before_there_is_an_answer() -> None:
    running = Answer(200, make_job().model_dump(mode="json"))
    with scripted(running) as script, Client(script.url) as client:
        assert "running" in client.job("1")._repr_html_()
    assert len(script.requests) == 1


def test_a_notebook_shows_features_as_a_table(notebook: Any) -> None:
    assert html(notebook, FEATURES) == ""
    notebooks.show_answers()
    assert "&lt;b&gt;0&lt;/b&gt;" in html(notebook, FEATURES)


def test_a_notebook_has_a_bar_that_moves(notebook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Display:
        def update(self, html: Any) -> None:
            shown.append(html.data)

    monkeypatch.setattr("IPython.display.display", lambda *_, **__: Display())
    running, done = (job.model_dump(mode="json") for job in (make_job(), make_answered_job()))
    with scripted(Answer(200, running), Answer(200, done)) as script, Client(script.url) as client:
        client.wait("1", progress=True, poll_seconds=0.01)
    assert len(shown) == 2
    assert 'value="0.5000"' in shown[0]
    assert 'value="1.0000"' in shown[1]


def test_a_terminal_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("IPython.get_ipython", InteractiveShell)
    assert notebooks.shell() is None


def test_a_client_outside_a_notebook_loads_no_notebook() -> None:
    code = (
        "import sys; from ridgeway import Client; Client('http://127.0.0.1:1');"
        "print('IPython' in sys.modules, 'ridgeway.client.notebooks' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "False"]
