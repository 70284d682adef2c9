"""Plug-ins that change what all jobs of a worker share: the jobs after them don't notice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import pytest
from deployments import Deployment, Installation

from ridgeway.client.client import Client
from ridgeway.errors import JobFailed
from ridgeway.views import Job

# Each does one thing that torch, numpy, Python or the system keeps for the whole process.
CODE = """
import os, random, signal, sys, warnings
import numpy as np
import pandas as pd
import torch
from torch import nn

KEPT = []


def enter(mode):
    KEPT.append(mode)
    mode.__enter__()


DOES = {
    "dtype": lambda: torch.set_default_dtype(torch.float64),
    "device": lambda: torch.set_default_device("meta"),
    "gradients": lambda: torch.set_grad_enabled(False),
    "inference": lambda: enter(torch.inference_mode()),
    "anomalies": lambda: torch.autograd.set_detect_anomaly(True),
    "threads": lambda: torch.set_num_threads(3),
    "determinism": lambda: torch.use_deterministic_algorithms(True),
    "products": lambda: torch.set_float32_matmul_precision("medium"),
    "cudnn": lambda: setattr(torch.backends.cudnn, "deterministic", True),
    "onednn": lambda: setattr(torch.backends.mkldnn, "enabled", False),
    "denormals": lambda: torch.set_flush_denormal(True),
    "autocast": lambda: torch.set_autocast_enabled("cpu", True),
    "errors": lambda: np.seterr(all="raise"),
    "folder": lambda: os.chdir("/"),
    "environment": lambda: os.environ.update(TZ="Asia/Tokyo"),
    "signals": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "alarm": lambda: signal.alarm(2),
    "recursion": lambda: sys.setrecursionlimit(200),
    "warnings": lambda: warnings.simplefilter("error"),
    "seeds": lambda: (torch.manual_seed(1), np.random.seed(1), random.seed(1)),
}


class Careless(nn.Module):
    def __init__(self, inputs, outputs, does, called=False):
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)
        self.does, self.called = does, called
        if not called:
            DOES[does]()

    def forward(self, batch):
        answer = self.layer(batch)
        if self.called:
            DOES[self.does]()
        return answer


class Plain(nn.Module):
    "Draws its weights from every generator that there is."

    def __init__(self, inputs, outputs):
        super().__init__()
        self.layer = nn.Linear(inputs, 6)
        self.out = nn.Linear(6, outputs)
        with torch.no_grad():
            self.out.weight.mul_(random.random())
            self.out.bias.copy_(torch.as_tensor(np.random.normal(size=outputs)))

    def forward(self, batch):
        return self.out(torch.sigmoid(self.layer(batch)))


def rows():
    torch.set_default_dtype(torch.float64)
    X = np.random.normal(size=(120, 4))
    return pd.DataFrame(X, columns=list("abcd")).assign(y=2 * X[:, 0] + X[:, 1])
"""
IMPORTED = """
import os
import torch
from careless import Plain

torch.set_default_dtype(torch.float64)
torch.set_grad_enabled(False)
os.chdir("/")
"""
ENTRY_POINTS = """
[ridgeway.models]
careless = careless:Careless
plain = careless:Plain
imported = imported:Plain

[ridgeway.datasets]
careless_rows = careless:rows
"""
CHANGES = {
    "dtype": "torch's default dtype",
    "device": "torch's default device",
    "gradients": "torch's gradient mode",
    "inference": "torch's inference mode",
    "anomalies": "torch's anomaly detection",
    "threads": "the number of torch's threads",
    "determinism": "torch's deterministic algorithms",
    "products": "torch's precision of float32 products",
    "cudnn": "cuDNN's switches",
    "onednn": "torch's use of oneDNN",
    "denormals": "the flushing of denormal numbers",
    "autocast": "torch's autocast",
    "errors": "numpy's handling of errors",
    "folder": "the working directory",
    "environment": "the environment",
    "signals": "the handlers of signals",
    "alarm": "the alarm clock",
    "recursion": "the limit of recursion",
    "warnings": None,  # importing a library changes them
    "seeds": None,  # whoever draws may seed
}
UNTRAINABLE_BY_IT = {"gradients", "inference", "device", "recursion"}  # if every call does it

SMALL = {
    "dataset": "wine",
    "trials": 4,
    "epochs": 2,
    "validation": {"kind": "folds", "folds": 2},
}
OURS = {"kind": "mlp", "hidden": [5], "dropout": 0.2}
OTHERS = ({"model": OURS}, {"model": {"kind": "plain"}})


@pytest.fixture(scope="module")
def deployment(
    source_tree: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """One worker, which has to do all jobs in turn."""
    packages = tmp_path_factory.mktemp("packages")
    metadata = packages / "careless-1.0.dist-info"
    metadata.mkdir()
    (packages / "careless.py").write_text(CODE)
    (packages / "imported.py").write_text(IMPORTED)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: careless\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    data = tmp_path_factory.mktemp("careless") / "data"
    path = os.pathsep.join([str(packages), *filter(None, [os.environ.get("PYTHONPATH")])])
    deployed = source_tree.serve(data, workers=1, environment={"PYTHONPATH": path})
    yield deployed
    deployed.stop()


@pytest.fixture(scope="module")
def of_a_fresh_worker(deployment: Deployment) -> list[list[float | None]]:
    """What the other jobs' trials reach before any plug-in has changed anything."""
    with deployment.client as client:
        return [values(client, run(client, other)) for other in OTHERS]


def run(client: Client, fields: dict[str, object]) -> Job:
    job = client.submit({**SMALL, **fields})
    with suppress(JobFailed):
        client.wait(job, poll_seconds=0.05, timeout=120)
    return client.job(job)


def values(client: Client, job: Job) -> list[float | None]:
    assert job.state == "succeeded", job.error
    return [trial.value for trial in client.trials(job)]


@pytest.mark.parametrize("does", CHANGES)
def test_what_a_model_changes_leaks_into_no_other_job(
    deployment: Deployment, of_a_fresh_worker: list[list[float | None]], does: str
) -> None:
    name, pids = CHANGES[does], deployment.pids("workers")
    note = f"the model plug-in 'careless' changed {name}; it was put back"
    with deployment.client as client:
        for called in (False, True):
            careless = run(client, {"model": {"kind": "careless", "does": does, "called": called}})
            if not (called and does in UNTRAINABLE_BY_IT):
                assert careless.state == "succeeded", careless.error
                told = [warning for warning in careless.warnings if "was put back" in warning]
                assert told == ([] if name is None else [note])
        assert [values(client, run(client, other)) for other in OTHERS] == of_a_fresh_worker
    assert deployment.pids("workers") == pids


def test_what_importing_a_plug_in_changes_leaks_not_even_into_its_own_job(
    deployment: Deployment, of_a_fresh_worker: list[list[float | None]]
) -> None:
    with deployment.client as client:
        imported = run(client, {"model": {"kind": "imported"}})
        assert values(client, imported) == of_a_fresh_worker[1]
        assert [values(client, run(client, other)) for other in OTHERS] == of_a_fresh_worker
    changed = ("torch's gradient mode", "torch's default dtype", "the working directory")
    notes = [f"the model plug-in 'imported' changed {name}; it was put back" for name in changed]
    assert set(notes) <= set(imported.warnings)


def test_a_data_sets_plug_in_reads_the_same_rows_whatever_ran_before(
    deployment: Deployment, of_a_fresh_worker: list[list[float | None]]
) -> None:
    fields = {"dataset": "careless_rows", "model": OURS}
    with deployment.client as client:
        first = run(client, fields)
        kept = values(client, first)
        run(client, {"model": {"kind": "careless", "does": "seeds", "called": True}})
        assert values(client, run(client, fields)) == kept
        assert [values(client, run(client, other)) for other in OTHERS] == of_a_fresh_worker
    note = "the data set's plug-in 'careless_rows' changed torch's default dtype; it was put back"
    assert note in first.warnings
