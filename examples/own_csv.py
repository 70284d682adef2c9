"""Search for the penalty of a linear model on a CSV file of your own.

Uploads the file, names the column to predict, waits with a progress bar, compares the answer with
the constant predictor on the sealed test set, and keeps the model as `model.safetensors`.

    .venv/bin/python examples/own_csv.py FILE TARGET

Without arguments it writes a small `soil.csv` first, with a category and missing values, and takes
that. A service must be running (`make serve`); RIDGEWAY_URL says where, if not on this machine.
"""

from __future__ import annotations

import csv
import random
import sys
from pathlib import Path

from ridgeway import Client


def write_soil(path: Path) -> None:
    """Write 300 rows whose `yield` depends on depth, moisture and kind of the soil alone."""
    chance = random.Random(0)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["yield", "depth", "moisture", "kind", "altitude", "slope"])
        for _ in range(300):
            depth, moisture, altitude, slope = (chance.gauss(0, 1) for _ in range(4))
            kind = chance.choice(["clay", "loam", "sand"])
            crop = 2 * depth - moisture + (kind == "clay") + chance.gauss(0, 0.3)
            known = "" if chance.random() < 0.05 else f"{moisture:.3f}"
            rows.writerow([f"{crop:.3f}", f"{depth:.3f}", known, kind, altitude, slope])


def main(file: Path, target: str) -> None:
    """Upload the file, search, print the answer, keep the model."""
    with Client() as client:
        dataset = client.add_dataset(file, name=file.stem)
        print(f"{dataset.name}: {dataset.rows} rows")
        job = client.submit(
            dataset=dataset.name,
            target=target,
            model={"kind": "linear"},
            search={"penalty": ["none", "l1", "l2", "elastic_net"], "lambda": "auto"},
            trials=40,
            epochs=20,
        )
        answer = client.wait(job, progress=True).recommended
        simplest, test = answer.simplest, answer.test
        print(f"recommended: {simplest.params}")
        print(f"input columns kept: {simplest.selected_features}")
        print(f"{test.metric} on {test.rows} sealed rows: {test.simplest:.3f}")
        print(f"the constant predictor's: {test.baseline:.3f}")
        Path("model.safetensors").write_bytes(client.model(job))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        main(Path(sys.argv[1]), sys.argv[2])
    else:
        write_soil(Path("soil.csv"))
        main(Path("soil.csv"), "yield")
