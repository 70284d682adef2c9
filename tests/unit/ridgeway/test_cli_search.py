"""`ridgeway search`: a data file's answer in a folder, without a service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from light import lighten

import ridgeway
from ridgeway.cli import main
from ridgeway.local import search as searching


@pytest.fixture(scope="module", autouse=True)
def _light() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        lighten(patch)
        yield


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CSV with categories and gaps in the folder that the command runs in."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"age": rng.normal(40, 10, 200), "city": rng.choice(["Oslo", "Rome"], 200)}
    )
    score = (frame["age"] - 40) / 10 + 2 * (frame["city"] == "Oslo") + rng.normal(0, 0.3, 200)
    frame["buys"] = np.where(score > 1, "yes", "no")
    frame["noise"] = rng.normal(size=200)
    frame.loc[::9, "age"] = np.nan
    frame.loc[::7, "city"] = None
    frame.loc[3, "buys"] = None
    frame.to_csv(tmp_path / "shop.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "shop.csv"


def search(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["search", *arguments])


def test_the_answer_lies_in_a_folder_and_predicts(file: Path) -> None:
    result = search("shop.csv", "--target", "buys", "--trials", "3", "--penalty", "l1")
    assert result.exit_code == 0, result.output
    assert "shop.csv   succeeded   3/3 trials" in result.stdout
    assert "1 row without a 'buys' left out." in result.stdout
    assert "In shop-answer: answer.json, job.json, model.safetensors" in result.stdout
    job = json.loads(Path("shop-answer/job.json").read_text())
    assert job["recommended"] == json.loads(Path("shop-answer/answer.json").read_text())
    frame = pd.read_csv(file).dropna(subset="buys")
    predicted = ridgeway.load_model(Path("shop-answer/model.safetensors")).predict(frame)
    assert (predicted == frame["buys"]).mean() > 0.8
    assert (ridgeway.load_model("shop-answer").predict(frame) == predicted).all()  # the folder


def test_json_is_the_job_alone_on_standard_output() -> None:
    result = search("shop.csv", "--trials", "1", "--penalty", "l2", "--json", "--out", "there")
    assert json.loads(result.stdout)["spec"]["target"] == "noise"  # the last column
    assert Path("there/job.json").exists()


@pytest.mark.parametrize(
    ("arguments", "loss"),
    [
        (["--loss", "huber"], {"kind": "huber", "delta": 1.35}),
        (["--loss", "quantile", "--quantile", "0.9"], {"kind": "quantile", "quantile": 0.9}),
    ],
)
def test_a_regression_has_the_loss_that_is_asked_for(arguments: list[str], loss: object) -> None:
    result = search("shop.csv", "--trials", "1", "--penalty", "l2", "--json", *arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["spec"]["loss"] == loss


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.csv"], "no.csv"),
        (["shop.csv", "--target", "sells"], "no such column; columns: age, city"),
        (["shop.csv", "--task", "regression", "--target", "buys"], "regression needs numbers"),
        (
            ["shop.csv", "--model", "nets"],
            "is a model that no worker offers; accepted: linear, mlp",
        ),
        (["shop.csv", "--penalty", "l9"], "accepted: none, l1"),
        (["shop.csv", "--penalty", "l2", "--penalty", "l9"], '--penalty = "l9"'),
        (["shop.csv", "--groups", "house"], '--groups = "house": no such column'),
        (["names.csv"], "no input column besides what was left out as told at upload (`--column`"),
        (
            ["shop.csv", "--column", "age=date"],
            "--column = \"age=date\": column 'age' holds numbers",
        ),
        (["shop.csv", "--column", "city=number"], "accepted: category, drop"),
        (["shop.csv", "--column", "city=town"], "city=town"),
        (["shop.csv", "--column", "city"], "must be NAME=KIND"),
        (["shop.csv", "--column", "x=drop"], "no such column"),
        (["shop.csv", "--trials", "0"], "--trials"),
        (["shop.csv", "--loss", "huber", "--target", "buys"], "regression needs numbers"),
        (["shop.csv", "--quantile", "0.9"], "only with --loss quantile"),
        (["shop.csv", "--out", "shop.csv/there"], "Not a directory"),
        (["broken.csv"], "row 3"),
    ],
    ids=lambda own: " ".join(own) if isinstance(own, list) else None,
)
def test_what_can_not_be_is_exit_code_2_and_leaves_no_folder(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.csv").write_text("a,b\n1,2\n3\n")
    names = "".join(f"name {row},{row % 7}.5\n" for row in range(60))
    (tmp_path / "names.csv").write_text(f"who,y\n{names}")
    before = {*tmp_path.iterdir()}
    result = search(*arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert {*tmp_path.iterdir()} == before


def test_an_interrupt_is_exit_code_130_and_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(searching, "run", interrupted)
    result = search("shop.csv")
    assert result.exit_code == 130
    assert result.stderr.endswith("Interrupted. Nothing of it is left.\n")
    assert not (tmp_path / "shop-answer").exists()


def test_files_of_an_earlier_search_are_replaced_and_others_stay(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.html").write_text("old")
    (tmp_path / "out" / "mine.txt").write_text("mine")
    assert search("shop.csv", "--trials", "1", "--penalty", "l2", "--out", "out").exit_code == 0
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    assert "<html" in (tmp_path / "out" / "report.html").read_text()
