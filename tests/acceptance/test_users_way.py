"""A user's way as README begins: install, search a table, read the report, predict new rows."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
from browsers import opened
from deployments import PATIENCE_SECONDS, REPOSITORY, Installation
from foreign import by_onnx

import ridgeway
from ridgeway.model.model import Model

README = (REPOSITORY / "README.md").read_text()
SHELL = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)[0]
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
OPEN = 'xdg-open() { echo "$1" > opened.txt; }\n'  # there is no desktop to open a page on


def write_tables(folder: Path) -> None:
    """Write `shop.csv` with categories, gaps and rows without a target, and `new.csv` without."""
    chance = np.random.default_rng(0)
    n = 320
    city = chance.choice(["Bergen", "Oslo", "Tromsø"], n)
    table = pd.DataFrame(
        {
            "age": chance.integers(18, 80, n).astype(float),
            "city": city,
            "member": chance.random(n) < 0.5,
            "visits": chance.poisson(3, n),
            "noise": chance.normal(size=n).round(3),
        }
    )
    logit = 0.1 * (table["age"] - 45) + 0.5 * (table["visits"] - 3) + 2 * (city == "Oslo")
    table["buys"] = np.where(chance.random(n) < 1 / (1 + np.exp(-logit)), "yes", "no")
    table.loc[::9, "age"] = np.nan
    table.loc[::7, "city"] = None
    new = table.iloc[300:].drop(columns="buys")
    new.iloc[1, 1] = "Bodø"  # a level that no row of the search has
    table.loc[5:6, "buys"] = None
    table.iloc[:300].to_csv(folder / "shop.csv", index=False)
    new.to_csv(folder / "new.csv", index=False)


@pytest.fixture(scope="module")
def folder(wheel: Installation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which README's first commands were typed, after its installation."""
    made = tmp_path_factory.mktemp("users_way")
    write_tables(made)
    install, *commands = SHELL.splitlines()
    assert install.startswith("pip install '.[local]'")  # which `wheel` has done
    script = OPEN + "\n".join(commands).replace("new.csv", "new.csv | tee predicted.txt")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=made,
        env={**os.environ, "PATH": f"{Path(wheel.python).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    """The recommended model, from the folder of the answer."""
    return ridgeway.load_model(folder / "shop-answer" / "model.safetensors")


@pytest.fixture(scope="module")
def new(folder: Path) -> pd.DataFrame:
    """The new rows as they are read from their file."""
    return pd.read_csv(folder / "new.csv")


def test_the_report_opens_in_a_browser_and_begins_with_the_verdict(folder: Path) -> None:
    page_file = folder / (folder / "opened.txt").read_text().strip()
    answer = json.loads((folder / "shop-answer" / "answer.json").read_text())
    with opened(page_file.as_uri()) as page:
        assert answer["verdict"]["sentence"].split(": ")[0] in page.inner_text(".verdict")
        assert page.locator("figure svg").count() >= 4


def test_the_model_tells_buyers_from_others(model: Model, folder: Path) -> None:
    known = pd.read_csv(folder / "shop.csv").dropna(subset="buys")
    assert (model.predict(known) == known["buys"]).mean() > 0.75
    assert {"age", "city", "visits"} <= set(model.features)


def test_the_command_line_predicts_what_the_model_does(
    model: Model, new: pd.DataFrame, folder: Path
) -> None:
    rows = list(csv.DictReader(io.StringIO((folder / "predicted.txt").read_text())))
    assert [row["prediction"] for row in rows] == model.predict(new).tolist()


def test_readmes_python_predicts_what_the_model_does(
    model: Model, new: pd.DataFrame, folder: Path, wheel: Installation
) -> None:
    *before, last = PYTHON.strip().splitlines()
    script = "\n".join([*before, f"print(*({last.partition('#')[0].strip()}))"])
    told = subprocess.run(
        [wheel.python, "-P", "-c", script], cwd=folder, capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == model.predict(new).tolist()


def test_onnx_predicts_what_the_model_does(model: Model, new: pd.DataFrame, folder: Path) -> None:
    outputs = by_onnx((folder / "model.onnx").read_bytes(), new)
    assert np.allclose(outputs["probabilities"], model.predict_proba(new), rtol=0, atol=1e-6)
    assert outputs["label"].ravel().tolist() == model.predict(new).tolist()


@pytest.fixture(scope="module")
def service(wheel: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service from the same installation."""
    deployment = wheel.serve(tmp_path_factory.mktemp("served") / "data", workers=1)
    yield deployment.url
    deployment.stop()


def test_a_service_answers_the_same_job_with_the_same_model(
    model: Model, new: pd.DataFrame, folder: Path, service: str
) -> None:
    spec = json.loads((folder / "shop-answer" / "job.json").read_text())["spec"]
    with ridgeway.Client(service) as client:
        dataset = client.add_dataset(folder / "shop.csv", name="shop")
        job = client.wait(client.submit({**spec, "dataset": dataset.name}), timeout=120)
        own = ridgeway.load_model(client.download_model(job, folder / "served.safetensors"))
    answered = httpx.post(
        f"{service}{job.links.self}/predict",
        content=(folder / "new.csv").read_bytes(),
        headers={"Content-Type": "text/csv"},
        timeout=60,
    )
    assert answered.status_code == 200, answered.text
    by_rest = answered.json()
    assert by_rest["predictions"] == own.predict(new).tolist()
    probabilities = np.array(by_rest["probabilities"])
    assert np.allclose(probabilities, own.predict_proba(new), rtol=0, atol=1e-6)
    # The service's worker has searched as the command did, from the same seed.
    assert np.allclose(probabilities, model.predict_proba(new), rtol=0, atol=1e-6)
