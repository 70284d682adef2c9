"""A package beside the workers offers a model and a data set, as README tells."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from deployments import REPOSITORY, Deployment, Installation

from ridgeway.errors import InvalidInput, JobFailed

DATA = """
import numpy as np
import pandas as pd


def load():
    chance = np.random.default_rng(0)
    X = chance.normal(size=(150, 4))
    return pd.DataFrame(X, columns=list("abcd")).assign(y=2 * X[:, 0] + 0.1 * X[:, 1])


def arrays():
    frame = load()
    return frame[list("abcd")].to_numpy(), frame["y"].to_numpy()


def broken():
    raise OSError("the file server is away")


def incomplete():
    return load().assign(y=float("nan"))
"""
ENTRY_POINTS = """
[ridgeway.models]
bottleneck = my_models:bottleneck

[ridgeway.penalties]
soft_lasso = my_penalties:SoftLasso
broken = my_data:broken

[ridgeway.datasets]
ours = my_data:load
arrays = my_data:arrays
broken = my_data:broken
incomplete = my_data:incomplete
"""


@pytest.fixture(scope="module")
def deployment(source_tree: Installation, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    packages = tmp_path_factory.mktemp("packages")
    _install(packages)
    data = tmp_path_factory.mktemp("plugins") / "data"
    deployed = source_tree.serve(data, workers=1, environment={"PYTHONPATH": str(packages)})
    yield deployed
    deployed.stop()


def _install(packages: Path) -> None:
    """As pip would: two modules and a distribution's metadata."""
    readme = (REPOSITORY / "README.md").read_text()
    found = re.search(r"```python\n# my_models.py\n(.*?)```", readme, re.DOTALL)
    assert found is not None
    (packages / "my_models.py").write_text(found[1])
    page = (REPOSITORY / "docs" / "penalties.md").read_text()
    penalty = re.search(r"```python\n# my_penalties.py\n(.*?)```", page, re.DOTALL)
    assert penalty is not None
    (packages / "my_penalties.py").write_text(penalty[1])
    (packages / "my_data.py").write_text(DATA)
    metadata = packages / "mine-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)


SMALL = {"trials": 10, "epochs": 20, "test_fraction": 0.3}


@pytest.mark.parametrize("dataset", ["ours", "arrays"])
def test_a_plugins_model_is_trained_on_a_plugins_data_set(deployment, dataset):
    with deployment.client as client:
        job = client.submit(SMALL, dataset=dataset, model={"kind": "bottleneck", "width": 3})
        done = client.wait(job, timeout=120)
        listed = {found.name: found.kind for found in client.datasets()}
    assert listed[dataset] == "plugin"
    assert done.recommended is not None
    assert done.recommended.test.metric == "r2"
    assert done.recommended.simplest.weights == 4 * 3 + 3
    assert done.recommended.test.best is not None
    assert done.recommended.test.best > 0.5 > done.recommended.test.baseline


def test_a_plugins_penalty_is_the_elastic_net_that_it_stands_for(deployment):
    """λ (Σ |w| + 0.1 Σ w²) is an elastic net of strength 1.1 λ with l1_ratio 1 / 1.1."""
    fields = {"dataset": "diabetes", "model": {"kind": "linear"}, "trials": 1}
    searches = {
        "soft_lasso": {"lambda": 0.2},
        "elastic_net": {"lambda": 0.22, "l1_ratio": 1 / 1.1},
    }
    values = []
    with deployment.client as client:
        for name, search in searches.items():
            job = client.submit(fields, precision="float64", search={"penalty": name, **search})
            done = client.wait(job, timeout=120)
            assert done.recommended is not None
            assert done.best is not None
            values.append(done.best.value)
    assert values[0] == pytest.approx(values[1], rel=1e-7)


def test_a_penalty_that_nobody_offers_is_refused_at_the_door(deployment):
    with deployment.client as client, pytest.raises(InvalidInput) as caught:
        client.submit(dataset="digits", search={"penalty": ["l1", "nobodys"]})
    (error,) = caught.value.errors
    assert (error.field, error.value) == ("search.penalty.1", "nobodys")
    assert "mcp, scad, l0.5, adaptive_l1, hierarchical, broken, soft_lasso" in error.message


def test_a_plugins_name_that_nobody_offers_is_refused_at_the_door(deployment):
    with deployment.client as client, pytest.raises(InvalidInput) as caught:
        client.submit(dataset="digits", model={"kind": "nobodys"})
    (error,) = caught.value.errors
    assert (error.field, error.value) == ("model.kind", "nobodys")
    assert "bottleneck" in error.message


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"dataset": "broken"}, "the file server is away"),
        (
            {"dataset": "ours", "search": {"penalty": "broken"}},
            "penalty 'broken' is a function, not a Penalty",
        ),
        ({"dataset": "incomplete"}, "missing values"),
        ({"dataset": "ours", "model": {"kind": "bottleneck", "colour": "red"}}, "colour"),
    ],
)
def test_a_plugin_that_fails_ends_its_job_with_what_it_said(deployment, fields, says):
    with deployment.client as client, pytest.raises(JobFailed, match=says):
        client.wait(client.submit(SMALL, **fields), timeout=120)
