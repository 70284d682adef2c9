"""The store of a running service: what killed workers leave goes, what is at work stays."""

from __future__ import annotations

from pathlib import Path

from deployments import LONG, SMALL, Installation, checked, wait_until

from ridgeway.jobs.artifacts import MODEL
from ridgeway.views import Job

LONGER = {**LONG, "epochs": 400}


def test_what_killed_workers_leave_goes_and_an_answers_model_stays(
    source_tree: Installation, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    environment = {
        "RIDGEWAY_LEFTOVER_SECONDS": "3",
        "RIDGEWAY_SWEEP_SECONDS": "0.2",
        "RIDGEWAY_CHECKPOINT_SECONDS": "0.1",
    }
    deployment = source_tree.serve(data, workers=1, environment=environment)

    def files(job: Job) -> list[Path]:
        folder = data / "store" / "jobs" / job.id
        return [path for path in folder.rglob("*") if path.is_file()]

    try:
        with deployment.client as client:
            killed = client.submit(LONGER)
            wait_until(lambda: files(killed) != [])
            client.pause(killed)  # whoever comes next takes the lost lease over, and nothing else
            deployment.kill("workers")
            client.cancel(killed)
            good = checked(deployment, client.submit(SMALL))
            (model,) = (file for file in files(good) if file.name == MODEL)
            lost = model.parent.with_name("1-0") / model.name  # of a holder before the last
            lost.parent.mkdir()
            lost.write_bytes(b"weights")
            wait_until(lambda: files(killed) == [] and not lost.exists())
            assert not (data / "store" / "jobs" / killed.id).exists()
            assert client.model(good) == model.read_bytes()
            client.delete(good)
            wait_until(lambda: not model.exists())
    finally:
        deployment.stop()
