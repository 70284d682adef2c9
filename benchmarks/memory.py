"""The memory that a job is estimated to take of a worker, next to the most that it takes.

Run `python benchmarks/memory.py`. Each shape is loaded from a store, prepared and trained for one
epoch in a process of its own; what the process holds with everything imported is not counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas  # noqa: F401 - so that loading does not count its import
import pyarrow as pa
import torch

from ridgeway.data.store import Store
from ridgeway.data.tables import canonical_table, from_parquet, profile_table, to_parquet
from ridgeway.spec.profiles import DatasetProfile
from ridgeway.spec.resolving import resolve_spec
from ridgeway.spec.wording import parse_spec
from workers.data.prepare import prepare
from workers.population.configuration import Configuration
from workers.population.memory import encoded_inputs, preparing_bytes, training_bytes
from workers.population.problem import Problem
from workers.train import solver_of, train

LINEAR: dict[str, Any] = {"model": {"kind": "linear"}, "optimizer": "adamw"}
NET: dict[str, Any] = {"model": {"kind": "mlp", "hidden": [256, 256]}}
HOLDOUT = {"validation": {"kind": "holdout"}}
SHAPES: list[tuple[str, int, int, int, int, dict[str, Any]]] = [
    # name, rows, numbers, categories of 20 levels each, members, fields of the job
    ("long, linear", 400_000, 20, 0, 16, LINEAR),
    ("wide, linear", 5_000, 2_000, 0, 16, LINEAR),
    ("categories, linear", 100_000, 5, 10, 16, LINEAR),
    ("holdout, linear, float64", 200_000, 50, 0, 16, {**LINEAR, **HOLDOUT, "precision": "float64"}),
    ("full batches", 50_000, 100, 0, 16, {**LINEAR, "optimizer": "exact", "task": "regression"}),
    ("net", 50_000, 50, 0, 64, NET),
    ("wide net", 4_000, 1_000, 0, 64, NET),
]


def main() -> None:
    """Print a table, or, as a process of its own, measure one shape."""
    if len(sys.argv) > 1:
        print(json.dumps(_measure(int(sys.argv[1]), Path(sys.argv[2]))))
        return
    print("| job | estimate, MB | taken, MB | estimate / taken |\n|---|---|---|---|")
    for index, (name, *_) in enumerate(SHAPES):
        with tempfile.TemporaryDirectory() as folder:
            _write(index, Path(folder))
            argv = [sys.executable, __file__, str(index), folder]
            done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
        estimate, taken = json.loads(done.stdout)
        print(f"| {name} | {estimate / 1e6:.0f} | {taken / 1e6:.0f} | {estimate / taken:.2f} |")


def _write(index: int, folder: Path) -> None:
    """Keep a table of this shape in a store in the folder, and what the catalogue says of it."""
    _, rows, numbers, categories, _, fields = SHAPES[index]
    chance = np.random.default_rng(0)
    columns = {f"x{place}": chance.normal(size=rows) for place in range(numbers)}
    signal = columns["x0"] + chance.normal(size=rows)
    for place in range(categories):
        columns[f"t{place}"] = np.char.add("level ", chance.integers(20, size=rows).astype(str))
    y = signal if fields.get("task") == "regression" else np.where(signal > 0, "yes", "no")
    table = canonical_table(pa.table({**columns, "y": y}))
    Store(str(folder)).put("data.parquet", to_parquet(table))
    (folder / "profile").write_text(profile_table(table).model_dump_json())


def _measure(index: int, folder: Path) -> tuple[float, float]:
    """Return the estimate and the most that was taken, in bytes."""
    _, rows, numbers, categories, members, fields = SHAPES[index]
    profile = DatasetProfile.model_validate_json((folder / "profile").read_text())
    spec = resolve_spec(parse_spec({"dataset": "made up", "epochs": 1, **fields}), profile)
    torch.set_num_threads(1)
    before, _ = _held()
    # As a worker loads an upload.
    prepared = prepare(spec, from_parquet(Store(str(folder)).get("data.parquet")).to_pandas())
    problem = Problem(prepared.spec, prepared.folds, prepared.outputs, torch.device("cpu"))
    own = [Configuration("l2", 1e-3, 0.5, 1e-3, 0.0)] * members
    train(problem, own)
    prepared.development()
    _, most = _held()
    inputs = encoded_inputs(spec, profile)
    solver = solver_of(problem)
    at_once = min(members, solver.most_in_memory)  # the others wait
    population = at_once * solver.member_bytes + solver.roll_bytes(members)
    training = training_bytes(spec, rows, inputs) + population
    preparing = preparing_bytes(spec, rows, numbers + categories + 1, inputs)
    return max(preparing, training), most - before


def _held() -> tuple[int, int]:
    """Return what this process holds, and the most that it has held, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    known = {name: value for name, _, value in (line.partition(":") for line in lines)}
    held, most = (int(known[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return held, most


if __name__ == "__main__":
    main()
