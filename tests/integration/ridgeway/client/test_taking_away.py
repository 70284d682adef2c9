"""A job from a table in memory to what is taken away of it: by the client, and by `export`."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner
from serving import Served

import ridgeway
from ridgeway.cli import main
from ridgeway.client.client import Client
from ridgeway.client.handle import JobHandle
from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.errors import InvalidInput, NotFound
from ridgeway.jobs import lifecycle
from ridgeway.settings import Settings
from workers.loop.worker import Worker

# What is taken away is the same on each database.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def flats() -> pd.DataFrame:
    """Make a table with gaps and a column of categories."""
    rng = np.random.default_rng(1)
    area, kind = rng.normal(100, 30, 120), rng.choice(["flat", "house"], 120)
    price = 1000 * area + np.where(kind == "flat", -20_000, 0) + rng.normal(0, 9000, 120)
    area[::9] = np.nan
    return pd.DataFrame({"kind": pd.Categorical(kind), "area": area, "price": price})


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    with Client(served.url) as client:
        yield client


@pytest.fixture
def job(client: Client, database: Database, service_settings: Settings) -> JobHandle:
    """A job on a DataFrame, answered."""
    submitted = client.submit(
        dataset=flats(),
        target="price",
        model={"kind": "linear"},
        search={"lambda": [1e-3, 1e-2]},
        trials=6,
        name="flats; DROP TABLE",
    )
    worker = Worker(
        database, Store.of(service_settings), service_settings, lifecycle.new_id(), "cpu"
    )
    while worker.work_once():
        pass
    return submitted.wait(progress=False)


def test_a_job_gives_its_pictures_and_its_report(job: JobHandle, tmp_path: Path) -> None:
    picture = job.plot("penalties", theme="dark", width=400)
    assert picture.content.startswith(b"<svg")
    assert job.plot("penalties", "json").spec["description"]
    assert job.report(tmp_path / "report.html") == (tmp_path / "report.html").read_text()
    shown = job._repr_html_()
    assert job.recommended is not None
    assert job.recommended.verdict is not None
    assert job.recommended.verdict.sentence[:40] in shown
    assert shown.count("<img ") == 2


def test_a_table_is_submitted_predicted_and_read_back(
    client: Client, job: JobHandle, tmp_path: Path
) -> None:
    rows = flats().drop(columns="price").head(5)
    mine = job.load_model().predict(rows)
    np.testing.assert_allclose(np.array(job.predict(rows).predictions, float), mine, rtol=1e-6)
    arrow = pa.Table.from_pandas(rows, preserve_index=False)
    assert client.predict(job, arrow) == job.predict(rows)
    best = client.download_model(job, tmp_path / "best.safetensors", "best")
    np.testing.assert_array_equal(
        job.load_model("best").predict(rows), ridgeway.load_model(best).predict(rows)
    )
    with pytest.raises(NotFound, match="linear"):
        job.load_model("linear")
    trials = job.trials_frame()
    values = [trial.value for trial in client.trials(job)]
    np.testing.assert_array_equal(trials["value"], np.array(values, float))
    assert len(trials) == job.progress.trials

    # The same table is the same data set, whatever it comes as.
    assert isinstance(job.spec, ridgeway.JobSpec)
    assert client.add_dataset(pa.table(flats())).name == job.spec.dataset
    assert client.add_dataset(flats().set_index(np.arange(120) + 7)).name == job.spec.dataset


def test_a_job_is_named_by_the_beginning_of_its_id_or_as_the_last(
    client: Client, served: Served, job: JobHandle
) -> None:
    assert client.job(job.id[:13]).id == client.job("last").id == job.id
    later = client.submit(dataset="wine")
    assert client.job("last").id == later.id
    with pytest.raises(InvalidInput, match="is how several jobs' ids begin: .*" + job.id):
        client.job(job.id[:4])  # they were made within the same hours
    with pytest.raises(NotFound):
        client.cancel("ffff-ffff")
    assert client.job("last").state == "queued"

    runner = CliRunner()
    shown = runner.invoke(main, ["status", job.id[:13], "--json", "--url", served.url])
    assert json.loads(shown.stdout)["id"] == job.id
    refused = runner.invoke(main, ["cancel", job.id[:4], "--url", served.url])
    assert refused.exit_code == 2
    assert ridgeway.load_model(job.id[:13], served.url).predict(flats()).shape == (120,)


def test_a_folder_and_csv_hold_what_the_service_told(
    client: Client, served: Served, job: JobHandle, tmp_path: Path
) -> None:
    folder = tmp_path / "away"
    given = ["export", "last", "--url", served.url, "--to"]
    made = CliRunner().invoke(main, [*given, "folder", "--out", str(folder)])
    assert (made.exit_code, made.stdout) == (0, f"{folder}\n")
    assert {path.name for path in folder.iterdir()} >= {
        *("answer.json", "features.json", "job.json", "model.safetensors", "path.json"),
        "trials.csv",
    }
    assert (folder / "model.safetensors").read_bytes() == client.model(job)
    told = ridgeway.load_model(folder / "model.safetensors").predict(flats())
    np.testing.assert_array_equal(told, job.load_model().predict(flats()))

    printed = CliRunner().invoke(main, [*given, "csv"]).stdout
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(printed)), job.trials_frame())
    refused = CliRunner().invoke(main, [*given, "folder", "--out", "/dev/null/away"])
    assert refused.exit_code == 2
    assert "--out" in refused.stderr
