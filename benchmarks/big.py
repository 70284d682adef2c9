"""Train a population on rows in memory and on rows that stay in a file, in turn.

Prints rows/s of each: rows that all members have trained on, by seconds of an epoch with its
scores, and by the processor's seconds, which others on the machine do not change. Then their ratio,
and the most memory that each took beyond what Python and torch take: what a process has alone, as
the pages of the file are the system's, to be had back.

    python benchmarks/big.py --rows 500000 --columns 100
    python benchmarks/big.py --device cuda --members 256
    python benchmarks/big.py --only file --limit 1500   # MB that the process may have alone
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ridgeway.data.catalogue import StoredDataset
from ridgeway.data.row_files import RowFiles
from ridgeway.data.store import Store, sha256_of_file
from ridgeway.spec.profiles import ColumnProfile, DatasetProfile
from ridgeway.spec.resolving import resolve_spec
from ridgeway.spec.wording import parse_spec
from workers.data.prepare import prepare_streamed
from workers.data.streaming import StreamedTable
from workers.population.configuration import Configuration
from workers.population.problem import Problem, problem_of
from workers.train import solver_of, train

GROUP = 2**17  # rows of a Parquet file's groups
MODELS: dict[str, dict[str, Any]] = {
    "linear": {"model": {"kind": "linear"}},
    "mlp": {"model": {"kind": "mlp", "hidden": [64]}},
}


def make_table(path: Path, rows: int, columns: int) -> None:
    """Write float32 normal inputs and a target of two classes, group by group."""
    chance = np.random.default_rng(0)
    names = [f"x{place}" for place in range(columns)]
    weights = chance.normal(size=columns) / columns**0.5
    schema = pa.schema([*((name, pa.float64()) for name in names), ("y", pa.string())])
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for start in range(0, rows, GROUP):
            count = min(GROUP, rows - start)
            values = chance.standard_normal((count, columns), np.float32).astype(np.float64)
            labels = values @ weights + chance.normal(size=count) > 0
            arrays = [pa.array(column) for column in values.T]
            table = pa.table([*arrays, pa.array(np.where(labels, "yes", "no"))], schema=schema)
            file.write_table(table, row_group_size=GROUP)


def streamed_problem(folder: Path, options: argparse.Namespace) -> Problem:
    """Return the table's problem, its rows in a file."""
    path, names = folder / "table.parquet", [f"x{place}" for place in range(options.columns)]
    numbers = [_column(name, "number", options.rows) for name in names]
    profile = DatasetProfile(rows=options.rows, columns=[*numbers, _column("y", "category", 2)])
    known: Any = {"id": "", "name": "big", "checksum": "", "target": "y", "task": "classification"}
    checksum = (folder / "checksum").read_text()
    stored = StoredDataset(
        **known,
        stored_checksum=checksum,
        address=path.name,
        bytes=path.stat().st_size,
        stored_profile=None,
        rows=options.rows,
        column_count=len(names) + 1,
        created_at=0.0,
    )
    fields = {**MODELS[options.model], "optimizer": "adamw", "epochs": 1, "test_fraction": 0.1}
    fields |= {"validation": {"kind": "holdout"}, "batch_size": options.batch}
    spec = resolve_spec(parse_spec({"dataset": "big", "target": "y", **fields}), profile)
    with StreamedTable.opened(stored, Store(str(folder))) as table:
        prepared = prepare_streamed(spec, table, {}, RowFiles(folder / "rows", 2**50))
    return problem_of(prepared, torch.device(options.device))


def _column(name: str, kind: Any, distinct: int) -> ColumnProfile:
    return ColumnProfile(
        name=name,
        kind=kind,
        missing=0,
        distinct=distinct,
        integral=False,
        minimum=None,
        maximum=None,
        rarest="no",
        rarest_count=100_000,
    )


def in_memory(problem: Problem) -> Problem:
    """Return the problem with the same rows in memory."""
    folds = [
        replace(fold, train_inputs=fold.train_inputs[:], valid_inputs=fold.valid_inputs[:])
        for fold in problem.folds
    ]
    return replace(problem, folds=folds)


def held() -> int:
    """Return the bytes that this process has alone."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return next(int(line[1]) * 1024 for line in lines if line[0] == "RssAnon:")


class Most:
    """The most that the process has had alone, looked at ten times a second."""

    def __init__(self) -> None:
        self.bytes = 0
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while True:
            self.bytes = max(self.bytes, held())
            time.sleep(0.1)


def measure(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Train one epoch twice, the second time by the clock; print what it took."""
    torch.set_num_threads(1)
    before, most = held(), Most()
    if options.limit:
        size = options.limit * 2**20
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    started = time.perf_counter()
    problem = streamed_problem(folder, options)
    prepared = time.perf_counter() - started
    if options.way == "memory":
        problem = in_memory(problem)
    strengths = np.geomspace(1e-5, 1e-2, options.members)
    members = [Configuration("l2", float(own), 0.5, 1e-3, 0.0) for own in strengths]
    solver_of(problem)
    started, worked = time.perf_counter(), time.process_time()
    result = train(problem, members)
    seconds, processor = time.perf_counter() - started, time.process_time() - worked
    rows = sum(problem.fold_rows)
    return {
        "rows_per_second": rows / seconds,
        "rows_per_processor_second": rows / processor,
        "seconds": seconds,
        "preparing_seconds": prepared,
        "megabytes": (most.bytes - before) / 1e6,
        "value": float(np.nanmin(result.values)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--members", type=int, default=32)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--only", choices=["memory", "file"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options.folder, options)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "table.parquet"
        make_table(path, options.rows, options.columns)
        (Path(folder) / "checksum").write_text(sha256_of_file(path))
        compare(Path(folder), options)


def compare(folder: Path, options: argparse.Namespace) -> None:
    """Print a line for each model and way, and the ratio of their medians."""
    ways = [options.only] if options.only else ["memory", "file"]
    for model in options.models:
        found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for _ in range(options.repeats):
            for way in ways:
                given = [*sys.argv[1:], "--folder", str(folder), "--way", way, "--model", model]
                argv = [sys.executable, __file__, *given]
                done = subprocess.run(argv, check=True, capture_output=True, text=True)
                found[way].append(json.loads(done.stdout.splitlines()[-1]))
        for way, runs in found.items():
            told = {name: median(run[name] for run in runs) for name in runs[0]}
            print(model, way, {name: round(value, 4) for name, value in told.items()}, flush=True)
        if len(found) == 2:
            for rate in ("rows_per_second", "rows_per_processor_second"):
                memory, file = (median(run[rate] for run in runs) for runs in found.values())
                print(f"{model}: {rate} from a file: {file / memory:.0%} of those in memory")


if __name__ == "__main__":
    main()
