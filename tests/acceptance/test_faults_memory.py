"""Memory that runs out in a worker: the population is halved, and no trial fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from deployments import Deployment, Installation, checked, deployed

from workers.population.run import FEWER_NOTE

# A model that leaves room for two members side by side, whatever the machine has.
MODEL = """
from torch import nn


def large(inputs, outputs):
    from workers.minibatch.trainer import Trainer

    train = Trainer.train_epoch

    def with_room_for_two(self, chunk, batches):
        if len(chunk.members) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return train(self, chunk, batches)

    if train.__name__ == "train_epoch":
        Trainer.train_epoch = with_room_for_two
    return nn.Linear(inputs, outputs)
"""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def deployment(
    request: pytest.FixtureRequest,
    source_tree: Installation,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    packages = _packages(tmp_path_factory.mktemp("crowded"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(packages))
        yield from deployed(request, source_tree, tmp_path_factory)


def _packages(folder: Path) -> Path:
    """The model as pip would install it."""
    packages = folder / "packages"
    metadata = packages / "large-1.0.dist-info"
    metadata.mkdir(parents=True)
    (packages / "large_model.py").write_text(MODEL)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: large\nVersion: 1.0\n")
    entry_points = "[ridgeway.models]\nlarge = large_model:large\n"
    (metadata / "entry_points.txt").write_text(entry_points)
    return packages


def test_a_population_that_does_not_fit_is_halved_and_no_trial_fails(deployment):
    small = {"dataset": "wine", "model": {"kind": "large"}, "trials": 60, "epochs": 5}
    with deployment.client as client:
        job = client.submit(small)
    done = checked(deployment, job)
    assert (done.progress.complete, done.progress.failed) == (60, 0)
    assert FEWER_NOTE in done.warnings
