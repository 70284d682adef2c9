"""The answer and the lists as a person reads them."""

from __future__ import annotations

import re

import pytest
from rich.console import Console
from scripted import make_answered_job, make_job

from ridgeway.answers import Debias
from ridgeway.client.show import JobProgress, job_summary, job_table, write
from ridgeway.views import StoredSpec
from ridgeway.words import duration, number


def shown(capsys: pytest.CaptureFixture[str], renderable: object) -> str:
    write(renderable)  # type: ignore[arg-type]
    return capsys.readouterr().out


def test_the_answer_names_the_best_and_the_recommended(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, job_summary(make_answered_job()))
    assert "succeeded   40/40 trials, 1 failed in 10.0 s, 4.0 trials/s" in text
    assert re.search(r"Best trial +loss 0\.0412 ± 0\.00300 +trial 17, mean ± standard error", text)
    assert re.search(r"Recommended +L1   λ 0\.00213   learning rate 0\.0100", text)
    assert "test: 36 rows, sealed until the search was over, opened once" in text


def test_the_answer_compares_four_models_on_the_sealed_test_set(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = shown(capsys, job_summary(make_answered_job()))
    rows = {line.split()[0]: re.split(r" {2,}", line.strip()) for line in text.splitlines() if line}
    assert rows["recommended"][1:] == [
        "L1",
        "0.0431 ± 0.00300",
        "0.972",
        "0.0801",
        "812 of 25856",
        "11",
    ]
    assert rows["best"][3:5] == ["0.944", "0.0902"]
    assert rows["unpenalised"][1:5] == ["no penalty", "0.0523 ± 0.00300", "0.917", "0.111"]
    assert rows["constant"][1:] == ["0.389", "1.09"]


def test_a_pipe_gets_neither_colours_nor_trailing_blanks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = shown(capsys, job_summary(make_answered_job()))
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_a_job_on_its_way_shows_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, job_summary(make_job(warnings=["Mind the gap."])))
    assert "running   20/40 trials, 1 failed   best loss 0.0412   1 min 15 s left" in text
    assert "Note: Mind the gap." in text


def test_a_failed_job_shows_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert "All diverged." in shown(
        capsys, job_summary(make_job(state="failed", error="All diverged."))
    )


def test_ids_are_whole_and_brackets_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    job = make_job(name="[bold]x[/nonsense]")
    text = shown(capsys, job_table([job]))
    assert job.id in text
    assert "[bold]x[/nonsense]" in text


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(force_terminal=True, width=100, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    monkeypatch.setattr("ridgeway.client.show.console", lambda stderr=False: terminal)
    with JobProgress() as bar:
        bar.update(make_job())
    terminal.file.close()
    assert "20/40 trials   best loss 0.0412" in terminal.export_text()


def test_a_job_shows_how_far_its_populations_in_training_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    job = make_job()
    progress = job.progress.model_copy(update={"fraction": 0.537})
    further = job.model_copy(update={"progress": progress})
    text = shown(capsys, job_summary(further))
    assert "20/40 trials, 1 failed   best loss 0.0412   53% done   1 min 15 s left" in text


def test_a_pipe_gets_a_line_for_every_tenth_of_the_way(capfd: pytest.CaptureFixture[str]) -> None:
    job = make_job()
    with JobProgress() as bar:
        for fraction in (0.5, 0.55, 0.59, 0.61):
            progress = job.progress.model_copy(update={"fraction": fraction})
            bar.update(job.model_copy(update={"progress": progress}))
    lines = capfd.readouterr().err.splitlines()
    assert [line.split("   ")[2] for line in lines] == ["1 min 15 s left", "61% done"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0712, "0.0712"),
        (0.5, "0.500"),
        (1e-3, "0.00100"),
        (2.1e-5, "2.10e-5"),
        (1234.5, "1234"),
        (3.2e7, "3.20e7"),
        (-0.25, "-0.250"),
        (None, "-"),
        ("l1", "l1"),
    ],
)
def test_numbers_have_three_digits(value: float | str | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(8.34, "8.3 s"), (250.4, "4 min 10 s"), (7500, "2 h 5 min")]
)
def test_durations_are_said_as_people_do(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_answer_names_whatever_the_trial_has_searched(
    capsys: pytest.CaptureFixture[str],
) -> None:
    job = make_answered_job()
    assert job.recommended is not None
    solved = {"penalty": "l1", "lambda": 0.25}
    searched = {"penalty": "none", "dropout": 0.5, "label_smoothing": 0.125, "input_noise": 0.0}
    for params, told in (
        (solved, r"Recommended +L1   λ 0\.250\n"),
        (searched, r"no penalty   dropout 0\.500   label smoothing 0\.125   input noise 0\n"),
    ):
        simplest = job.recommended.simplest.model_copy(update={"params": params})
        answer = job.recommended.model_copy(update={"simplest": simplest})
        text = shown(capsys, job_summary(make_answered_job(recommended=answer)))
        assert re.search(told, text)


def test_the_answer_names_the_same_strength_in_other_libraries(
    capsys: pytest.CaptureFixture[str],
) -> None:
    job = make_answered_job()
    assert job.recommended is not None
    told = {"sklearn": {"alpha": 22.5}, "sklearn_raw_target": {"alpha": 1.2345678}}
    told["torch"] = {"weight_decay": 0.125}
    simplest = job.recommended.simplest.model_copy(update={"equivalents": told})
    answer = job.recommended.model_copy(update={"simplest": simplest})
    text = shown(capsys, job_summary(make_answered_job(recommended=answer)))
    assert re.search(r"Elsewhere +scikit-learn: alpha 22\.5\n", text)
    assert "scikit-learn, target not standardised: alpha 1.23457\n" in text
    assert "torch.optim, weights alone: weight_decay 0.125\n" in text


def test_the_answer_tells_the_debiased_beside_the_penalised(
    capsys: pytest.CaptureFixture[str],
) -> None:
    job = make_answered_job()
    assert job.recommended is not None
    assert "Debiased" not in shown(capsys, job_summary(job))
    told = Debias(
        penalised=0.5,
        debiased=0.25,
        difference=0.25,
        interval=(0.125, 0.375),
        p=0.01,
        features=3,
        nonzero_weights=3,
        sealed_penalised=0.75,
        sealed_debiased=0.875,
    )
    answer = job.recommended.model_copy(update={"debias": told})
    text = shown(capsys, job_summary(make_answered_job(recommended=answer)))
    words = "loss 0.250, penalised 0.500, better by 0.250 (0.125 to 0.375), on fresh splits"
    assert words in " ".join(text.split())
    assert "0.875, penalised 0.750, test" in text


def test_a_job_that_can_not_be_read_is_shown_with_why(capsys: pytest.CaptureFixture[str]) -> None:
    told = "This release can't read the job's spec: tomorrow: unknown field."
    by_the_service = make_job(spec=StoredSpec("?"), name="", unreadable=told)
    by_the_client = make_answered_job(spec=StoredSpec({"tomorrow": 1}))
    write(job_summary(by_the_service))
    write(job_summary(by_the_client))
    write(job_table([by_the_service, by_the_client]))
    shown = capsys.readouterr().out
    assert f"Note: {told}" in shown
    assert "which this client can't read" in shown
    assert "value 0.0412" in shown
