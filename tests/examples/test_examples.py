"""Every program in examples/ runs to its end against a service, and prints what it promises."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployments import REPOSITORY, Deployment, Installation

EXAMPLES = REPOSITORY / "examples"
README = (REPOSITORY / "README.md").read_text()


@pytest.fixture(scope="module")
def plug_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the example's package is installed in."""
    folder = tmp_path_factory.mktemp("plug_in")
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation"]
    options = ["--no-index", "--target", str(folder), str(EXAMPLES / "plug_in")]
    subprocess.run([*install, *options], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def serving(plug_in: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A service for all examples, with the plug-in beside its workers."""
    folder = tmp_path_factory.mktemp("examples")
    installation = Installation(sys.executable, folder)
    deployment = installation.serve(
        folder / "data", workers=1, environment={"PYTHONPATH": str(plug_in)}
    )
    yield deployment
    deployment.stop()


def run(name: str, serving: Deployment, folder: Path, *arguments: str) -> str:
    """Return what an example prints; fail with what it says where it fails."""
    done = subprocess.run(
        [sys.executable, "-P", str(EXAMPLES / name), *arguments],
        cwd=folder,
        env={**os.environ, "RIDGEWAY_URL": serving.url},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_own_csv_is_predicted_far_better_than_by_a_constant(serving, tmp_path):
    told = run("own_csv.py", serving, tmp_path)
    assert "soil: 300 rows" in told
    assert float(re.search(r"r2 on 60 sealed rows: (\S+)", told)[1]) > 0.9
    assert float(re.search(r"the constant predictor's: (\S+)", told)[1]) < 0.1
    assert (tmp_path / "model.safetensors").stat().st_size > 500


def test_own_csv_takes_a_file_and_its_target(serving, tmp_path):
    rows = "".join(f"{i % 2},{i},{i * i % 7}\n" for i in range(80))
    (tmp_path / "mail.csv").write_text("spam,words,links\n" + rows)
    told = run("own_csv.py", serving, tmp_path, "mail.csv", "spam")
    assert "mail: 80 rows" in told
    assert "accuracy on 16 sealed rows" in told


def test_other_programs_predict_the_same_prices(serving, tmp_path):
    told = run("other_programs.py", serving, tmp_path)
    lists = [json.loads(line[line.index("[") :]) for line in told.splitlines()]
    by_ridgeway, by_onnx, by_sklearn = lists
    assert by_ridgeway == pytest.approx(by_onnx, abs=0.01)
    assert by_ridgeway == pytest.approx(by_sklearn, abs=0.01)
    flat, house, _ = by_ridgeway
    assert 50_000 < flat < 70_000  # 1000 x 80 - 20000
    assert flat + 10_000 < house < 120_000  # of the median area, 100
    assert "# Model card" in (tmp_path / "model.md").read_text()


def test_own_model_is_trained_on_the_plug_in_s_data(serving, tmp_path):
    told = run("own_model.py", serving, tmp_path)
    assert float(re.search(r"accuracy on 60 sealed rows: (\S+)", told)[1]) > 0.8
    assert "of 80" in told  # 2 x 16 twice, and 16


def test_linear_to_the_optimum_converges_and_names_its_coefficients(serving, tmp_path):
    told = run("linear_to_the_optimum.py", serving, tmp_path)
    assert "for sklearn" in told
    lines = [line.split(maxsplit=1) for line in told.splitlines()]
    named = {name: what for name, what in lines if name in ("bmi", "bp", "s5")}
    assert all(float(what) > 0 for what in named.values())
    assert len(named) == 3
    assert "note" not in told


def test_the_pareto_front_goes_from_the_lowest_loss_to_the_fewest_weights(serving, tmp_path):
    told = run("pareto_front.py", serving, tmp_path)
    rows = [line.split() for line in told.splitlines()[1:-1]]
    losses, nonzeros = [float(row[1]) for row in rows], [float(row[2]) for row in rows]
    assert len(rows) > 1
    assert losses == sorted(losses)
    assert nonzeros == sorted(nonzeros, reverse=True)
    assert "recommended: trial" in told


def test_a_warm_start_learns_from_the_trials_of_the_first_job(serving, tmp_path):
    told = run("warm_start.py", serving, tmp_path)
    assert "first look: 20 trials" in told
    assert "warm: 20 trials to learn from, 20 of its own" in told


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_readme_links_to_the_example_which_has_a_test(name):
    assert f"(examples/{name})" in README
    assert f'run("{name}"' in Path(__file__).read_text()
