"""What README tells people to type is typed here, against a running service."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from deployments import REPOSITORY, Deployment

ADDRESS = "http://127.0.0.1:8000"
README = (REPOSITORY / "README.md").read_text()


def blocks(heading: str, language: str) -> list[str]:
    """The code blocks of a language under a heading."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


@pytest.fixture(scope="module")
def serving(source_tree, tmp_path_factory) -> Deployment:
    deployment = source_tree.serve(tmp_path_factory.mktemp("readme") / "data")
    yield deployment
    deployment.stop()


def type_in(script: str, serving: Deployment, folder: Path) -> str:
    """Run a shell script in a folder, fail where a command of it fails; its output."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace(ADDRESS, serving.url)],
        cwd=folder,
        env={**os.environ, "PATH": path, "RIDGEWAY_URL": serving.url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_curl_session_gives_an_answer(serving, tmp_path):
    (session,) = blocks("A search job, by hand", "sh")
    told = type_in(session.replace("curl -sS", "curl -sS --fail-with-body"), serving, tmp_path)
    assert '"paused"' in told
    job = json.loads((tmp_path / "posted.json").read_text())
    with serving.client as client:
        done = client.job(job["id"])
    assert done.recommended is not None
    assert (tmp_path / "model.safetensors").stat().st_size > 1000


def test_the_command_line_takes_the_same_job(serving, tmp_path):
    (session,) = blocks("A search job, by hand", "sh")
    (tmp_path / "job.json").write_text(session.split("<<'JSON'\n")[1].split("JSON\n")[0])
    told = type_in("ridgeway submit job.json --wait", serving, tmp_path)
    assert "digits, which penalty?" in told


def test_the_python_session_prints_the_recommended_parameters(serving, tmp_path):
    (session,) = blocks("A search job, by hand", "python")
    done = subprocess.run(
        [sys.executable, "-c", session.replace(ADDRESS, serving.url)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "'penalty'" in done.stdout


def test_ones_own_csv_is_uploaded_as_told(serving, tmp_path):
    rows = "".join(f"{i},{i % 7},{i % 2}\n" for i in range(60))
    (tmp_path / "spam.csv").write_text("words,links,spam\n" + rows)
    (session,) = blocks("Your own data", "sh")
    told = type_in(session.replace("curl -sS", "curl -sS --fail-with-body"), serving, tmp_path)
    assert "spam-again" in told
    with serving.client as client:
        named = {dataset.name for dataset in client.datasets()}
    assert "spam" in named
    assert not {"spam-again", "spam-2"} & named  # renamed, and deleted


def test_every_file_that_readme_links_to_is_there():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    local = [link for link in links if "://" not in link]
    assert local
    assert [link for link in local if not (REPOSITORY / link).exists()] == []
